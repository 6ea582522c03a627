import json
import re

import pytest

from tflm.eval.comparison import compare
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.ter import TER
from tflm.eval.significance import approximate_randomization, paired_bootstrap

REFERENCES = ["我们今天去公园", "他在北京工作", "天气很好", "老师在学校", "我喜欢喝茶"] * 4
GOOD = ["我们今天去公园", "他在北京工作", "天气好", "老师在学校里", "我喜欢喝茶"] * 4
BAD = ["我们去", "他工作", "天气", "老师", "<b>喝茶|"] * 4
SOURCES = [f"source {number}" for number in range(20)]
METRICS = [BLEU("zh"), CHRF(), TER("zh")]


@pytest.fixture(scope="module")
def found():
    return compare(
        {"good": GOOD, "bad|worse": BAD, "same": GOOD},
        SOURCES,
        REFERENCES,
        METRICS,
        num_resamples=100,
        data="twenty | lines",
        target_language="zh",
    )


def test_scores_and_tests_are_those_of_their_own_functions(found):
    metric = METRICS[0]
    statistics = [metric.statistics(texts, REFERENCES) for texts in (GOOD, BAD)]
    assert found.comparisons[0][0] == paired_bootstrap(metric, *statistics, num_resamples=100)
    assert found.systems[1]["bleu"].value == metric.score(BAD, REFERENCES).value
    assert found.systems[1]["bleu"].interval.num_resamples == 100
    other = compare(
        {"good": GOOD, "bad": BAD},
        None,
        REFERENCES,
        [metric],
        test="randomization",
        num_resamples=20,
    )
    expected = approximate_randomization(metric, *statistics, num_trials=200)
    assert other.comparisons == ((expected,),)
    assert other.test == (
        "p: approximate randomization, two-sided, against good; 200 trials, seed 12345"
    )


def test_a_system_differs_from_a_bad_one_and_not_from_itself(found):
    worse, same = found.comparisons
    assert all(comparison.p_value < 0.05 for comparison in worse)
    assert worse[0].difference < 0 < worse[2].difference  # TER: more is worse
    assert all(comparison.p_value == 1.0 and comparison.difference == 0 for comparison in same)


def test_the_table_says_which_test_it_is_and_marks_what_is_significant(found):
    text = found.to_text(120)
    assert re.search(r"BLEU\s.*good", text)
    assert re.search(r"bad\|worse\s.* -\d+\.\d\d .* 0\.\d{4} \*", text)
    assert re.search(r"same\s.* \+0\.00 .* 1\.0000 ", text)
    caption = " ".join(text.split())
    assert "paired bootstrap, two-sided, against good" in caption
    assert "6 tests, not corrected" in caption
    assert "tok:zh" in text
    assert max(map(len, text.splitlines())) <= 120


def test_json_and_markdown_carry_everything(found):
    values = json.loads(found.to_json())
    assert values["baseline"] == "good"
    assert [system["name"] for system in values["systems"]] == ["good", "bad|worse", "same"]
    first = values["comparisons"][0]
    assert (first["name"], first["metric"]) == ("bad|worse", "bleu")
    assert first["test"] == "paired bootstrap"
    assert first["difference"] < 0
    lines = found.to_markdown().splitlines()
    assert "Data: twenty \\| lines" in lines
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + 9
    assert all(line.replace("\\|", "").count("|") == 7 for line in rows)


def test_the_page_shows_the_examples_that_differ_most(found):
    text = found.to_html()
    assert text.count('<article class="example">') == 15
    assert "&lt;b&gt;" in text and "<b>" not in text
    assert "https" not in text
    for number, source, hypotheses, references in found.examples:
        assert source == SOURCES[number - 1]
        assert references == (REFERENCES[number - 1],)
        assert hypotheses == (GOOD[number - 1], BAD[number - 1], GOOD[number - 1])


def test_equal_systems_have_no_examples_that_differ():
    found = compare({"a": GOOD, "b": GOOD}, None, REFERENCES, [CHRF()], num_resamples=10)
    assert found.examples == ()
    assert "Where they differ" not in found.to_html()


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="`systems` must be at least two. Received: a"):
        compare({"a": GOOD}, None, REFERENCES, METRICS)
    with pytest.raises(ValueError, match="`test` must be one of bootstrap, .*test='sign'"):
        compare({"a": GOOD, "b": BAD}, None, REFERENCES, METRICS, test="sign")
    with pytest.raises(ValueError, match="Received: 19 hypotheses of b, 20 references"):
        compare({"a": GOOD, "b": BAD[1:]}, None, REFERENCES, METRICS)
    with pytest.raises(ValueError, match="Received: 2 sources, 20 references"):
        compare({"a": GOOD, "b": BAD}, ["x", "y"], REFERENCES, METRICS)
