import dataclasses

import pytest

from tflm import models
from tflm.models.base import Encoder
from tflm.tasks.sentiment_recipes import RECIPES, SentimentSettings


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_names_what_there_is(recipe):
    settings = recipe.settings
    assert {"train", "test"} <= recipe.files.keys()
    network, _ = models.find(settings.preset)
    assert issubclass(network, Encoder)
    assert settings.max_length <= settings.tokens_per_batch
    assert settings.average_last <= settings.epochs
    assert settings.labels == "negative,positive"


def test_settings_are_scalars():
    values = dataclasses.asdict(SentimentSettings())
    assert all(isinstance(value, bool | int | float | str) for value in values.values())
