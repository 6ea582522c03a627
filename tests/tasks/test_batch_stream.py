import numpy as np
import pytest
import tensorflow as tf

from tflm.tasks.batch_stream import BatchStream, even_rows, is_raw


def numbers(dataset, count):
    return [int(x[0, 0]) for x, _, _ in dataset.take(count).as_numpy_iterator()]


def test_a_stream_goes_through_the_epochs_without_end(numbered):
    stream = BatchStream(numbered).dataset()
    assert numbers(stream, 16) == [0, 1, 2, 3, 10, 11, 12, 20, 21, 22, 23, 24, 30, 31, 40, 41]


@pytest.mark.parametrize("start", [1, 3, 4, 5, 7, 11, 12, 14])
def test_a_stream_started_later_is_the_tail_of_the_whole_stream(numbered, start):
    whole = numbers(BatchStream(numbered).dataset(), 20)
    assert numbers(BatchStream(numbered, start).dataset(), 20 - start) == whole[start:]


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_replicas_share_rows_evenly_and_no_row_counts_twice(replicas):
    x = np.arange(6, dtype="int32").reshape(3, 2)
    weight = np.array([[1, 0.5], [1, 0], [1, 1]], "float32")
    dataset = tf.data.Dataset.from_tensors(({"ids": x, "mask": x > 2}, x + 10, weight))
    ((found, y, weights),) = even_rows(dataset, replicas).as_numpy_iterator()
    rows = {1: 3, 2: 4, 4: 4}[replicas]
    assert {len(part) for part in (found["ids"], found["mask"], y, weights)} == {rows}
    np.testing.assert_array_equal(found["ids"], [*x, *x[:1]][:rows])
    np.testing.assert_array_equal(y, found["ids"] + 10)
    np.testing.assert_array_equal(weights, [*weight, [0, 0]][:rows])
    dataset = tf.data.Dataset.from_tensors((x, x[:, 0], weight[:, 1]))  # one weight a text
    ((_, _, weights),) = even_rows(dataset, replicas).as_numpy_iterator()
    np.testing.assert_array_equal(weights, [*weight[:, 1], 0][:rows])


def strings(*shapes):
    return tuple(tf.zeros(shape, tf.string) for shape in shapes)


@pytest.mark.parametrize(
    ("examples", "raw"),
    [
        ([("a", "b")], True),
        ([["a", "b"], ["c", "d"]], True),
        ((("a", "b"),), True),
        ({("a", "b"): 1}, False),
        ([], False),
        (None, False),
        ("text", False),
        (["a", "b"], False),
        (iter([("a", "b")]), False),
        ([np.zeros(3), np.zeros(3)], False),
        (np.zeros((2, 3)), False),
    ],
)
def test_raw_examples_are_told_from_arrays(examples, raw):
    assert is_raw(examples) is raw


def test_a_dataset_is_raw_when_it_holds_strings_alone(numbered):
    slices = tf.data.Dataset.from_tensor_slices
    assert is_raw(slices(strings((4,), (4,))))
    assert is_raw(slices(strings((4,), (4,))).batch(2))
    assert not is_raw(slices((tf.zeros((4,), tf.string), tf.zeros((4,)))))
    assert not is_raw(numbered.epoch(0))
