import dataclasses
import math

import pytest

from tflm.tasks.causal_lm_recipes import CausalLMSettings
from tflm.tasks.runs import run_classes
from tflm.tasks.sentiment_recipes import SentimentSettings
from tflm.tasks.setting_ranges import RULES, check_ranges
from tflm.tasks.translation_recipes import TranslationSettings

ALL = [cls.Settings for cls in run_classes().values()]


def numbers(settings):
    return {name for name, value in vars(settings()).items() if not isinstance(value, bool | str)}


@pytest.mark.parametrize("settings", ALL)
def test_the_settings_of_every_task_and_of_its_recipes_are_in_range(settings):
    check_ranges(settings())
    recipes = [
        recipe
        for cls in run_classes().values()
        for recipe in cls.RECIPES.values()
        if isinstance(recipe.settings, settings)
    ]
    assert recipes
    for recipe in recipes:
        check_ranges(recipe.settings)


def test_every_number_has_a_rule_and_every_rule_a_number():
    assert set().union(*map(numbers, ALL)) == set(RULES)


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        (TranslationSettings, {"epochs": 0}, "`epochs` must be at least 1. Received: epochs=0"),
        (TranslationSettings, {"beam": -5}, "`beam` must be at least 1. Received: beam=-5"),
        (
            CausalLMSettings,
            {"patience": -1},
            "`patience` must be at least 0. .*=-1",
        ),
        (CausalLMSettings, {"num_layers": -2}, "`num_layers` must be at least 0. .*=-2"),
        (CausalLMSettings, {"dropout": 1.0}, r"`dropout` must be in \[0, 1\). .*dropout=1.0"),
        (CausalLMSettings, {"learning_rate": 0.0}, "`learning_rate` must be positive. .*=0.0"),
        (CausalLMSettings, {"learning_rate": math.inf}, "`learning_rate` must be positive.*=inf"),
        (SentimentSettings, {"ema": math.nan}, r"`ema` must be in \[0, 1\). .*ema=nan"),
        (
            SentimentSettings,
            {"sampling_alpha": 1.5},
            "`sampling_alpha` must be from 0 to 1.*=1.5",
        ),
    ],
)
def test_a_number_out_of_its_range_is_named_with_its_rule(settings, changes, message):
    with pytest.raises(ValueError, match=message):
        check_ranges(dataclasses.replace(settings(), **changes))


def test_any_seed_will_do():
    for seed in (-1, 0, 2**40):
        check_ranges(CausalLMSettings(seed=seed))
        assert CausalLMSettings(seed=seed).seed == seed
