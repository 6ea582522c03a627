"""The card of an exported model: what it is, how good it is and on what, and its limits."""

import importlib.metadata
import json
import pathlib
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import tflm
from tflm.eval import Report

CARD_FILE = "model_card.json"
_PACKAGES = ("tensorflow", "tensorflow-text", "keras", "sacrebleu")


def model_card(
    task: str,
    model: Mapping[str, Any],
    limits: Mapping[str, Any],
    *,
    report: Report | None = None,
    require: Sequence[str] = (),
    training: Mapping[str, Any] | None = None,
    licence: str = "",
    weights: Mapping[str, Any] | None = None,
    float32: Report | None = None,
) -> dict[str, Any]:
    """What goes into the card; plain values that JSON can hold.

    Args:
        task: class of the task, "Translation" say.
        model: architecture, configuration, number of parameters, how it decodes.
        limits: what of the input and of the output is cut, in tokens.
        report: the evaluation before the export.
        require: the requirements that it met.
        training: settings of the run that trained it, its seed among them, and what its cleaning
            of the data did.
        licence: under which the model may be used.
        weights: the dtype that they are written in, their bytes, and what float32's would be.
        float32: where they are in another dtype, the evaluation of the model in float32.
    """
    evaluation = None
    if report is not None:
        evaluation = {
            "data": report.data,
            "num_examples": report.num_examples,
            "target_language": report.target_language,
            "scores": [score.to_dict() for score in report.scores],
            "required": list(require),
        }
        if float32 is not None:
            evaluation["float32_scores"] = [score.to_dict() for score in float32.scores]
    return {
        "task": task,
        "model": dict(model),
        "licence": licence or None,
        "weights": dict(weights or {}),
        "training": dict(training or {}),
        "limits": dict(limits),
        "evaluation": evaluation,
        "versions": {
            "python": platform.python_version(),
            "tflm": tflm.__version__,
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    }


def to_json(card: Mapping[str, Any]) -> str:
    """The card as indented JSON that keeps every script readable."""
    return json.dumps(card, ensure_ascii=False, indent=2) + "\n"


def summary(path: pathlib.Path) -> str:
    """A line about an exported model: its weights and its scores, and those of float32 beside them.

    Args:
        path: the directory of a version that has a card.
    """
    card = json.loads((path / "assets.extra" / CARD_FILE).read_text(encoding="utf-8"))
    weights, evaluation = card["weights"], card["evaluation"] or {}
    share = weights["bytes"] / weights["float32_bytes"]
    line = f"{weights['dtype']}, {weights['bytes']:,} bytes of weights, {share:.2f} of float32's"
    exact = {each["name"]: each["value"] for each in evaluation.get("float32_scores", [])}
    scores = [
        f"{each['name']} {each['value']:.2f}"
        + (f" (in float32 {exact[each['name']]:.2f})" if each["name"] in exact else "")
        for each in evaluation.get("scores", [])
    ]
    return "; ".join([line, *scores])
