import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.generation import Beam, Greedy, Limits, Sample, generate
from tflm.generation.stopping import StopStrings, stop_strings

PAD, BOS, EOS = 0, 2, 3
SALTS = (11, 101, 307, 405, 17, 23, 211)
# What the tokens of the small model write: parts of characters, too.
WRITTEN = [b"", b"", b"", b"", b"a", b"b", b" b", "公".encode()[:2], "公".encode()[2:], b"ab\n"]

letters = st.text("ab公园\n", min_size=1, max_size=4)
tokens = st.lists(st.binary(max_size=3) | letters.map(str.encode), min_size=1, max_size=6)


def first_stop(text, stop):
    """Where the first stop string that ends begins, byte by byte; of several, the longest."""
    for end in range(len(text) + 1):
        found = [end - len(each) for each in stop if text[:end].endswith(each)]
        if found:
            return min(found)
    return None


@settings(max_examples=60, deadline=None)
@given(st.lists(letters, min_size=1, max_size=4), tokens, st.data())
def test_a_stop_string_is_found_with_the_token_that_completes_it(stop, later, data):
    row = data.draw(st.lists(st.integers(0, len(later) - 1), max_size=9))
    rule = StopStrings(stop_strings(stop), later, later)
    states, text, found = tf.constant([1]), b"", False
    for token in row:
        text += later[token]
        states = rule.after(states, tf.constant([token]))
        found = found or any(each.encode() in text for each in stop)
        assert bool(rule.is_found(states)[0]) == found


@settings(max_examples=100, deadline=None)
@given(st.lists(letters, min_size=1, max_size=5), st.text("ab公园\n", max_size=12))
def test_what_is_left_out_changes_no_cut_and_then_the_first_to_begin_ends_first(stop, text):
    kept = stop_strings(stop)
    assert set(kept) <= set(stop)
    place = first_stop(text, stop)
    assert first_stop(text, kept) == place
    starts = [text.find(each) for each in kept if each in text]
    assert min(starts, default=None) == place


def test_the_first_token_of_a_text_writes_something_else():
    rule = StopStrings([" b"], [b"", b"b", b"c"], [b"", b" b", b"c"])
    before = tf.ragged.constant([[], [0, 0], [2], [0, 1]], dtype=tf.int32)
    states = rule.after(rule.start(before), tf.constant([0] * 4))  # which writes nothing
    assert rule.is_found(rule.after(states, tf.constant([1] * 4))).numpy().tolist() == [
        False,
        False,
        True,
        True,
    ]


def test_tokens_that_do_the_same_share_a_column():
    later = [b"x%d" % i for i in range(500)] + [b"a\n", b"\n", b"\n\n"]
    rule = StopStrings(["\n\n"], later, later)
    assert rule._table.shape == (4, 4)


def test_a_stop_string_is_one_or_several_and_never_empty():
    assert stop_strings("ab") == ("ab",)
    assert stop_strings(["b", "abc", "b", "xb"]) == ("b", "xb")
    assert stop_strings(()) == ()
    with pytest.raises(ValueError, match=r"`stop` must hold strings that are not empty.*\['a', ''"):
        stop_strings(["a", ""])
    with pytest.raises(ValueError, match="`stop` must hold strings"):
        stop_strings([b"a"])


# in the loop


@pytest.fixture(scope="module")
def model(prefix_model):
    return prefix_model(prefix_model.random_table(len(WRITTEN), 5, spread=0.7), SALTS)


def search(model, strategy, stop, **options):
    rule = StopStrings(stop, WRITTEN, WRITTEN) if stop else None
    states = None if rule is None else rule.start(tf.zeros((len(SALTS), 0), tf.int32))
    return generate(
        model.decode,
        model.start(),
        np.full((len(SALTS), 1), BOS),
        strategy=strategy,
        limits=Limits(12, min_length=4),
        eos_id=EOS,
        pad_id=PAD,
        stop=rule,
        stop_states=states,
        **options,
    )


def written(ids):
    return b"".join(WRITTEN[i] for i in ids)


STOPS = [("ab", "公"), ("bb", " b", "\na")]


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("strategy", [Greedy(), Sample(temperature=1.3)], ids=str)
def test_a_row_ends_with_the_token_that_completes_a_stop_string(model, strategy, stop, hypotheses):
    without, ended = (search(model, strategy, each, seed=3) for each in ((), stop))
    stopped = 0
    for row in range(len(SALTS)):
        (_, _, ids, by_eos), (_, _, kept, finished) = (
            hypotheses(found, row)[0] for found in (without, ended)
        )
        sizes = range(1, len(ids) + 1)
        holds = (n for n in sizes if any(each.encode() in written(ids[:n]) for each in stop))
        size = next(holds, None)
        assert kept == ids[:size]
        assert finished == (by_eos or size is not None)
        stopped += size is not None
    assert stopped


def test_a_beam_that_holds_a_stop_string_is_a_finished_hypothesis(
    model, reference, hypotheses, same
):
    stop, beams = ("ab", "公"), 3

    class WithStop(reference):
        def ends(self, text):
            return text[-1] == EOS or any(each.encode() in written(text) for each in stop)

        def beam(self, num_beams):
            live, pool = [(0.0, [])], []
            for _ in range(self.limits.max_length):
                found = [
                    (log_prob + value, [*text, token])
                    for log_prob, text in live
                    for value, token in self.continuations(text)
                ]
                found = sorted(found, key=lambda each: -each[0])[: 2 * num_beams]
                pool += [each for each in found[:num_beams] if self.ends(each[1])]
                live = [each for each in found if not self.ends(each[1])][:num_beams]
            pool = [self.hypothesis(*each) for each in [*pool, *live]]
            return sorted(pool, key=lambda each: -each[0])

        def hypothesis(self, log_prob, text):
            score, log_prob, ids, _ = super().hypothesis(log_prob, text)
            return score, log_prob, ids, self.ends(text)

    ours = search(model, Beam(beams, beams, "gnmt", 0.6), stop)
    for row in range(len(SALTS)):
        plain = WithStop(
            lambda prefix, row=row: model.naive_logits(row, prefix),
            [BOS],
            Limits(12, min_length=4),
            "gnmt",
            0.6,
        )
        same(hypotheses(ours, row), plain.beam(beams)[:beams])
    assert np.asarray(ours.finished).any()
