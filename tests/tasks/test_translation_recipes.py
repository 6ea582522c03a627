import dataclasses

import pytest

from tflm import models
from tflm.tasks.sources import language_pair
from tflm.tasks.translation_recipes import RECIPES, TranslationSettings


def test_the_recipes_are_those_of_the_readme():
    assert sorted(RECIPES) == [
        "multi30k_de_en",
        "multi30k_en_de",
        "tatoeba_en_zh",
        "tatoeba_zh_en",
    ]
    assert all(recipe.name == name for name, recipe in RECIPES.items())


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_names_what_there_is(recipe):
    assert {"train", "test"} <= recipe.files.keys()
    assert recipe.holdout or "valid" in recipe.files
    source, target = language_pair(recipe.settings.languages)
    assert recipe.name.endswith(f"_{source}_{target}")
    models.find(recipe.settings.preset)
    assert recipe.settings.max_length <= recipe.settings.tokens_per_batch
    assert recipe.settings.average_last <= recipe.settings.epochs


def test_recipes_of_the_two_directions_read_the_same_files_from_opposite_sides():
    forth, back = RECIPES["multi30k_en_de"], RECIPES["multi30k_de_en"]
    assert {split: names[::-1] for split, names in forth.files.items()} == back.files
    assert dataclasses.replace(forth.settings, languages="de-en") == back.settings
    forth, back = RECIPES["tatoeba_en_zh"], RECIPES["tatoeba_zh_en"]
    assert forth.columns == back.columns[::-1] == (0, 1)
    assert not forth.settings.joint  # the two scripts share no pieces


def test_settings_are_scalars():
    values = dataclasses.asdict(TranslationSettings())
    assert all(isinstance(value, bool | int | float | str) for value in values.values())
