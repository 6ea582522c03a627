"""Token vectors, and the same vectors as output weights (Press & Wolf 2017)."""

from typing import Any

import keras
from keras import ops

from tflm.layers.shapes import unflatten


class TokenEmbedding(keras.layers.Layer):
    """Looks token vectors up, and scores hidden states against all of them.

    Args:
        vocab_size: `V`.
        dim: `D`.
        scaled: whether vectors are multiplied by `sqrt(D)` (Vaswani et al. 2017, section 3.4).
        stddev: of the first values: by default `1 / sqrt(D)` where they are scaled, else 0.02.

    Call arguments:
        token_ids: integer `(B, T)`.

    Returns:
        `(B, T, D)`.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        scaled: bool = True,
        stddev: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.vocab_size = vocab_size
        self.dim = dim
        self.scaled = scaled
        self.stddev = stddev

    def build(self, *_: Any) -> None:
        # Unit variance after the multiplication by sqrt(D), and logits of unit scale. Without it,
        # what GPT and BERT started from.
        usual = self.dim**-0.5 if self.scaled else 0.02
        stddev = usual if self.stddev is None else self.stddev
        self.embeddings = self.add_weight(
            shape=(self.vocab_size, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=stddev),
            name="embeddings",
        )

    def call(self, token_ids: Any) -> Any:
        vectors = ops.take(self.embeddings, token_ids, axis=0)  # (B, T, D)
        vectors = ops.cast(vectors, self.compute_dtype)
        return vectors * self.dim**0.5 if self.scaled else vectors

    def output_weights(self) -> Any:
        """The vectors as output weights, `(D, V)` in the compute dtype.

        A product with the vectors as they lie, `(V, D)`, costs three times as much on a CPU; a
        decoding loop turns them once, and a served model once when it is loaded.
        """
        return ops.transpose(ops.cast(ops.convert_to_tensor(self.embeddings), self.compute_dtype))

    def logits(self, x: Any, output_weights: Any = None, bias: Any = None) -> Any:
        """Scores `(B, T, D)` against every token vector: `(B, T, V)`.

        Args:
            x: `(B, T, D)`.
            output_weights: what `output_weights` returned, where it is at hand, or a list of its
                columns in blocks.
            bias: `(V,)`, added to the scores; or `None`.
        """
        weights = self.output_weights() if output_weights is None else output_weights
        blocks = list(weights) if isinstance(weights, list | tuple) else [weights]
        flat = ops.reshape(ops.cast(x, self.compute_dtype), (-1, self.dim))  # (B * T, D)
        scores, start = [], 0
        for block in blocks:
            score = ops.matmul(flat, block)
            end = start + block.shape[-1]
            if bias is not None:
                # `ops.add`, not `+`: a product and its bias become one operation.
                part = bias if len(blocks) == 1 else bias[start:end]
                score = ops.add(score, ops.cast(part, score.dtype))
            scores.append(score)
            start = end
        joined = scores[0] if len(blocks) == 1 else ops.concatenate(scores, axis=-1)  # (B * T, V)
        return unflatten(joined, x)  # (B, T, V)
