"""A few (S, T) batch shapes that fit a corpus: little padding, few programs to compile.

Bucketing on one length pads the other: two sentences of 20 target tokens may have 14 and 30 source
tokens. So the plane of (source length, target length) is cut into rectangles, always by the one
cut that saves the most padding, until there are enough of them; the upper corner of a rectangle is
a batch shape. A pair goes to the smallest shape that holds it.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class BatchShapes:
    """The lengths (S, T) that batches are padded to.

    Args:
        lengths: Distinct (S, T), by increasing S + T; the last one holds every pair.
    """

    lengths: tuple[tuple[int, int], ...]

    def assign(self, source_lengths: np.ndarray, target_lengths: np.ndarray) -> np.ndarray:
        """Index of the smallest shape that holds each pair; (n,), (n,) -> (n,)."""
        size = np.asarray(self.lengths)  # (shapes, 2)
        holds = (size[:, 0] >= source_lengths[:, None]) & (size[:, 1] >= target_lengths[:, None])
        return holds.argmax(axis=1)  # the first True: shapes are sorted by S + T

    def rows(self, tokens_per_batch: int, side: int = 1) -> list[int]:
        """Rows of a full batch of each shape: as many as keep their tokens within the budget.

        Args:
            tokens_per_batch: most tokens of the side that counts, padding included.
            side: 0 counts sources, rows * S; 1 counts targets, rows * T.
        """
        return [tokens_per_batch // lengths[side] for lengths in self.lengths]


def fit_shapes(
    source_lengths: np.ndarray,
    target_lengths: np.ndarray,
    *,
    num_shapes: int,
    max_lengths: tuple[int, int],
    min_saving: int,
) -> BatchShapes:
    """Shapes for pairs of the given lengths that also hold any pair up to `max_lengths`.

    Args:
        source_lengths: (n,), n > 0.
        target_lengths: (n,).
        num_shapes: Most shapes to fit; those for longer pairs than were given come on top.
        max_lengths: Longest source and longest target.
        min_saving: Padding tokens that one more shape must save, for it costs a partial batch.
    """
    counts = np.zeros((source_lengths.max() + 1, target_lengths.max() + 1), np.int64)
    np.add.at(counts, (source_lengths, target_lengths), 1)
    parts = [_Rectangle.around(counts, 0, 0)]
    while len(parts) < num_shapes:
        best = max(parts, key=lambda part: part.cut[0])
        if best.cut[0] < max(min_saving, 1):
            break
        parts.remove(best)
        parts += best.halves()
    lengths = {part.corner for part in parts}
    source, target = counts.shape[0] - 1, counts.shape[1] - 1
    lengths.add((source, target))
    while source < max_lengths[0] or target < max_lengths[1]:
        source, target = min(2 * source, max_lengths[0]), min(2 * target, max_lengths[1])
        lengths.add((source, target))
    return BatchShapes(tuple(sorted(lengths, key=lambda shape: (sum(shape), shape))))


@dataclasses.dataclass(eq=False)
class _Rectangle:
    counts: np.ndarray  # pairs of each (source length, target length), no empty border
    corner: tuple[int, int]  # the lengths of counts[-1, -1]
    cut: tuple[int, int, int]  # padding it saves, axis, first index of the upper half

    @classmethod
    def around(cls, counts: np.ndarray, source: int, target: int) -> "_Rectangle":
        """The part of `counts` that holds pairs; counts[0, 0] has lengths (source, target)."""
        rows, columns = np.flatnonzero(counts.any(axis=1)), np.flatnonzero(counts.any(axis=0))
        inner = counts[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        corner = (source + int(rows[-1]), target + int(columns[-1]))
        return cls(inner, corner, max(_best_cut(inner, 0), _best_cut(inner.T, 1)))

    def halves(self) -> tuple["_Rectangle", "_Rectangle"]:
        _, axis, index = self.cut
        lower, upper = np.split(self.counts, [index], axis=axis)
        source = self.corner[0] - self.counts.shape[0] + 1
        target = self.corner[1] - self.counts.shape[1] + 1
        shift = (index, 0) if axis == 0 else (0, index)
        return (
            _Rectangle.around(lower, source, target),
            _Rectangle.around(upper, source + shift[0], target + shift[1]),
        )


def _best_cut(counts: np.ndarray, axis: int) -> tuple[int, int, int]:
    """The cut between two rows of `counts` that saves the most padding: (saving, axis, index)."""
    num_rows, num_columns = counts.shape
    if num_rows == 1:
        return (0, axis, 0)
    pairs = counts.sum(axis=1)
    filled = counts > 0
    # Of each row: its own index, and its last filled column; -1 where it is empty.
    row = np.where(pairs > 0, np.arange(num_rows), -1)
    column = np.where(pairs > 0, num_columns - 1 - filled[:, ::-1].argmax(axis=1), -1)
    # Of the rows before each cut, and after it.
    pairs_before = pairs.cumsum()[:-1]
    pairs_after = pairs.sum() - pairs_before
    row_before = np.maximum.accumulate(row)[:-1]
    column_before = np.maximum.accumulate(column)[:-1]
    column_after = np.maximum.accumulate(column[::-1])[::-1][1:]
    saving = pairs_before * ((num_rows - 1 - row_before) + (num_columns - 1 - column_before))
    saving += pairs_after * (num_columns - 1 - column_after)
    index = int(saving.argmax())
    return (int(saving[index]), axis, index + 1)
