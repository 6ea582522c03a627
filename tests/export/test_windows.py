import pytest
import tensorflow as tf

from tflm.export.windows import pad_left, windows


def rolling_windows(length, skipped, size):
    """What lm-eval reads: inputs [start, end) and the first of them that counts."""
    return [
        (max(end - size, 0), end, first)
        for first in range(skipped, length, size)
        for end in [min(first + size, length)]
    ]


def test_padding_moves_to_the_left():
    ids, mask = pad_left(tf.ragged.constant([[1, 2, 3], [4], [5, 6]], dtype=tf.int32), 9)
    assert ids.numpy().tolist() == [[1, 2, 3], [9, 9, 4], [9, 5, 6]]
    assert mask.numpy().tolist() == [[True] * 3, [False, False, True], [False, True, True]]


@pytest.mark.parametrize("size", [1, 4, 7, None])
def test_windows_count_every_label_once_and_reach_back(size):
    rows = [list(range(0, 24)), [50], list(range(60, 69)), [80, 81]]
    skipped = [0, 0, 3, 1]
    found = windows(tf.ragged.constant(rows, dtype=tf.int32), tf.constant(skipped), size)
    found = {name: value.numpy() for name, value in found.items()}
    expected = [
        (row, *window)
        for row, (ids, skip) in enumerate(zip(rows, skipped, strict=True))
        for window in rolling_windows(len(ids) - 1, skip, size or 23)
    ]
    assert found["row"].tolist() == [row for row, *_ in expected]
    for i, (row, start, end, first) in enumerate(expected):
        mask, counted = found["mask"][i], found["counted"][i]
        assert found["ids"][i][mask].tolist() == rows[row][start:end]
        assert found["labels"][i][counted].tolist() == rows[row][first + 1 : end + 1]
