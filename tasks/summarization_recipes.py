"""Recipes of summarization: a data set, the settings that suit it, and the number to expect.

tflm train --recipe dialogsum --data ../shared/data/dialogsum --out runs/dialogsum
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class SummarizationSettings:
    """Everything that decides how a summarization model is trained and scored.

    `document` and `summary` are the names of the data's columns or fields, `language` the code of
    the summaries' language. `symbols`, with spaces between, are never cut into pieces. Texts are
    cut at `max_source_length` tokens, pairs with a summary of more than `max_length` left out in
    training; `tokens_per_batch` counts the texts' tokens. `min_length`, `no_repeat_ngram_size`,
    `coverage_penalty` and `max_length_ratio` (0: no such bound) are those of the finished task, and
    so is `prompt`, which a decoder alone has ("": the task's default).
    `start`, `accumulate` and `patience` are those of `TranslationSettings`, with ROUGE-1 for BLEU.
    """

    language: str = "en"
    document: str = "document"
    summary: str = "summary"
    preset: str = "pointer_generator/tiny"
    start: str = ""
    prompt: str = ""
    vocab_size: int = 8000
    algorithm: str = "bpe"
    symbols: str = ""
    pre_norm: bool = True
    dropout: float = 0.1
    label_smoothing: float = 0.1
    learning_rate: float = 2e-3
    warmup_steps: int = 1000
    accumulate: int = 1
    epochs: int = 30
    patience: int = 0
    tokens_per_batch: int = 8192
    max_source_length: int = 512
    max_length: int = 128
    min_length: int = 0
    no_repeat_ngram_size: int = 3
    coverage_penalty: float = 0.0
    max_length_ratio: float = 0.0
    average_last: int = 5
    ema: float = 0.0
    score_every: int = 5
    beam: int = 5
    seed: int = 1
    dtype: str = "auto"


@dataclasses.dataclass(frozen=True)
class SummarizationRecipe:
    """A data set's files and the settings for it.

    Args:
        name: what `--recipe` takes.
        files: the file of each split, relative to `--data`.
        holdout: with no file for "valid": every so many rows of "train" are held out.
        settings: the settings.
        expect: what it gave, with the metric.
    """

    name: str
    files: dict[str, str]
    holdout: int = 0
    settings: SummarizationSettings = SummarizationSettings()
    expect: str = ""


RECIPES = {
    recipe.name: recipe
    for recipe in (
        SummarizationRecipe(
            name="dialogsum",
            files={"train": "train.jsonl.gz", "test": "dev.jsonl"},
            holdout=50,
            settings=SummarizationSettings(
                document="dialogue",
                # Who speaks is written as #Person1#, in a summary too.
                symbols=" ".join(f"#Person{number}#" for number in range(1, 8)),
                dropout=0.2,
                max_source_length=400,
                max_length=100,
            ),
            expect="ROUGE-1 39.1, -2 12.3, -L 31.0 with beam 5; 88 minutes on 2 cores with other "
            "work, seed 1",
        ),
        SummarizationRecipe(
            name="samsum",
            files={"train": "train.jsonl.gz", "valid": "val.jsonl", "test": "test.jsonl"},
            settings=SummarizationSettings(
                document="dialogue", dropout=0.2, max_source_length=400, max_length=100
            ),
            expect="ROUGE-1 35.3, -2 13.0, -L 29.5 with beam 5, the first three sentences 29.5, "
            "7.8, 23.2; seed 1, learned from these batches by JAX on one H100; with epochs=10 "
            "33.5, 10.9, 27.7 in 82 minutes on 2 cores without AVX-512, with other work",
        ),
        SummarizationRecipe(
            name="csl_title",
            files={"train": "dev.jsonl", "test": "test.jsonl"},
            holdout=20,
            settings=SummarizationSettings(
                language="zh",
                document="abstract",
                summary="title",
                vocab_size=5000,
                dropout=0.3,
                max_source_length=300,
                max_length=60,
            ),
            # 980 pairs teach words that belong together and no sentence: fine-tune, see `start`.
            expect="ROUGE-1 31.7, -2 12.3, -L 26.2 with beam 5, first sentences 20.1, 14.9, 18.1; "
            "7 minutes on 2 cores with other work, seed 1",
        ),
    )
}
