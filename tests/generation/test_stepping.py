import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tflm.generation import Beam, Greedy, Limits, Sample, generate
from tflm.generation.stepping import Reading, Stepper

PAD, BOS, EOS = 0, 2, 3
PROMPT = [BOS, 5, 4, 7]
LIMITS = Limits(9, min_length=3, no_repeat_ngram_size=3, repetition_penalty=1.2)


class Counted:
    """A model whose calls are counted, which in a graph are traces."""

    def __init__(self, model):
        self.model = model
        self.calls = 0

    def decode(self, token_ids, cache, index):
        self.calls += 1
        return self.model.decode(token_ids, cache, index)


def make(model, strategy, limits=LIMITS):
    return Stepper(model.decode, strategy=strategy, limits=limits, eos_id=EOS, pad_id=PAD)


@pytest.fixture(scope="module")
def model(prefix_model):
    return prefix_model(prefix_model.random_table(9, 4, spread=0.8), (101,))


@pytest.fixture(scope="module")
def attention(attention_model):
    return attention_model(seed=2)


@pytest.mark.parametrize("strategy", [Greedy(), Sample(temperature=1.4, top_k=5)], ids=str)
def test_tokens_one_by_one_are_those_of_the_loop(model, strategy):
    counted = Counted(model)
    stepper = make(counted, strategy)
    for seed, size, prompt in [(1, 9, PROMPT), (2, 3, [BOS])]:
        whole = generate(
            model.decode,
            model.start(),
            np.array([prompt]),
            strategy=strategy,
            limits=dataclasses.replace(LIMITS, max_length=size),
            eos_id=EOS,
            pad_id=PAD,
            seed=tf.constant([seed]),
        )
        reading = Reading(model.start)
        found = list(stepper.tokens(reading, prompt, size, seed))
        assert found == whole.token_ids.numpy()[0, 0].tolist()
    assert counted.calls == 2  # one trace for prompts, one for tokens


def test_nothing_is_read_before_a_token_is_asked_for_and_no_more_than_it_needs(model):
    stepper, reading = make(model, Greedy()), Reading(model.start)
    tokens = stepper.tokens(reading, PROMPT, 9, 0)
    assert reading.num_read == 0
    first = next(tokens)
    assert (reading.num_read, reading.ids) == (4, PROMPT)
    second = next(tokens)
    assert reading.ids == [*PROMPT, first]
    tokens.close()
    assert list(stepper.tokens(reading, PROMPT, 2, 0)) == [first, second]


def test_a_text_that_goes_on_is_read_from_where_it_differs(attention):
    memory = tf.constant(np.random.default_rng(0).normal(size=(1, 5, 10)), tf.float32)
    stepper = make(attention, Greedy(), Limits(6))
    reading = Reading(lambda: attention.start(memory))
    list(stepper.tokens(reading, [BOS, 5, 6, 7, 8], 4, 0))
    before = reading.num_read
    longer = [BOS, 5, 6, 9, 4, 10]
    found = list(stepper.tokens(reading, longer, 1, 0))
    assert reading.num_read - before == 3  # 9, 4 and 10
    fresh = Reading(lambda: attention.start(memory))
    assert list(stepper.tokens(fresh, longer, 1, 0)) == found
    for ours, theirs in zip(
        tf.nest.flatten(reading.cache["step"]), tf.nest.flatten(fresh.cache["step"]), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_last_token_is_read_again_for_what_follows_it(attention):
    memory = tf.zeros((1, 3, 10))
    stepper, reading = make(attention, Greedy()), Reading(lambda: attention.start(memory))
    first = next(stepper.tokens(reading, PROMPT, 5, 0))
    assert next(stepper.tokens(reading, PROMPT, 5, 0)) == first
    assert reading.num_read == len(PROMPT) + 1


def test_a_state_that_only_goes_on_is_begun_again(model):
    reading = Reading(model.start)  # whose sums do not grow along the text
    reading.extend([5, 6, 7], {"keys": tf.ones((1, 2, 3, 3)), "sums": tf.ones((1, 1), tf.int32)})
    assert reading.keep_prefix([5, 6, 7, 8]) == 3
    assert int(reading.cache["step"]["sums"][0, 0]) == 1
    assert reading.keep_prefix([5, 6, 9]) == 0
    assert reading.ids == []
    assert int(reading.cache["step"]["sums"][0, 0]) == 0
    assert reading.cache["step"]["keys"].shape[2] == 0


def test_a_beam_is_refused(model):
    with pytest.raises(ValueError, match="`strategy` must be Greedy or Sample: .*Beam.num_beams=2"):
        make(model, Beam(num_beams=2))
