import dataclasses
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.generation import LENGTH_PENALTIES, Beam, Greedy, Limits, generate

PAD, BOS, EOS = 0, 2, 3
SALTS = (11, 101, 307)

limits_of = st.builds(
    lambda longest, shortest, size, penalty: Limits(longest, min(shortest, longest), size, penalty),
    st.integers(1, 8),
    st.integers(0, 4),
    st.sampled_from([0, 0, 1, 2, 3]),
    st.sampled_from([1.0, 1.0, 1.4, 0.7]),
)
penalties = st.sampled_from(
    [("none", 0.6), ("gnmt", 0.6), ("gnmt", 2.5), ("gnmt", -1.0), ("power", 1.0), ("power", -0.5)]
)


def search(model, strategy, limits, prompt=(BOS,), **options):
    prompts = np.tile(np.asarray(prompt), (len(model.salts), 1))
    return generate(
        model.decode,
        model.start(),
        prompts,
        strategy=strategy,
        limits=limits,
        eos_id=EOS,
        pad_id=PAD,
        **options,
    )


def first_step(probabilities, continuation):
    """A model that says `probabilities` first and `continuation` ever after."""
    tables = np.log(np.asarray([probabilities, continuation], "float32"))

    def decode(token_ids, cache, index):
        table = tf.constant(tables)[tf.minimum(index, 1)]
        return tf.tile(table[None, None], (tf.shape(token_ids)[0], 1, 1)), cache

    return decode


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    vocab_size=st.integers(5, 9),
    num_beams=st.integers(1, 5),
    num_return=st.integers(1, 5),
    penalty=penalties,
    limits=limits_of,
)
def test_equals_a_plain_search_that_never_stops_early(
    prefix_model,
    reference,
    hypotheses,
    same,
    seed,
    vocab_size,
    num_beams,
    num_return,
    penalty,
    limits,
):
    model = prefix_model(prefix_model.random_table(vocab_size, seed), SALTS)
    strategy = Beam(num_beams, min(num_return, num_beams), *penalty)
    answer = search(model, strategy, limits, prompt=(BOS, 4))
    for row in range(len(SALTS)):
        plain = reference(partial(model.naive_logits, row), (BOS, 4), limits, *penalty)
        expected = plain.beam(num_beams)[: strategy.num_return]
        found = [each for each in hypotheses(answer, row) if np.isfinite(each[0])]
        same(found, expected)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), penalty=penalties, limits=limits_of)
def test_a_beam_that_holds_everything_finds_the_best_there_are(
    prefix_model, reference, hypotheses, same, seed, penalty, limits
):
    limits = dataclasses.replace(
        limits, max_length=min(limits.max_length, 4), min_length=min(limits.min_length, 1)
    )
    model = prefix_model(prefix_model.random_table(5, seed), SALTS[:2])
    answer = search(model, Beam(350, 9, *penalty), limits)
    for row in range(2):
        plain = reference(partial(model.naive_logits, row), (BOS,), limits, *penalty)
        found = [each for each in hypotheses(answer, row) if np.isfinite(each[0])]
        same(found, plain.everything()[:9])


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), limits=limits_of)
def test_one_beam_without_length_penalty_is_greedy(prefix_model, hypotheses, same, seed, limits):
    limits = dataclasses.replace(limits, no_repeat_ngram_size=0)
    model = prefix_model(prefix_model.random_table(8, seed), SALTS)
    beam = search(model, Beam(1, length_penalty="none"), limits)
    greedy = search(model, Greedy(), limits)
    for row in range(len(SALTS)):
        same(hypotheses(beam, row), hypotheses(greedy, row))


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000), num_beams=st.integers(1, 4), penalty=penalties, limits=limits_of
)
def test_forced_tokens_count_in_the_length_penalty(
    prefix_model, reference, hypotheses, same, seed, num_beams, penalty, limits
):
    model = prefix_model(prefix_model.random_table(7, seed), SALTS)
    answer = search(model, Beam(num_beams, 1, *penalty), limits, prompt=(BOS, 4, 5), num_forced=2)
    for row in range(len(SALTS)):
        plain = reference(partial(model.naive_logits, row), (BOS, 4, 5), limits, *penalty)
        of_length = plain.penalty
        plain.penalty = lambda length, of_length=of_length: of_length(length + 2)
        found = [each for each in hypotheses(answer, row) if np.isfinite(each[0])]
        same(found, plain.beam(num_beams)[:1])


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    num_beams=st.integers(1, 4),
    penalty=penalties,
    limits=limits_of,
    coverage_penalty=st.sampled_from([0.3, 2.0]),
)
def test_attending_again_costs_what_the_coverage_penalty_says(
    prefix_model, reference, hypotheses, same, seed, num_beams, penalty, limits, coverage_penalty
):
    limits = dataclasses.replace(limits, coverage_penalty=coverage_penalty)
    model = prefix_model(prefix_model.random_table(6, seed), SALTS)

    def again(hashed):
        return hashed % 5 / 4

    class Covered(type(model)):
        def decode(self, token_ids, cache, index):
            logits, after = super().decode(token_ids, cache, index)
            return logits, {**after, "overlap": tf.cast(again(hashes(after)), tf.float32)}

    def hashes(cache):
        tokens = tf.cast(cache["step"]["keys"][:, 0, :, 0], tf.int32)  # (N, t)
        return tf.cumsum(tokens, axis=1)

    class PlainCovered(reference):
        def continuations(self, text):
            cost = coverage_penalty * again(sum([*self.prompt, *text]))
            return [(value - cost, token) for value, token in super().continuations(text)]

    covered = Covered(model.table, model.salts)
    answer = search(covered, Beam(num_beams, 1, *penalty), limits, prompt=(BOS, 4))
    for row in range(len(SALTS)):
        plain = PlainCovered(partial(model.naive_logits, row), (BOS, 4), limits, *penalty)
        found = [each for each in hypotheses(answer, row) if np.isfinite(each[0])]
        same(found, plain.beam(num_beams)[:1])


def test_a_model_that_does_not_copy_has_no_coverage(prefix_model):
    model = prefix_model(prefix_model.random_table(6, 1), SALTS)
    with pytest.raises(ValueError, match="`coverage_penalty` must be 0 .*: coverage_penalty=0.5"):
        search(model, Greedy(), Limits(5, coverage_penalty=0.5))


@pytest.mark.parametrize("length_penalty", sorted(LENGTH_PENALTIES))
def test_hypotheses_are_distinct_and_sorted(prefix_model, hypotheses, length_penalty):
    model = prefix_model(prefix_model.random_table(9, 4), SALTS)
    answer = search(model, Beam(6, 6, length_penalty), Limits(7))
    for row in range(len(SALTS)):
        found = hypotheses(answer, row)
        texts = {(tuple(ids), finished) for _, _, ids, finished in found}
        assert len(texts) == 6
        assert [each[0] for each in found] == sorted((each[0] for each in found), reverse=True)


def test_a_likely_short_text_is_not_lost_to_longer_ones():
    # P(eos) = 0.6 at once, then a sure loop: the answer is the empty text, at log 0.6.
    decode = first_step([0.05, 0.35, 1e-6, 0.6], [1e-6, 1.0, 1e-6, 1e-6])
    answer = generate(
        decode,
        {"step": {}, "memory": {}},
        [[BOS]],
        strategy=Beam(2, length_penalty="none"),
        limits=Limits(5),
        eos_id=EOS,
        pad_id=PAD,
    )
    assert answer.lengths.numpy().tolist() == [[0]]
    assert answer.finished.numpy().tolist() == [[True]]
    np.testing.assert_allclose(answer.scores, [[np.log(0.6)]], atol=1e-4)


def test_a_finished_text_is_returned_once_and_its_score_stays():
    # P(eos) = 0.9 at once: the best is the empty text at log 0.9, the second another text.
    decode = first_step([0.02, 0.08, 1e-6, 0.9], [0.1, 0.1, 1e-6, 0.8])
    answer = generate(
        decode,
        {"step": {}, "memory": {}},
        [[BOS]],
        strategy=Beam(2, num_return=2, length_penalty="none"),
        limits=Limits(5),
        eos_id=EOS,
        pad_id=PAD,
    )
    assert answer.lengths.numpy().tolist() == [[0, 1]]
    assert answer.token_ids.numpy().tolist() == [[[PAD], [1]]]
    np.testing.assert_allclose(answer.scores, [[np.log(0.9), np.log(0.08 * 0.8)]], atol=1e-4)


SHARP = ([0.02, 0.08, 1e-6, 0.9], [0.1, 0.1, 1e-6, 0.8])
LOOPING = ([0.02, 0.38, 1e-6, 0.6], [0.02, 0.9, 1e-6, 0.08])
ENDLESS = ([0.02, 0.13, 1e-6, 0.85], [1e-6, 1.0, 1e-6, 1e-6])
SECOND = ([0.05, 0.65, 1e-6, 0.3], [0.05, 0.05, 1e-6, 0.9])


@pytest.mark.parametrize(
    ("strategy", "probabilities", "calls"),
    [
        # The empty text has log 0.6, the live beams are at log 0.38 and below.
        (Beam(2, length_penalty="none"), LOOPING, 1),
        (Beam(2, length_penalty="power", alpha=-1.0), LOOPING, 1),
        # Over a length of 20, log 0.38 is better than log 0.6, and stays so.
        (Beam(2, length_penalty="power", alpha=1.0), LOOPING, 20),
        # log 0.13 / 20 is better than log 0.85, but log 0.13 / 2 is not.
        (Beam(2, length_penalty="power", alpha=1.0), ENDLESS, 20),
        # 2 x log 0.65 is better than log 0.3, but 20 x log 0.65 is not.
        (Beam(2, length_penalty="power", alpha=-1.0), SECOND, 2),
        # The second best is 0.08 x 0.8, found at the second step; the rest is at 0.02 x 0.8.
        (Beam(2, num_return=2, length_penalty="none"), SHARP, 2),
    ],
)
def test_search_stops_when_nothing_returned_can_change_and_not_before(
    strategy, probabilities, calls
):
    indices = []
    inner = first_step(*probabilities)

    def decode(token_ids, cache, index):
        indices.append(int(index))
        return inner(token_ids, cache, index)

    options = {"strategy": strategy, "limits": Limits(20), "eos_id": EOS, "pad_id": PAD}
    generate(decode, {"step": {}, "memory": {}}, [[BOS]], **options)
    assert indices == list(range(calls))


def test_unfinished_texts_compete_at_the_length_limit():
    decode = first_step([1e-6, 0.98, 1e-6, 0.02], [1e-6, 1.0, 1e-6, 1e-6])
    options = {"limits": Limits(4), "eos_id": EOS, "pad_id": PAD}
    cache = {"step": {}, "memory": {}}
    answer = generate(decode, cache, [[BOS]], strategy=Beam(2, 2), **options)
    assert answer.token_ids.numpy().tolist() == [[[1, 1, 1, 1], [0, 0, 0, 0]]]
    assert answer.finished.numpy().tolist() == [[False, True]]
    assert answer.lengths.numpy().tolist() == [[4, 0]]


def test_missing_hypotheses_are_empty_and_infinitely_bad():
    decode = first_step([0.5, 0.3, 0.0 + 1e-6, 0.2], [0.25] * 4)
    answer = generate(
        decode,
        {"step": {}, "memory": {}},
        [[BOS]],
        strategy=Beam(6, 6),
        limits=Limits(1),
        eos_id=EOS,
        pad_id=PAD,
    )
    assert answer.lengths.numpy().tolist() == [[1, 1, 0, 1, 0, 0]]
    assert answer.token_ids.numpy()[0, :, 0].tolist() == [0, 1, PAD, 2, PAD, PAD]
    assert np.isneginf(answer.scores.numpy()[0, 4:]).all()
    assert np.isfinite(answer.scores.numpy()[0, :4]).all()
    assert answer.finished.numpy()[0].tolist() == [False, False, True, False, False, False]


def test_length_penalties_are_those_of_the_papers():
    length = tf.constant([1.0, 7.0])
    expected = {
        "gnmt": [1.0, 2.0**0.6],
        "power": [1.0, 7.0**0.6],
        "none": [1.0, 1.0],
    }
    assert set(expected) == set(LENGTH_PENALTIES)
    for name, values in expected.items():
        np.testing.assert_allclose(LENGTH_PENALTIES[name](length, 0.6), values, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_beams": 0}, "`num_beams` must be at least 1. Received: 0"),
        (
            {"num_beams": 2, "num_return": 3},
            "`num_return` must be between 1 and `num_beams`. Received: num_return=3, num_beams=2",
        ),
        ({"num_return": 0}, "`num_return` must be between 1 and `num_beams`"),
        (
            {"length_penalty": "nope"},
            r"`length_penalty` must be one of \['gnmt', 'none', 'power'\]. Received: 'nope'",
        ),
    ],
)
def test_impossible_beams_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Beam(**arguments)


def test_every_sentence_may_have_its_own_exponent(prefix_model, hypotheses, same):
    model = prefix_model(prefix_model.random_table(7, 5, spread=0.6), SALTS)
    alphas = [2.5, 0.0, -1.0]
    for name, rows in (("gnmt", (0, 2)), ("power", (0,)), ("none", (1,))):
        together = search(model, Beam(3, 2, name, tf.constant(alphas)), Limits(5))
        for row in rows:
            alone = search(model, Beam(3, 2, name, alphas[row]), Limits(5))
            same(hypotheses(together, row), hypotheses(alone, row))
