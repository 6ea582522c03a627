"""Recipes of language models: a text, the settings that suit it, and the number to expect.

tflm train --recipe tinyshakespeare --data ../shared/data/tinyshakespeare --out runs/shakespeare
"""

import dataclasses
import pathlib

from tflm.data import TextFiles


@dataclasses.dataclass(frozen=True)
class CausalLMSettings:
    """Everything that decides how a language model is trained.

    Sizes of 0 are the preset's. The learning rate falls over all epochs.
    """

    preset: str = "gpt2/tiny"
    hidden_dim: int = 0
    num_layers: int = 0
    num_heads: int = 0
    dropout: float = 0.1
    attention_dropout: float = 0.0
    vocab_size: int = 8000
    algorithm: str = "bpe"
    continuous: bool = False
    sequence_length: int = 256
    tokens_per_batch: int = 4096
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.1
    beta_2: float = 0.99
    epochs: int = 10
    average_last: int = 1
    seed: int = 1
    dtype: str = "mixed_bfloat16"


@dataclasses.dataclass(frozen=True)
class CausalLMRecipe:
    """A text's files and the settings for them.

    Args:
        name: what `--recipe` takes.
        files: the files of each split, relative to `--data`.
        documents: what a document is, see `tflm.data.TextFiles`.
        holdout: with no file for "valid": the share of the text's characters at its end that is
            held out.
        settings: the settings.
        expect: what it gave, with the metric.
    """

    name: str
    files: dict[str, str]
    documents: str = "line"
    holdout: float = 0.0
    settings: CausalLMSettings = CausalLMSettings()
    expect: str = ""


RECIPES = {
    recipe.name: recipe
    for recipe in (
        CausalLMRecipe(
            name="tinyshakespeare",
            files={"train": "input.txt.gz"},
            documents="none",
            holdout=0.1,
            settings=CausalLMSettings(
                hidden_dim=192,
                num_layers=4,
                num_heads=4,
                vocab_size=1000,
                algorithm="char",
                continuous=True,
                sequence_length=256,
                learning_rate=2e-3,
                epochs=20,
            ),
        ),
    )
}


def recipe_texts(recipe: CausalLMRecipe, directory: pathlib.Path) -> dict[str, list[str]]:
    """The recipe's splits as texts.

    Raises:
        FileNotFoundError: a file of the recipe is missing.
    """
    texts = {}
    for split, name in recipe.files.items():
        if not (directory / name).is_file():
            raise FileNotFoundError(
                f"`data` must be a directory with {name} for recipe {recipe.name}. "
                f"Received: no file {directory / name}"
            )
        texts[split] = [text for (text,) in TextFiles(directory / name, recipe.documents)]
    if recipe.holdout:
        whole = "".join(texts["train"])
        end = round(len(whole) * (1.0 - recipe.holdout))
        texts["train"], texts["valid"] = [whole[:end]], [whole[end:]]
    return texts
