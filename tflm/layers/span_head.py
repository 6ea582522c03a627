"""Where an answer begins and ends, from an encoder's hidden states.

`B` windows of text, `T` length, `D` width.
"""

from typing import Any

import keras
from keras import ops

from tflm.layers.dropout import Dropout
from tflm.layers.masks import attention_bias


class SpanHead(keras.layers.Layer):
    """Scores every place for the first and for the last word of an answer.

    Devlin et al. 2019, https://arxiv.org/abs/1810.04805, section 4.2: a product with a start vector
    and one with an end vector. What scores a span is the sum of the two.

    Args:
        hidden_dim: `D`.
        dropout: rate applied to the hidden states.

    Call arguments:
        hidden: `(B, T, D)`.
        answer_mask: boolean `(B, T)`, True where a word begins that an answer may begin or end
            with, and at the place that stands for no answer.

    Returns:
        float32 logits `(B, T, 2)` of first and last, a large negative number where the mask is
        False.
    """

    def __init__(self, hidden_dim: int, dropout: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.dropout = dropout
        self.drop = Dropout(dropout, dtype=self.dtype_policy)
        self.dense = keras.layers.Dense(2, dtype=self.dtype_policy, name="dense")

    def build(self, *_: Any) -> None:
        self.dense.build((None, None, self.hidden_dim))
        self.built = True

    def call(self, hidden: Any, answer_mask: Any, training: bool | None = None) -> Any:
        logits = self.dense(self.drop(hidden, training=training))  # (B, T, 2)
        return ops.cast(logits, "float32") + attention_bias(answer_mask, "float32")[..., None]
