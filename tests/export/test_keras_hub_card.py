import json
import types

import pytest

from tflm.export.keras_hub_card import CARD_FILE, card
from tflm.tasks.model_card import CARD_FILE as CARD_FILE_OF_TASKS
from tflm.tasks.model_card import model_card, to_json


@pytest.fixture(scope="module")
def classifier():
    pytest.MonkeyPatch().setenv("KERAS_BACKEND", "tensorflow")
    models = pytest.importorskip("keras_hub").models
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 6, "intermediate_dim": 10}
    backbone = models.BertBackbone(17, max_sequence_length=13, dropout=0.3, **sizes)
    return models.BertTextClassifier(backbone, 3)


def test_the_card_is_that_of_a_task(classifier):
    module = types.SimpleNamespace(
        TASK="SentimentAnalysis", settings=lambda: {"labels": ["坏", "好"]}, limits=lambda: {"S": 9}
    )
    files = card(classifier, module)
    assert files.keys() == {CARD_FILE} == {CARD_FILE_OF_TASKS}
    found = json.loads(files[CARD_FILE])
    assert files[CARD_FILE] == to_json(found)
    expected = model_card("SentimentAnalysis", found["model"], {"S": 9}, weights=found["weights"])
    versions = expected.pop("versions")
    del versions["sacrebleu"]
    assert found.pop("versions").items() >= versions.items()
    assert found == expected
    model = found["model"]
    assert model["architecture"] == "BertTextClassifier"
    assert model["labels"] == ["坏", "好"]
    assert model["config"]["hidden_dim"] == 6
    assert model["config"]["dropout"] == 0.3
    assert "dtype" not in model["config"]
    assert found["weights"] == {
        "dtype": "float32",
        "bytes": 4 * model["parameters"],
        "float32_bytes": 4 * model["parameters"],
    }
    assert model["parameters"] == classifier.count_params() > 100
