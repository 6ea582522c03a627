import pytest
import tensorflow as tf

from tflm.tokenizers.rows import row_of_each


@pytest.mark.parametrize(
    "splits, rows",
    [
        ([0, 3, 4], [0, 0, 0, 1]),
        ([0, 0, 2, 2, 2, 5, 5], [1, 1, 4, 4, 4]),
        ([0, 0, 0], []),
        ([0], []),
    ],
)
def test_every_value_knows_its_row(splits, rows):
    assert row_of_each(tf.constant(splits, tf.int64)).numpy().tolist() == rows
