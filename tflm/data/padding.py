"""How much of a data set's batches is padding, and how many shapes they have."""

import dataclasses

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Padding:
    """Padding tokens over all tokens, and what the batches look like.

    Args:
        source: Share of padding in the source sides, 0 to 1.
        target: Share of padding in the target sides.
        total: Share of padding in both sides together.
        num_batches: Number of batches.
        num_tokens: Real target tokens, eos included.
        shapes: The distinct (S, T).
    """

    source: float
    target: float
    total: float
    num_batches: int
    num_tokens: int
    shapes: frozenset[tuple[int, int]]


def measure_padding(dataset: tf.data.Dataset) -> Padding:
    """Padding of translation batches `(x, y, sample_weight)`, in one pass over them."""
    real = np.zeros(2, np.int64)  # source, target
    size = np.zeros(2, np.int64)
    num_batches = 0
    shapes = set()
    for x, _, _ in dataset.as_numpy_iterator():
        masks = (x["encoder_padding_mask"], x["decoder_padding_mask"])  # (B, S), (B, T)
        real += [mask.sum() for mask in masks]
        size += [mask.size for mask in masks]
        num_batches += 1
        shapes.add((masks[0].shape[1], masks[1].shape[1]))
    if not num_batches:
        raise ValueError("`dataset` must hold at least one batch.")
    source, target = (1.0 - real / size).tolist()
    total = float(1.0 - real.sum() / size.sum())
    return Padding(source, target, total, num_batches, int(real[1]), frozenset(shapes))
