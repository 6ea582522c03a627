import json

import tflm
from tflm.eval import BLEU, evaluate
from tflm.tasks.model_card import CARD_FILE, model_card, summary, to_json


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


def test_a_line_says_how_large_and_how_good(tmp_path):
    texts = ["他在北京工作", "天气很好"]
    exact = evaluate(texts, None, texts, [BLEU("zh")], num_resamples=9)
    ours = evaluate([texts[0], "天气不好"], None, texts, [BLEU("zh")], num_resamples=9)
    weights = {"dtype": "int8", "bytes": 1300, "float32_bytes": 5000}
    (tmp_path / "assets.extra").mkdir()
    file = tmp_path / "assets.extra" / CARD_FILE
    file.write_text(to_json(model_card("Translation", {}, {}, weights=weights)), "utf-8")
    assert summary(tmp_path) == "int8, 1,300 bytes of weights, 0.26 of float32's"
    card = model_card("Translation", {}, {}, weights=weights, report=ours, float32=exact)
    file.write_text(to_json(card), "utf-8")
    value = f"{ours.scores[0].value:.2f}"
    assert summary(tmp_path).endswith(f"; bleu {value} (in float32 100.00)")
