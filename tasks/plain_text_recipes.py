"""What recipes of tasks that learn from plain text are made of: a text's files, and settings."""

import dataclasses
import pathlib
from typing import Any

from tflm.data import TextFiles
from tflm.tasks.sources import recipe_file


@dataclasses.dataclass(frozen=True)
class PlainTextRecipe:
    """A text's files and the settings for them.

    Args:
        name: what `--recipe` takes.
        files: the files of each split, relative to `--data`.
        settings: the settings; their `documents` say what a document is.
        holdout: with no file for "valid": the share of the text's characters at its end that is
            held out.
        expect: what it gave, with the metric.
    """

    name: str
    files: dict[str, tuple[str, ...]]
    settings: Any
    holdout: float = 0.0
    expect: str = ""


def recipe_texts(recipe: PlainTextRecipe, directory: pathlib.Path) -> dict[str, Any]:
    """The recipe's splits as texts, or as readers of texts.

    Raises:
        FileNotFoundError: a file of the recipe is missing.
    """
    texts: dict[str, Any] = {}
    for split, names in recipe.files.items():
        paths = [recipe_file(directory, name, recipe.name) for name in names]
        texts[split] = TextFiles(paths, recipe.settings.documents)
    if recipe.holdout:
        whole = "".join(text for (text,) in texts["train"])
        end = round(len(whole) * (1.0 - recipe.holdout))
        texts["train"], texts["valid"] = [whole[:end]], [whole[end:]]
    return texts
