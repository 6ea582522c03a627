import pytest

from tflm import models
from tflm.data import open_table
from tflm.tasks.summarization_recipes import RECIPES


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_names_what_there_is(recipe, shared_data):
    assert {"train", "test"} <= recipe.files.keys()
    assert "valid" in recipe.files or recipe.holdout > 1
    settings = recipe.settings
    models.find(settings.preset)
    assert settings.max_source_length <= settings.tokens_per_batch
    assert settings.average_last <= settings.epochs
    columns = (settings.document, settings.summary)
    for name in recipe.files.values():
        rows = list(open_table(shared_data / recipe.name / name, columns))
        assert len(rows) > 400
        assert all(len(row) == 2 for row in rows)


def test_speakers_are_symbols(shared_data):
    (path, *_) = RECIPES["dialogsum"].files.values()
    rows = list(open_table(shared_data / "dialogsum" / path, ("dialogue", "summary")))
    symbols = RECIPES["dialogsum"].settings.symbols.split()
    assert sum(symbols[0] in summary for _, summary in rows) > 0.5 * len(rows)
