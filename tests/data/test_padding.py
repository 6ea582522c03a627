import numpy as np
import pytest
import tensorflow as tf

from tflm.data import measure_padding


def batch(source_lengths, source_width, target_lengths, target_width):
    encoder = tf.sequence_mask(source_lengths, source_width)
    decoder = tf.sequence_mask(target_lengths, target_width)
    x = {"encoder_padding_mask": encoder, "decoder_padding_mask": decoder}
    return x, tf.cast(decoder, tf.int32), tf.cast(decoder, tf.float32)


def dataset(*batches):
    signature = tf.nest.map_structure(lambda t: tf.TensorSpec([None, None], t.dtype), batches[0])
    return tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=signature)


def test_padding_is_the_share_of_tokens_that_are_not_real():
    padding = measure_padding(dataset(batch([3, 1], 4, [5, 5], 5), batch([2], 4, [1], 7)))
    assert padding.source == pytest.approx(1 - 6 / 12)
    assert padding.target == pytest.approx(1 - 11 / 17)
    assert padding.total == pytest.approx(1 - 17 / 29)
    assert padding.num_batches == 2
    assert padding.num_tokens == 11
    assert padding.shapes == {(4, 5), (4, 7)}


def test_full_batches_have_no_padding():
    padding = measure_padding(dataset(batch([3, 3], 3, [2, 2], 2)))
    assert np.array([padding.source, padding.target, padding.total]).tolist() == [0, 0, 0]


def test_an_empty_data_set_has_no_padding_to_measure():
    empty = dataset(batch([1], 1, [1], 1)).take(0)
    with pytest.raises(ValueError, match="`dataset` must hold at least one batch"):
        measure_padding(empty)
