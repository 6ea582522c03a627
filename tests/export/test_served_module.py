import numpy as np
import pytest
import tensorflow as tf

from tflm.export.served_module import ServedModule, mean_of_tokens, one_at_least, signature


class Shouting(ServedModule):
    """Two signatures, of which one is offered."""

    OFFERED = ("serving_default",)

    def _builders(self):
        return {
            "serving_default": lambda: signature(
                lambda text: {"text": tf.strings.upper(text)}, text=tf.string
            ),
            "long": lambda: signature(
                lambda text, times: {"size": tf.strings.length(text) * times[:, 0]},
                text=tf.string,
                times=tf.TensorSpec([None, 1], tf.int32),
            ),
        }


def test_signatures_are_those_that_are_asked_for():
    module = Shouting([])
    assert list(module.signatures()) == ["serving_default"]
    for asked in ("all", "long", ["long"]):
        assert list(module.offer(asked).signatures()) == ["serving_default", "long"]
    assert list(module.offer([]).signatures()) == ["serving_default"]
    assert list(module.offer(None).signatures()) == list(Shouting.OFFERED)


def test_inputs_have_their_names():
    functions = Shouting([]).offer("all").signatures()
    found = functions["long"](text=tf.constant(["ab", "cde"]), times=tf.constant([[2], [3]]))
    assert found["size"].numpy().tolist() == [4, 9]
    found = functions["long"](tf.constant(["ab"]), times=tf.constant([[5]]))
    assert found["size"].numpy().tolist() == [10]


def test_a_signature_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="'all' or some of serving_default, long. Received: 'lon'"):
        Shouting([]).offer(["long", "lon"])


def test_the_mean_is_that_of_real_tokens():
    hidden = tf.constant(np.arange(12.0).reshape(2, 3, 2), tf.bfloat16)
    found = mean_of_tokens(hidden, tf.constant([[True, True, False], [False] * 3]))
    assert found.dtype == tf.float32
    assert found.numpy().tolist() == [[1.0, 2.0], [0.0, 0.0]]


def test_of_nothing_there_is_one():
    count, values = one_at_least(tf.constant([], tf.string))
    assert (int(count), values.numpy().tolist()) == (0, [b""])
    count, values = one_at_least(tf.constant([4, 5]))
    assert (int(count), values.numpy().tolist()) == (2, [4, 5])
