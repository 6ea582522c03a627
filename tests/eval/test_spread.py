import dataclasses
import json
import math
import statistics

import pytest

from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.spread import spread

REFERENCES = ["ein Hund läuft im Park", "我们去京都"]


def runs(metric):
    outputs = [
        ["ein Hund läuft im Wald", "我们"],
        ["der Hund läuft im Park", "我们去东京"],
        ["Hund", ""],
    ]
    return [metric.score(hypotheses, REFERENCES) for hypotheses in outputs]


def test_mean_and_deviation_are_those_of_the_values():
    scores = runs(CHRF())
    values = [score.value for score in scores]
    found = spread(scores)
    assert found.values == tuple(values)
    assert found.mean == pytest.approx(statistics.mean(values))
    assert found.deviation == pytest.approx(statistics.stdev(values))
    assert (found.name, found.signature) == ("chrf", scores[0].signature)


def test_a_spread_prints_one_line_and_writes_json():
    found = spread(runs(CHRF()))
    assert found.format() == (
        f"chrF2|{found.signature} = {found.mean:.2f} ± {found.deviation:.2f} (3 runs)"
    )
    values = json.loads(json.dumps(found.to_dict()))
    assert (values["mean"], values["values"]) == (found.mean, list(found.values))


def test_a_single_run_has_no_deviation():
    with pytest.raises(ValueError, match="must be those of two or more runs. Received: 1"):
        spread(runs(CHRF())[:1])


def test_scores_with_different_settings_are_refused():
    scores = [runs(BLEU("de"))[0], runs(BLEU("zh"))[1]]
    with pytest.raises(ValueError, match="one signature. Received: bleu|.*13a.*, bleu|.*tok:zh"):
        spread(scores)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_without_a_number_in_a_run_there_is_no_deviation(value):
    first, *others = runs(CHRF())
    found = spread([dataclasses.replace(first, value=value), *others])
    assert math.isnan(found.deviation)
    assert "± nan" in found.format()
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["name"] == "chrf"
