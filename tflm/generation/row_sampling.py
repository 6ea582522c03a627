"""Sampling in which every row has its own temperature, top-k and top-p."""

import dataclasses

import tensorflow as tf

from tflm.generation import sampling
from tflm.generation.protocol import State, Tensor
from tflm.generation.sampling import RandomRow
from tflm.generation.top_k import top_k


@dataclasses.dataclass(frozen=True)
class SampleRows(RandomRow):
    """A `Sample` for each row: it draws what a `Sample` with the row's values and seed draws.

    Nothing is checked, as what is wrong with one row would fail the others.

    Attributes:
        temperature: (B,) float32, positive.
        top_k: (B,) int32; below 1 keeps all.
        top_p: (B,) float32, above 0; from 1 on it keeps all.
    """

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor

    def pick(self, logits: Tensor, step: Tensor, state: State) -> Tensor:
        """Draws from all tokens in rows without a filter, else from the likeliest."""
        probabilities = tf.nn.softmax(logits / self.temperature[:, None])  # (B, V)
        uniform = state["uniforms"][:, step - 1, None]  # (B, 1)
        cumulative = tf.cumsum(probabilities, axis=-1)  # (B, V)
        everything = cumulative[:, -1:]  # (B, 1), about 1
        from_all = _draw(cumulative, uniform * everything)  # (B, 1)

        vocab_size = tf.shape(logits)[-1]
        has_k = (self.top_k > 0) & (self.top_k < vocab_size)  # (B,)
        has_p = self.top_p < 1.0
        k = tf.where(has_k, self.top_k, vocab_size)  # (B,)
        cumulative, token_ids = self._likeliest(probabilities, k, has_k, has_p)  # (B, w)
        at_k = tf.minimum(k, tf.shape(cumulative)[1]) - 1
        total = tf.gather(cumulative, at_k, batch_dims=1)[:, None]  # (B, 1), of the k likeliest
        total = tf.where(has_k[:, None], total, everything)
        enough = cumulative >= tf.where(has_p, self.top_p, 1.0)[:, None] * total
        mass = tf.reduce_min(tf.where(enough, cumulative, float("inf")), axis=-1, keepdims=True)
        choice = _draw(cumulative, uniform * tf.minimum(mass, total))
        filtered = tf.gather(token_ids, choice, batch_dims=1)
        return tf.where(has_k | has_p, filtered[:, 0], from_all[:, 0])

    def _likeliest(
        self, probabilities: Tensor, k: Tensor, has_k: Tensor, has_p: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Cumulative probabilities and ids, likeliest first, at least as far as they are drawn."""

        def cumulated(width: Tensor) -> tuple[Tensor, Tensor]:
            values, token_ids = top_k(probabilities, width)
            return tf.cumsum(values, axis=-1), token_ids

        vocab_size = tf.shape(probabilities)[-1]
        width = tf.minimum(vocab_size, sampling.NUCLEUS_HEAD)
        head, head_ids = cumulated(width)
        is_in_head = tf.where(
            has_k, k <= width, tf.logical_not(has_p) | (head[:, -1] >= self.top_p)
        )  # (B,)
        return tf.cond(
            tf.reduce_all(is_in_head), lambda: (head, head_ids), lambda: cumulated(vocab_size)
        )


def _draw(cumulative: Tensor, points: Tensor) -> Tensor:
    """Columns (B, 1) int32 of the cumulative probabilities (B, w) that points (B, 1) fall into."""
    found = tf.searchsorted(cumulative, points, side="right")
    return tf.minimum(found, tf.shape(cumulative)[1] - 1)  # NaN where all tokens are blocked
