"""From the hidden states of a text to one vector.

`B` texts, `T` length, `D` width. Only positions of real tokens count; a text without any is zeros.
"""

from typing import Any

import keras
from keras import ops

from tflm.layers.masks import attention_bias


class _Pooling(keras.layers.Layer):
    """What all have in common.

    Args:
        hidden_dim: `D`.

    Call arguments:
        hidden: `(B, T, D)`.
        padding_mask: boolean `(B, T)`.

    Returns:
        `(B, D)`.
    """

    def __init__(self, hidden_dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim

    def build(self, *_: Any) -> None:
        self.built = True


class FirstPooling(_Pooling):
    """The vector of the first token, which encoders are trained to put a text's into."""

    def call(self, hidden: Any, padding_mask: Any) -> Any:
        return hidden[:, 0]  # (B, D)


class MeanPooling(_Pooling):
    """The mean over a text's tokens, summed in float32."""

    def call(self, hidden: Any, padding_mask: Any) -> Any:
        real = ops.cast(padding_mask, "float32")[..., None]  # (B, T, 1)
        total = ops.sum(ops.cast(hidden, "float32") * real, axis=1)  # (B, D)
        return ops.cast(total / ops.maximum(ops.sum(real, axis=1), 1.0), hidden.dtype)


class MaxPooling(_Pooling):
    """The largest value of each column (Collobert et al. 2011: max over time)."""

    def call(self, hidden: Any, padding_mask: Any) -> Any:
        # Finite, so that a text without a token has a gradient that is a number.
        low = attention_bias(padding_mask, hidden.dtype)[..., None]  # (B, T, 1)
        largest = ops.max(ops.where(padding_mask[..., None], hidden, low), axis=1)  # (B, D)
        something = ops.any(padding_mask, axis=1)[:, None]  # (B, 1)
        return ops.where(something, largest, ops.zeros_like(largest))


class AttentionPooling(_Pooling):
    """A mean weighted by how much each token matters (Yang et al. 2016, equations 5 to 7).

        u = tanh(W h + b)       weight = softmax over the text of u . v

    https://aclanthology.org/N16-1174
    """

    def __init__(self, hidden_dim: int, **kwargs: Any):
        super().__init__(hidden_dim, **kwargs)
        policy = self.dtype_policy
        self.hidden = keras.layers.Dense(hidden_dim, "tanh", dtype=policy, name="hidden")
        self.score = keras.layers.Dense(1, use_bias=False, dtype=policy, name="score")

    def build(self, *_: Any) -> None:
        self.hidden.build((None, None, self.hidden_dim))
        self.score.build((None, None, self.hidden_dim))
        self.built = True

    def call(self, hidden: Any, padding_mask: Any) -> Any:
        scores = self.score(self.hidden(hidden))[..., 0]  # (B, T)
        scores = scores + attention_bias(padding_mask, scores.dtype)
        weights = ops.softmax(scores, axis=-1) * ops.cast(padding_mask, scores.dtype)
        return ops.matmul(weights[:, None], hidden)[:, 0]  # (B, D)


POOLINGS: dict[str, type[_Pooling]] = {
    "attention": AttentionPooling,
    "first": FirstPooling,
    "max": MaxPooling,
    "mean": MeanPooling,
}
