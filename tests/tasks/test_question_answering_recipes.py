import pytest

from tflm import models
from tflm.models.base import Encoder
from tflm.tasks.question_answering_recipes import RECIPES


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_names_what_there_is(recipe):
    settings = recipe.settings
    assert bool(recipe.holdout) != ("test" in recipe.files)
    assert issubclass(models.find(settings.preset)[0], Encoder)
    assert settings.max_answer_length <= settings.overlap
    assert settings.sequence_length <= settings.tokens_per_batch
    assert settings.average_last <= settings.epochs


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipes_files_are_public_ones(recipe, shared_data):
    for names in recipe.files.values():
        for name in names:
            if not (shared_data / name).is_file():
                pytest.skip(f"no file {shared_data / name}")
            assert name.endswith(".json.gz")
