import numpy as np
import tensorflow as tf

from tflm.data.generated import generated


def counted(count):
    def numbers():
        for number in range(count):
            yield np.full((2,), number, "int32")

    return numbers


def test_a_dataset_yields_what_the_generator_does_again_and_again():
    dataset = generated(counted(5), tf.TensorSpec((2,), tf.int32), num_ahead=3)
    for _ in range(2):
        assert [int(each[0]) for each in dataset] == [0, 1, 2, 3, 4]
    assert dataset.element_spec == tf.TensorSpec((2,), tf.int32)


def test_nothing_is_tuned_whose_tuner_an_iterator_would_wait_for():
    dataset = generated(counted(1), tf.TensorSpec((2,), tf.int32))
    assert dataset.options().autotune.enabled is False
    assert dataset.take(1).options().autotune.enabled is False
