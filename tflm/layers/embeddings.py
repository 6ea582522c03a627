"""Token vectors, and the same vectors as output weights (Press & Wolf 2017)."""

from typing import Any

import keras
from keras import ops


class TokenEmbedding(keras.layers.Layer):
    """Looks token vectors up, and scores hidden states against all of them.

    Args:
        vocab_size: `V`.
        dim: `D`.

    Call arguments:
        token_ids: integer `(B, T)`.

    Returns:
        `(B, T, D)`, multiplied by `sqrt(D)` (Vaswani et al. 2017, section 3.4).
    """

    def __init__(self, vocab_size: int, dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.vocab_size = vocab_size
        self.dim = dim

    def build(self, *_: Any) -> None:
        self.embeddings = self.add_weight(
            shape=(self.vocab_size, self.dim),
            # Unit variance after the multiplication by sqrt(D), and logits of unit scale.
            initializer=keras.initializers.RandomNormal(stddev=self.dim**-0.5),
            name="embeddings",
        )

    def call(self, token_ids: Any) -> Any:
        vectors = ops.take(self.embeddings, token_ids, axis=0)  # (B, T, D)
        return ops.cast(vectors, self.compute_dtype) * self.dim**0.5

    def output_weights(self) -> Any:
        """The vectors as output weights, `(D, V)` in the compute dtype.

        A product with the vectors as they lie, `(V, D)`, costs three times as much on a CPU; a
        decoding loop turns them once.
        """
        return ops.transpose(ops.cast(ops.convert_to_tensor(self.embeddings), self.compute_dtype))

    def logits(self, x: Any, output_weights: Any = None) -> Any:
        """Scores `(B, T, D)` against every token vector: `(B, T, V)`.

        Args:
            x: `(B, T, D)`.
            output_weights: what `output_weights` returned, where it is at hand.
        """
        weights = self.output_weights() if output_weights is None else output_weights
        flat = ops.reshape(ops.cast(x, self.compute_dtype), (-1, self.dim))  # (B * T, D)
        scores = ops.matmul(flat, weights)  # (B * T, V)
        return ops.reshape(scores, (*ops.shape(x)[:2], self.vocab_size))  # (B, T, V)
