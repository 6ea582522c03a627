import pytest

from tflm import models
from tflm.tasks.causal_lm_recipes import RECIPES


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_names_what_there_is(recipe):
    assert recipe.holdout or "valid" in recipe.files
    models.find(recipe.settings.preset)
    assert recipe.settings.sequence_length <= recipe.settings.tokens_per_batch
    assert recipe.settings.average_last <= recipe.settings.epochs
