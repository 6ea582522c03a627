import json

import pytest

from tflm import models
from tflm.tasks.masked_lm_recipes import RECIPES, Passages, Replaced


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_names_what_there_is(recipe):
    assert {"train", "valid"} <= recipe.files.keys()
    models.find(recipe.settings.preset)
    assert recipe.settings.sequence_length <= recipe.settings.tokens_per_batch
    assert recipe.settings.average_last <= recipe.settings.epochs


def test_strings_are_replaced_in_order_and_read_anew_each_time():
    texts = [("1 @,@ 234 <unk> role @-@ playing",), ("公园",)]
    rows = Replaced(texts, RECIPES["wikitext2"].replace)
    assert list(rows) == list(rows) == [("1,234 ⁇ role-playing",), ("公园",)]


def test_passages_follow_the_texts_each_once(tmp_path):
    questions = [{"id": str(n), "question": "?", "answers": []} for n in range(3)]
    texts = ["Une  tasse\n de thé.", "公园很大。"]
    paragraphs = [{"context": text, "qas": questions} for text in texts]
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}))
    rows = Passages([("first",)], (path,))
    assert list(rows) == list(rows) == [("first",), ("Une tasse de thé.",), ("公园很大。",)]


def test_books_and_reviews_are_spelled_alike_and_labels_are_left_out():
    texts = [("“It’s not—I don’t…”",), ("it 's fun\t1",), ("it is n't\t0",), ("did n 't",)]
    found = [text for (text,) in Replaced(texts, RECIPES["english"].replace)]
    assert found == ["\"It's not -- I do n't…\"", "it 's fun", "it is  n't", "did  n't"]
