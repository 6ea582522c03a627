import inspect

import numpy as np
import pytest
import tensorflow as tf

from tflm.generation import Beam, Greedy, Sample, Strategy
from tflm.generation.protocol import Request, trimmed


def test_columns_that_are_padding_everywhere_are_dropped():
    token_ids = tf.constant([[[5, 6, 0, 0]], [[7, 0, 0, 0]]])
    numbers = tf.zeros((2, 1))
    answer = trimmed(token_ids, tf.constant([[2], [1]]), numbers, numbers, numbers > 0)
    np.testing.assert_array_equal(answer.token_ids, [[[5, 6]], [[7, 0]]])


def test_no_sentences_give_no_columns():
    numbers = tf.zeros((0, 3))
    answer = trimmed(tf.zeros((0, 3, 4), tf.int32), tf.cast(numbers, tf.int32), numbers, numbers, 0)
    assert answer.token_ids.shape == (0, 3, 0)


@pytest.mark.parametrize("strategy", [Greedy, Sample, Beam])
def test_every_strategy_has_the_protocols_methods_and_arguments(strategy):
    for name in ("start", "choose", "is_done", "finish"):
        asked = inspect.signature(getattr(Strategy, name)).parameters
        assert list(inspect.signature(getattr(strategy, name)).parameters) == list(asked)


@pytest.mark.parametrize(("strategy", "rows"), [(Greedy(), 1), (Sample(), 1), (Beam(5, 2), 5)])
def test_state_is_a_flat_dict_with_a_row_per_sentence(strategy, rows):
    prompt = tf.constant([[2], [4], [6]])
    request = Request(prompt, tf.constant([7, 7, 7]), 7, eos_id=3, pad_id=0, seed=1)
    state = strategy.start(request)
    assert strategy.num_beams == rows
    assert {value.shape[0] for value in state.values()} == {3}
