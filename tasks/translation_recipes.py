"""Recipes of translation: a data set, the settings that suit it, and the number to expect.

    tflm train --recipe multi30k_en_de --data ../shared/data/multi30k --out runs/m30k

A recipe is data. Its numbers are measured with the command above and stand in the README with
seed, time and hardware.
"""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class TranslationSettings:
    """Everything that decides how a translation model is trained and scored.

    `languages` are the two-letter codes of source and target; the target's chooses BLEU's
    tokenizer. `start` is the directory of a run, a saved task or a public checkpoint of an
    encoder-decoder (of a `SpanDenoising`, say), whose network and tokenizers training starts from
    instead of fresh ones; of the settings of a network only `dropout` counts then. An update is of
    `accumulate` batches. With `patience` training ends after so many epochs without a better BLEU
    of the sample that is scored every `score_every` (0: never; the validation loss is watched
    then). What is watched also chooses between the mean of the `average_last` epochs and the best
    one.
    """

    languages: str = ""
    preset: str = "transformer/tiny"
    start: str = ""
    vocab_size: int = 8000
    joint: bool = True
    algorithm: str = "bpe"
    pre_norm: bool = False
    dropout: float = 0.1
    label_smoothing: float = 0.1
    learning_rate: float = 2e-3
    warmup_steps: int = 1000
    accumulate: int = 1
    epochs: int = 30
    patience: int = 0
    tokens_per_batch: int = 4096
    max_length: int = 128
    sampling_alpha: float = 0.0
    average_last: int = 5
    ema: float = 0.0
    score_every: int = 10
    beam: int = 5
    seed: int = 1
    dtype: str = "auto"


@dataclasses.dataclass(frozen=True)
class TranslationRecipe:
    """A data set's files and the settings for it.

    Args:
        name: what `--recipe` takes.
        files: the files of each split, relative to `--data`: two parallel files, or one TSV.
        columns: columns of source and target in a TSV.
        holdout: with no files for "valid": every so many lines of "train" are held out.
        settings: the settings.
        expect: what it gave, with the metric.
    """

    name: str
    files: dict[str, tuple[str, ...]]
    columns: tuple[int, int] = (0, 1)
    holdout: int = 0
    settings: TranslationSettings = TranslationSettings()
    expect: str = ""


def _multi30k(source: str, target: str, **changes: Any) -> TranslationRecipe:
    names = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
    files = {
        split: tuple(f"{name}.{language}.gz" for language in (source, target))
        for split, name in names.items()
    }
    settings = TranslationSettings(
        languages=f"{source}-{target}",
        dropout=0.3,
        learning_rate=5e-3,
        warmup_steps=2000,
        epochs=58,
        average_last=10,
    )
    return TranslationRecipe(
        name=f"multi30k_{source}_{target}",
        files=files,
        settings=settings,
        **changes,
    )


def _tatoeba(source: str, target: str, **changes: Any) -> TranslationRecipe:
    columns = {"en": 0, "zh": 1}
    settings = TranslationSettings(
        languages=f"{source}-{target}",
        vocab_size=5000,
        joint=False,
        pre_norm=True,
        dropout=0.3,
        learning_rate=2.5e-3,
        warmup_steps=1000,
        epochs=30,
        tokens_per_batch=2048,
        average_last=8,
    )
    return TranslationRecipe(
        name=f"tatoeba_{source}_{target}",
        files={"train": ("train.tsv.gz",), "test": ("dev.tsv",)},
        columns=(columns[source], columns[target]),
        holdout=50,
        settings=settings,
        **changes,
    )


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _multi30k(
            "en", "de", expect="39.3 BLEU, beam 5; 38.5 greedy; 66 minutes on 2 cores, seed 1"
        ),
        _multi30k(
            "de",
            "en",
            expect="41.9 BLEU, beam 5; 41.1 greedy; seed 1, learned from these batches by JAX on "
            "one H100",
        ),
        _tatoeba(
            "en", "zh", expect="33.6 BLEU, beam 5; 32.5 greedy; 27 minutes on 2 cores, seed 1"
        ),
        _tatoeba(
            "zh", "en", expect="30.8 BLEU, beam 5; 29.4 greedy; 28 minutes on 2 cores, seed 1"
        ),
    )
}
