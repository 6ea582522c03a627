import dataclasses
import math

import numpy as np
import pytest

from tflm.tasks.causal_lm_recipes import CausalLMSettings
from tflm.tasks.masked_lm_recipes import MaskedLMSettings
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
        (TranslationSettings, {"warmup_steps": 0}, "`warmup_steps` must be at least 1. .*=0"),
        (CausalLMSettings, {"num_layers": -2}, "`num_layers` must be at least 0. .*=-2"),
        (CausalLMSettings, {"dropout": 1.0}, r"`dropout` must be in \[0, 1\). .*dropout=1.0"),
        (CausalLMSettings, {"learning_rate": 0.0}, "`learning_rate` must be positive. .*=0.0"),
        (
            CausalLMSettings,
            {"learning_rate": math.inf},
            "`learning_rate` must be a finite number.*=inf",
        ),
        (
            SentimentSettings,
            {"layer_decay": 1.5},
            "`layer_decay` must be above 0 and at most 1. .*=1.5",
        ),
        (SentimentSettings, {"ema": math.nan}, "`ema` must be a finite number. .*=nan"),
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


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_a_seed_is_what_numpy_takes(seed):
    check_ranges(CausalLMSettings(seed=seed))
    np.random.default_rng(seed)
    np.random.seed(seed)
    beyond = -1 if seed == 0 else seed + 1
    with pytest.raises(ValueError, match=f"`seed` must be from 0 to 4294967295. .*={beyond}"):
        check_ranges(CausalLMSettings(seed=beyond))
    with pytest.raises(ValueError, match="Seed must be between"):
        np.random.seed(beyond)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_some_words_are_masked_and_some_are_not(rate):
    check_ranges(MaskedLMSettings(mask_rate=0.5))
    with pytest.raises(ValueError, match="`mask_rate` must be between 0 and 1, neither included"):
        check_ranges(MaskedLMSettings(mask_rate=rate))
