import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.data import TsvFile
from tflm.data.cleaning import Cleaned
from tflm.data.cleaning.steps import TextStep

PAIRS = [
    ("I  like tea.", "我喜欢喝茶。"),
    ("I like tea.", "我喜欢喝茶。"),
    ("<b>Yes</b>", "是的"),
    ("<br>", "换行"),
    ("我在家。", "I am at home."),
    ("😀👩‍👧", "😀👩‍👧"),
    ("No", "不，他们从来没有在那个公园里见过这样的事情。"),
]
EVERY_STEP = [
    "unicode", "control", "markup", "whitespace", "simplified_chinese", "length:max=200",
    "length_ratio", "script", "untranslated", "duplicates", "near_duplicates",
]  # fmt: skip
WORDS = st.sampled_from(
    ["tea", "茶", "<i>", "&amp;", "\u3000", "\x00", "😀", "the", "Я", "漢語", "é", "a", "。", "\n"]
)
SIDES = st.lists(WORDS, max_size=5).map(lambda words: "".join(words))
ROWS = st.lists(st.tuples(SIDES, SIDES, st.sampled_from(["<b>good</b>", " bad "])), max_size=9)
STEPS = st.lists(st.sampled_from([*EVERY_STEP, "stop_words", "traditional_chinese"]), max_size=6)


def counts_of(rows, steps, **options):
    cleaned = Cleaned(rows, steps, **options)
    return list(cleaned), cleaned.counts()


def test_steps_are_applied_in_order_and_counted():
    steps = ["whitespace", "markup", "script", "duplicates", "untranslated", "length_ratio"]
    rows, counts = counts_of(PAIRS, steps, languages="en-zh")
    assert rows == [("I like tea.", "我喜欢喝茶。"), ("Yes", "是的")]
    assert (counts["seen"], counts["kept"]) == (7, 2)
    assert [(step["changed"], step["dropped"]) for step in counts["steps"]] == [
        (1, 0), (1, 1), (0, 1), (0, 1), (0, 1), (0, 1),
    ]  # fmt: skip
    rows, counts = counts_of(PAIRS, ["duplicates", "whitespace"])
    assert len(rows) == 7


def test_the_summary_names_every_step_with_its_parameters():
    cleaned = Cleaned(PAIRS, ["length:min=3", "script"], languages="en-zh")
    assert cleaned.summary().splitlines() == [
        "Cleaning kept 3 of 7 examples.",
        "  length:min=3,max=1000,unit=characters: 0 changed, 3 dropped",
        "  script:languages=en-zh,min_share=0.5: 0 changed, 1 dropped",
    ]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rows=ROWS, steps=STEPS)
def test_every_pass_is_the_same_in_order_and_its_counts_add_up(rows, steps):
    cleaned = Cleaned(rows, steps, num_texts=2, languages="en-zh")
    found = list(cleaned)
    counts = cleaned.counts()
    assert list(cleaned) == found
    assert cleaned.counts() == counts == json.loads(json.dumps(counts))
    assert counts["seen"] == len(rows)
    assert counts["kept"] == len(found)
    assert counts["kept"] + sum(step["dropped"] for step in counts["steps"]) == counts["seen"]
    # Labels stay as they are; what is kept comes in its order.
    labels = iter(rows)
    assert all(any(row[2] == other[2] for other in labels) for row in found)
    if not any(isinstance(step, TextStep) for step in cleaned.steps):
        remaining = iter(rows)
        assert all(row in remaining for row in found)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(rows=ROWS)
def test_what_is_clean_stays_as_it_is(rows):
    steps = ["unicode", "control", "markup", "whitespace"]
    once = list(Cleaned(rows, [*steps * 2, "duplicates"], num_texts=2))
    assert list(Cleaned(once, ["duplicates"], num_texts=2)) == once


def test_a_part_of_a_pass_does_not_count():
    cleaned = Cleaned(PAIRS, ["duplicates"])
    assert len(list(itertools.islice(cleaned, 2))) == 2
    assert cleaned.counts()["seen"] == 7
    assert [ours == theirs for ours, theirs in zip(cleaned, cleaned, strict=True)] == [True] * 7


def test_what_is_dropped_is_decided_once(monkeypatch):
    cleaned = Cleaned(PAIRS, ["whitespace", "near_duplicates"])
    rows = list(cleaned)
    monkeypatch.setattr(type(cleaned.steps[1]), "begin", None)  # not called again
    assert list(cleaned) == rows and len(rows) < len(PAIRS)
    assert rows[0] == ("I like tea.", "我喜欢喝茶。")  # and texts are still changed


def test_rows_that_grow_between_passes_are_refused():
    grown = list(PAIRS)
    cleaned = Cleaned(grown, ["duplicates"])
    assert len(list(cleaned)) == 7
    grown.append(("a", "b"))
    with pytest.raises(ValueError, match="`rows` must be the same at every pass. .* the 7 of the"):
        list(cleaned)


def test_texts_alone_are_rows_of_one():
    assert list(Cleaned([" 茶 ", "茶"], ["whitespace", "duplicates"])) == [("茶",)]
    assert Cleaned([], ["unicode"]).counts() == {
        "seen": 0,
        "kept": 0,
        "steps": [{"step": "unicode:form=NFC", "changed": 0, "dropped": 0}],
    }


def test_labels_of_any_number_stay_as_they_are():
    rows = [("<i>a</i>", "<i>x</i>"), ("b", "y", " z "), ("c",)]
    assert list(Cleaned(rows, ["markup"], num_texts=1)) == [("a", "<i>x</i>"), *rows[1:]]


def test_rows_that_do_not_suit_are_refused():
    with pytest.raises(TypeError, match="`rows` must be re-iterable .* Received: list_iterator"):
        Cleaned(iter(PAIRS), ["unicode"])
    with pytest.raises(ValueError, match=r"`rows` must have 2 texts each. Received: \('c',\)"):
        list(Cleaned([*PAIRS, ("c",)], ["unicode"]))
    with pytest.raises(ValueError, match=r"`rows` must have 2 texts each. Received: \('a',\)"):
        list(Cleaned([("a",)], [], num_texts=2))
    with pytest.raises(ValueError, match="`clean` must name one of"):
        Cleaned(PAIRS, ["tidy"])


def test_real_pairs_are_cleaned_a_little(shared_data):
    pairs = list(itertools.islice(TsvFile(shared_data / "tatoeba_zh_en" / "train.tsv.gz"), 2000))
    cleaned = Cleaned(pairs, [*EVERY_STEP, "traditional_chinese"], languages="en-zh")
    rows, counts = list(cleaned), cleaned.counts()
    assert counts["seen"] == 2000
    assert counts["kept"] == len(rows) > 1950
    steps = {step["step"].partition(":")[0]: step for step in counts["steps"]}
    assert 3 < steps["near_duplicates"]["dropped"] < 30
    assert steps["duplicates"]["dropped"] == steps["script"]["dropped"] == 0
    assert steps["simplified_chinese"]["changed"] < 20
    assert steps["traditional_chinese"]["changed"] > 1700
    stopped = Cleaned(pairs, ["stop_words"], languages="en-zh").counts()
    assert stopped["kept"] > 1900 < stopped["steps"][0]["changed"]
