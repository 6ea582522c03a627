import pytest

from tflm import models
from tflm.tasks.masked_lm_recipes import RECIPES, Replaced


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
