import json

import tflm
from tflm.eval import BLEU, evaluate
from tflm.tasks.model_card import model_card, to_json


def test_a_card_says_what_how_good_and_by_what():
    texts = ["他在北京工作", "天气很好"]
    report = evaluate(texts, None, texts, [BLEU("zh")], data="两句", num_resamples=9)
    card = model_card(
        "Translation",
        {"architecture": "transformer"},
        {"max_source_length": 512},
        report=report,
        require=["bleu>=30"],
        training={"seed": 1},
    )
    text = to_json(card)
    assert json.loads(text) == card
    assert "两句" in text
    assert card["evaluation"]["scores"][0]["num_examples"] == 2
    assert card["evaluation"]["required"] == ["bleu>=30"]
    assert card["versions"]["tflm"] == tflm.__version__


def test_a_model_that_was_not_evaluated_says_so():
    card = model_card("Translation", {}, {})
    assert card["evaluation"] is None
    assert card["training"] == {}
