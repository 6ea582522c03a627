import math

import pytest

from tflm.eval.evaluation import evaluate
from tflm.eval.metrics.base import Score
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.ter import TER
from tflm.eval.requirements import (
    Requirement,
    RequirementsNotMet,
    check_known,
    check_requirements,
)


@pytest.fixture(scope="module")
def report():
    texts = ["ein Hund läuft im Park", "die Katze schläft heute fest"]
    return evaluate(texts, None, texts, [BLEU("de"), TER("de")], num_resamples=20)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("bleu>=30", ("bleu", ">=", 30.0)),
        (" chrf++ > 5.5 ", ("chrf++", ">", 5.5)),
        ("ter<=1e2", ("ter", "<=", 100.0)),
        ("ece<0.1", ("ece", "<", 0.1)),
    ],
)
def test_a_requirement_is_a_metric_a_comparison_and_a_number(text, parts):
    found = Requirement.parse(text)
    assert (found.metric, found.comparison, found.bound) == parts
    assert Requirement.parse(str(found)) == found


@pytest.mark.parametrize(
    "text", ["bleu", "bleu=30", ">=30", "bleu>=", "bleu>=many", "bleu>=nan", "a>=1>=2", ""]
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=f"`require` must be a metric, one of.*: '{text}'"):
        Requirement.parse(text)


def test_bounds_hold_or_do_not():
    score = Score(name="bleu", label="BLEU", value=30.0, num_examples=3, signature="")
    met = [Requirement("bleu", sign, 30.0).is_met(score) for sign in (">=", "<=", ">", "<")]
    assert met == [True, True, False, False]
    nothing = Score(name="bleu", label="BLEU", value=math.nan, num_examples=3, signature="")
    assert not Requirement("bleu", ">=", 0).is_met(nothing)
    assert not Requirement("bleu", "<=", 100).is_met(nothing)


def test_a_report_that_falls_short_is_refused_with_all_figures(report):
    bounds = [Requirement.parse(text) for text in ("bleu>=99", "ter<=0")]
    assert check_requirements(bounds, report) is None
    with pytest.raises(RequirementsNotMet) as error:
        check_requirements([bounds[0], Requirement.parse("ter<0")], report)
    lines = str(error.value).splitlines()
    assert lines[0] == "the model falls short, nothing was written"
    assert "bleu>=99  met: BLEU|nrefs:1" in lines[1]
    assert "ter<0  NOT MET: TER|nrefs:1" in lines[2]
    assert "= 0.00 [0.00, 0.00] (2 examples)" in lines[2]


def test_an_unknown_score_lists_the_known_ones(report):
    message = "`require` must name one of bleu, ter. Received: 'rouge1>=3'"
    with pytest.raises(ValueError, match=message):
        check_requirements([Requirement.parse("rouge1>=3")], report)
    with pytest.raises(ValueError, match=message):
        check_known([Requirement.parse("ter<3"), Requirement.parse("rouge1>=3")], ["bleu", "ter"])
