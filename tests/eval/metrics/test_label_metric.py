import importlib
import sys

import pytest

from tflm.eval.metrics.classification import Accuracy, MatthewsCorrelation
from tflm.eval.metrics.label_metric import sklearn_metrics, sklearn_signature

LABELS = ["负面", "正面"]


def test_the_signature_names_the_package_and_its_version():
    version = importlib.import_module("sklearn").__version__
    assert sklearn_signature("labels:2", "") == f"labels:2|scikit-learn:{version}"


def test_a_missing_scikit_learn_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(ImportError, match=r"pip install 'tflm\[eval\]'"):
        sklearn_metrics()
    with pytest.raises(ImportError, match="classification metrics need scikit-learn"):
        MatthewsCorrelation(LABELS).score(["正面"], ["正面"])
    # Accuracy is a quotient and needs no package.
    assert Accuracy(LABELS).score(["正面"], ["正面"]).value == 1


def test_references_are_checked_before_any_prediction():
    assert Accuracy(LABELS).check_references(["正面"]) == ["正面"]
    with pytest.raises(ValueError, match=r"Received: references\[0\]='好'"):
        Accuracy(LABELS).check_references(["好"])
    with pytest.raises(TypeError, match="must be a collection of labels"):
        Accuracy(LABELS, multi_label=True).check_references(["正面"])


def test_as_many_predictions_as_references():
    with pytest.raises(ValueError, match="Received: 2 hypotheses, 1 references"):
        Accuracy(LABELS).score(["正面", "负面"], ["正面"])
