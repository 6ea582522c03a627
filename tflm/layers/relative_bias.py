"""What T5 has instead of position vectors: scores depend on the distance to a key."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops


def distance_buckets(num_buckets: int, max_distance: int) -> np.ndarray:
    """The bucket of each distance `0 … max_distance`: int32 `(max_distance + 1,)`.

    Raffel et al. 2020, https://arxiv.org/abs/1910.10683, section 2.1: half of the buckets hold one
    distance each, the others logarithmically more, the last every distance from `max_distance` on.

    Raises:
        ValueError: there are too few buckets, or no distance is left for the logarithmic ones.
    """
    exact = num_buckets // 2
    if not 0 < exact < max_distance:
        raise ValueError(
            "`num_buckets` must be at least 2 on each side, and `max_distance` larger than half of "
            f"those. Received: {num_buckets} buckets of a side, max_distance={max_distance}"
        )
    distances = np.arange(max_distance + 1, dtype="int32")
    # In float32, and in this order, as the published weights were trained: at the edge of a bucket
    # rounding decides.
    ratios = np.maximum(distances, exact).astype("float32") / np.float32(exact)
    widths = np.log(ratios) / np.float32(math.log(max_distance / exact))
    logarithmic = exact + (widths * np.float32(num_buckets - exact)).astype("int32")
    return np.where(distances < exact, distances, np.minimum(logarithmic, num_buckets - 1))


class RelativeBias(keras.layers.Layer):
    """Biases of attention scores that depend on how far, and on which side, a key is.

    Args:
        num_heads: `H`.
        num_buckets: biases of a head; half of them for each side where it is bidirectional.
        max_distance: from here on all keys have the same bias.
        bidirectional: whether queries see keys behind them. Otherwise those have bucket 0, and a
            mask must hide them.
        stddev: of the first values.

    Call arguments:
        num_queries: `T`, integer or scalar tensor.
        index: keys before the first query, those of a cache.

    Returns:
        `(1, H, T, index + T)`: the queries at `index …` over the keys `0 … index + T - 1`.

    Raises:
        ValueError: see `distance_buckets`.
    """

    def __init__(
        self,
        num_heads: int,
        num_buckets: int = 32,
        max_distance: int = 128,
        bidirectional: bool = True,
        stddev: float = 0.02,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        self.stddev = stddev
        before = distance_buckets(num_buckets // 2 if bidirectional else num_buckets, max_distance)
        # Keys behind the query: the buckets of the second half, or none.
        after = before[1:] + num_buckets // 2 if bidirectional else np.zeros_like(before[1:])
        self._buckets = np.concatenate([before[::-1], after])  # of the offsets -max … max

    def build(self, *_: Any) -> None:
        self.embeddings = self.add_weight(
            shape=(self.num_buckets, self.num_heads),
            initializer=keras.initializers.RandomNormal(stddev=self.stddev),
            name="embeddings",
        )

    def call(self, num_queries: Any, index: Any = 0) -> Any:
        queries = index + ops.arange(num_queries, dtype="int32")[:, None]  # (T, 1)
        keys = ops.arange(index + num_queries, dtype="int32")[None]  # (1, S)
        offsets = ops.clip(keys - queries, -self.max_distance, self.max_distance)  # (T, S)
        buckets = ops.take(self._buckets, offsets + self.max_distance)  # (T, S)
        table = ops.cast(ops.convert_to_tensor(self.embeddings), self.compute_dtype)
        biases = ops.take(table, buckets, axis=0)  # (T, S, H)
        return ops.transpose(biases, (2, 0, 1))[None]  # (1, H, T, S)
