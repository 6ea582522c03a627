import pytest
import tensorflow as tf

from tflm.tokenizers.rows import row_of_each, to_ragged


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


@pytest.mark.parametrize("of", [list, tf.constant, tf.ragged.constant])
def test_ids_in_any_form_become_rows(of):
    rows = [[3, 1], [4, 1]]
    found = to_ragged(of(rows))
    assert isinstance(found, tf.RaggedTensor) and found.to_list() == rows


def test_lists_may_be_empty():
    assert to_ragged([[5], []]).to_list() == [[5], []]
    assert to_ragged([]).shape == [0, None] and to_ragged([]).dtype == tf.int32
