import dataclasses
import gzip

import pytest

from tflm import models
from tflm.tasks.causal_lm_recipes import RECIPES, CausalLMSettings, recipe_texts


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_names_what_there_is(recipe):
    assert recipe.holdout or "valid" in recipe.files
    models.find(recipe.settings.preset)
    assert recipe.settings.sequence_length <= recipe.settings.tokens_per_batch
    assert recipe.settings.average_last <= recipe.settings.epochs


def test_settings_are_scalars():
    values = dataclasses.asdict(CausalLMSettings())
    assert all(isinstance(value, bool | int | float | str) for value in values.values())


def test_the_end_of_the_text_is_held_out(tmp_path):
    text = "".join(f"line {i} 公园\n" for i in range(100))
    (tmp_path / "input.txt.gz").write_bytes(gzip.compress(text.encode()))
    texts = recipe_texts(RECIPES["tinyshakespeare"], tmp_path)
    (train,), (valid,) = texts["train"], texts["valid"]
    assert train + valid == text
    assert len(valid) == len(text) - round(0.9 * len(text))


def test_the_real_text_is_read_whole(shared_data):
    texts = recipe_texts(RECIPES["tinyshakespeare"], shared_data / "tinyshakespeare")
    assert [len(texts[split][0]) for split in ("train", "valid")] == [1_003_855, 111_539]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="`data` must be .* recipe tinyshakespeare. .*gz"):
        recipe_texts(RECIPES["tinyshakespeare"], tmp_path)
