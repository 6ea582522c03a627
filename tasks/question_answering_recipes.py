"""Recipes of question answering: data sets, the settings that suit them, the number to expect.

tflm train --recipe squad --data ../shared/data --out runs/squad
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class QuestionAnsweringSettings:
    """Everything that decides how a reader is trained and scored.

    `language` chooses the metrics: "zh" has those of CMRC 2018, all others those of SQuAD.
    `unanswerable` says that a context may hold no answer; `unrelated` is then the share of the
    answerable training questions that are asked a second time, of a text beside theirs that does
    not answer them (`tflm.tasks.unrelated_questions`). `start` is the directory of a run, a
    saved task or a public checkpoint, whose encoder and tokenizer training starts from instead of
    fresh ones; with a `lora_rank` only its LoRA learns (scaled by `lora_alpha`, the
    rank where that is 0, over the rank) and the head. Sizes of 0 are the preset's. An update is of
    `accumulate` batches. The learning rate falls to nothing over all epochs; with `patience`
    training ends after so many without a better F1 of the sample that is scored every
    `score_every` epochs (0: never; the validation loss is watched then).
    """

    language: str = "en"
    preset: str = "qanet/tiny"
    start: str = ""
    unanswerable: bool = False
    unrelated: float = 0.0
    embedding_dim: int = 0
    hidden_dim: int = 0
    num_layers: int = 0
    num_heads: int = 0
    num_embedding_convolutions: int = 0
    num_model_blocks: int = 0
    num_readings: int = 0
    dropout: float = 0.15
    embedding_dropout: float = 0.25
    vocab_size: int = 16000
    algorithm: str = "bpe"
    sequence_length: int = 320
    overlap: int = 100
    max_question_length: int = 48
    max_answer_length: int = 30
    tokens_per_batch: int = 6144
    learning_rate: float = 2e-3
    warmup_steps: int = 300
    weight_decay: float = 0.05
    ema: float = 0.999
    lora_rank: int = 0
    lora_alpha: float = 0.0
    accumulate: int = 1
    epochs: int = 15
    patience: int = 0
    average_last: int = 1
    score_every: int = 1
    seed: int = 1
    dtype: str = "auto"


@dataclasses.dataclass(frozen=True)
class QuestionAnsweringRecipe:
    """A data set's files and the settings for them.

    Args:
        name: what `--recipe` takes.
        files: the files of each split, relative to `--data`, in SQuAD's format.
        settings: the settings.
        holdout: with no file for "test": the share of the questions at the end of the last training
            file that are held out for it, with their contexts.
        expect: what it gave, with the metric.
    """

    name: str
    files: dict[str, tuple[str, ...]]
    settings: QuestionAnsweringSettings
    holdout: float = 0.0
    expect: str = ""


_SQUAD = (
    "squad/train_part.json.gz",
    "squadshifts/new_wiki.json.gz",
    "squadshifts/reddit.json.gz",
    "squadshifts/amazon.json.gz",
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        QuestionAnsweringRecipe(
            name="squad",
            files={"train": _SQUAD, "test": ("squad/dev.json.gz",)},
            settings=QuestionAnsweringSettings(epochs=10),
            expect="exact match 38.4, F1 49.8; 2 h 17 min on 2 cores with other work, seed 1",
        ),
        # No training set with unanswerable questions is at hand: a part of the development set.
        QuestionAnsweringRecipe(
            name="squad_v2",
            files={"train": (*_SQUAD, "squad_v2/dev.json.gz")},
            holdout=0.3,
            settings=QuestionAnsweringSettings(unanswerable=True, unrelated=0.33, epochs=10),
            # Too few questions are written to look answerable for a network to learn from them.
            expect="of the 701 held-out questions with an answer EM 42.8, F1 53.9; asked of the "
            "paragraph beside theirs, 77.8 % are left without an answer; of all 1,705, if always "
            "answered, 18.0 and 22.7; seed 1, learned from these batches by JAX on one H100",
        ),
        QuestionAnsweringRecipe(
            name="cmrc2018",
            files={
                "train": ("cmrc2018/train.json.gz",),
                "test": ("cmrc2018/trial.json.gz",),
            },
            settings=QuestionAnsweringSettings(
                language="zh",
                algorithm="char",
                vocab_size=5000,
                sequence_length=512,
                overlap=100,
                max_question_length=48,
                max_answer_length=100,
                dropout=0.2,
                embedding_dropout=0.3,
                epochs=12,
            ),
            expect="F1 57.6 and EM 24.9 on the trial file, CMRC's own definitions; 114 minutes on "
            "2 cores with other work, seed 1",
        ),
    )
}
