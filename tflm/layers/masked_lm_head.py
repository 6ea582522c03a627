"""What predicts masked tokens from an encoder's hidden states."""

from typing import Any

import keras

from tflm.layers.activations import activation as find_activation
from tflm.layers.normalization import LayerNormalization


class MaskedLMHead(keras.layers.Layer):
    """A dense layer, an activation, a normalisation; then scores against every token vector.

    Devlin et al. 2019, appendix A.2, as in https://github.com/google-research/bert: the output
    weights are the token vectors, the bias `(V,)` is the head's own. Where token vectors are
    narrower than hidden states, the dense layer brings these to their width (Lan et al. 2020,
    https://arxiv.org/abs/1909.11942).

    Args:
        hidden_dim: `D`, width of the hidden states.
        embedding_dim: width of the token vectors, `D` in most encoders.
        vocab_size: `V`.
        activation: name of an activation, see `tflm.layers.activations`.
        norm_epsilon: added to the variance.

    Call arguments:
        x: hidden states `(B, M, D)`.
        embedding: the encoder's `TokenEmbedding`; by name, for Keras takes tensors alone otherwise.

    Returns:
        Logits `(B, M, V)`.
    """

    def __init__(
        self,
        hidden_dim: int,
        embedding_dim: int,
        vocab_size: int,
        activation: str = "gelu",
        norm_epsilon: float = 1e-12,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.vocab_size = vocab_size
        policy = self.dtype_policy
        self.dense = keras.layers.Dense(
            embedding_dim, find_activation(activation), dtype=policy, name="dense"
        )
        self.norm = LayerNormalization(embedding_dim, norm_epsilon, dtype=policy, name="norm")

    def build(self, *_: Any) -> None:
        self.dense.build((None, None, self.hidden_dim))
        self.norm.build()
        self.bias = self.add_weight(shape=(self.vocab_size,), initializer="zeros", name="bias")

    def call(self, x: Any, embedding: Any) -> Any:
        return embedding.logits(self.norm(self.dense(x)), bias=self.bias)  # (B, M, V)
