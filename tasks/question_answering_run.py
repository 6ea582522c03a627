"""A reader's training run; see `tflm.tasks.training_run` for what is in its directory."""

import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras

from tflm.data import BadLineReport, QuestionExample, SquadFiles
from tflm.eval import GenerateAndScore, Report, evaluate
from tflm.tasks.base import Task
from tflm.tasks.encoder_run import EncoderRun
from tflm.tasks.input_rows import QUESTION
from tflm.tasks.model_settings import answer_language
from tflm.tasks.question_answering import (
    QuestionAnswering,
    default_optimizer,
    train_tokenizer,
)
from tflm.tasks.question_answering_recipes import (
    RECIPES,
    QuestionAnsweringRecipe,
    QuestionAnsweringSettings,
)
from tflm.tasks.question_rows import QuestionRows, question_rows
from tflm.tasks.scored_data import ScoredData
from tflm.tasks.sources import find_table, recipe_file
from tflm.tasks.unrelated_questions import with_unrelated
from tflm.tokenizers import Tokenizer

_NUM_SCORED = 500  # validation questions answered during training
_LENGTHS = ("sequence_length", "overlap", "max_question_length", "max_answer_length")


class QuestionAnsweringRun(EncoderRun):
    """Trains a reader on questions with their contexts."""

    TASK = "question_answering"
    Settings = QuestionAnsweringSettings
    RECIPES = RECIPES
    SCORED_WITH: ClassVar[Mapping[str, bool]] = {"target_language": False}
    SIZES = (
        "embedding_dim",
        "hidden_dim",
        "num_layers",
        "num_heads",
        "num_embedding_convolutions",
        "num_model_blocks",
        "num_readings",
    )
    RATES = ("dropout", "embedding_dropout")

    def __init__(
        self, out: pathlib.Path, data: Mapping[str, Any], settings: Any, *args: Any, **kwargs: Any
    ):
        if settings.unrelated and not settings.unanswerable:
            raise ValueError(
                "`unrelated` must be 0 where every question has an answer (unanswerable=false). "
                f"Received: unrelated={settings.unrelated}"
            )
        super().__init__(out, data, settings, *args, **kwargs)
        if settings.unrelated:
            self._add_unrelated()

    @classmethod
    def recipe_data(
        cls,
        recipe: QuestionAnsweringRecipe,
        directory: pathlib.Path,
        on_bad: str,
        report: BadLineReport,
    ) -> dict[str, Any]:
        """Questions by split; answers beside their place are moved or dropped, and counted."""
        data: dict[str, Any] = {}
        for split, names in recipe.files.items():
            paths = [recipe_file(directory, name, recipe.name) for name in names]
            data[split] = QuestionRows(SquadFiles(paths, on_bad=on_bad, skipped=report))
        if recipe.holdout:
            *others, last = (directory / name for name in recipe.files["train"])
            read = functools.partial(SquadFiles, on_bad=on_bad, skipped=report)
            kept, held_out = split_contexts(list(read(last)), recipe.holdout)
            data["train"] = QuestionRows([*read(others), *kept])
            data["test"] = QuestionRows(held_out)
        return data

    @classmethod
    def find_split(cls, directory: pathlib.Path, split: str) -> pathlib.Path | None:
        """A file in SQuAD's format."""
        return find_table(directory, split, ("json",))

    @classmethod
    def split_files(cls, split: str) -> str:
        """JSON, plain or packed."""
        return f"{split}.json or {split}.json.gz"

    @classmethod
    def open_file(
        cls, path: pathlib.Path, settings: Mapping[str, Any], on_bad: str, report: BadLineReport
    ) -> Any:
        """Questions; answers beside their place are moved or dropped, and counted."""
        return QuestionRows(SquadFiles(path, on_bad=on_bad, skipped=report))

    @classmethod
    def open_dataset(cls, dataset: Any, settings: Mapping[str, Any]) -> QuestionRows:
        """Questions; the columns are SQuAD's."""
        return question_rows(dataset)

    @classmethod
    def scored_data(cls, examples: Any, settings: Mapping[str, Any]) -> ScoredData:
        """Questions with their contexts, and the answers of each; some may have none."""
        if isinstance(examples, tuple):
            pairs, answers = map(list, examples)
        else:
            rows = question_rows(examples)
            questions = rows.to_score()
            pairs, answers = list(QuestionRows(questions)), [each.texts for each in questions]
        language = answer_language(settings)
        return ScoredData(
            cls.TASK,
            pairs,
            answers,
            fields=QUESTION,
            metrics=() if all(answers) else ("exact_match_squad2", "f1_squad2"),
            language=language,
            languages=language,
        )

    @property
    def monitor(self) -> tuple[str, str]:
        """F1 of the sample, where one is scored."""
        return ("val_f1", "max") if self.settings.score_every else super().monitor

    def data_options(self) -> dict[str, Any]:
        """Batches by token budget."""
        settings = self.settings
        return {"tokens_per_batch": settings.tokens_per_batch, "seed": settings.seed}

    def callbacks(self, task: Task) -> list[keras.callbacks.Callback]:
        """Exact match and F1 of a sample, every few epochs."""
        if "valid" not in self.data or not self.settings.score_every:
            return []
        reader: Any = task
        examples = self.data["valid"].to_score()[:_NUM_SCORED]
        metrics = reader.metrics_of(examples, self.settings.language)
        return [
            GenerateAndScore(
                lambda pairs: reader.predictions(pairs, metrics),
                list(QuestionRows(examples)),
                [example.texts for example in examples],
                metrics,
                every=self.settings.score_every,
                watch="f1",
            )
        ]

    def new_task(self) -> QuestionAnswering:
        """A compiled task whose learning rate falls over all epochs."""
        settings = self.settings
        model, tokenizer = self.encoder()
        task = QuestionAnswering(
            model,
            tokenizer,
            unanswerable=settings.unanswerable,
            dropout=settings.dropout,
            **{name: getattr(settings, name) for name in _LENGTHS},
        )
        batches = task.batches(self.data["train"], training=True, **self.data_options())
        optimizer = default_optimizer(
            settings.learning_rate,
            settings.warmup_steps,
            batches.num_batches(0) * settings.epochs // settings.accumulate,
            weight_decay=settings.weight_decay,
            ema=settings.ema,
            accumulate=settings.accumulate,
        )
        windows = batches.windows
        offsets = getattr(windows.examples, "report", windows.offsets)
        self.print(offsets.summary())
        self.print(f"{windows.report}")
        if offsets.num_impossible and not settings.unanswerable:
            self.print("Questions without an answer get one too, for want of unanswerable=true.")
        task.compile(optimizer)
        return task

    def _add_unrelated(self) -> None:
        """Asks a share of the training questions once more, of texts that do not answer them."""
        given = self.data["train"].examples
        examples = list(given)
        if report := getattr(given, "report", None):  # of the files, which are not read again
            self.print(report.summary())
        more = with_unrelated(examples, self.settings.unrelated, self.settings.seed)
        added = len(more) - len(examples)
        self.print(f"{added} questions asked once more of a text beside theirs.")
        self.data = {**self.data, "train": QuestionRows(more)}

    def train_tokenizer(self) -> Tokenizer:
        """A tokenizer of the words of questions and contexts."""
        settings, examples = self.settings, self.data["train"].examples
        return train_tokenizer(examples, settings.vocab_size, settings.algorithm)

    def evaluate(self, split: str) -> dict[str, Report]:
        """Scores the finished task on a split; writes `out / "report"`.

        Returns:
            Under "answers": exact match and F1, by the definition that `QuestionAnswering.score`
            names.
        """
        task: Any = QuestionAnswering.from_pretrained(self.out / "model")
        examples = self.data[split].to_score()
        metrics = task.metrics_of(examples, self.settings.language)
        pairs = list(QuestionRows(examples))
        report = evaluate(
            task.predictions(pairs, metrics),
            ["\n".join(pair) for pair in pairs],
            [example.texts for example in examples],
            metrics,
            task=self.TASK,
            data=split,
            settings=task.settings(),
            target_language=self.settings.language,
        )
        report.write(self.out / "report")
        return {"answers": report}


def split_contexts(
    examples: Sequence[QuestionExample], share: float
) -> tuple[list[QuestionExample], list[QuestionExample]]:
    """The questions in two parts that share no context, about `share` of them in the second."""
    first = round(len(examples) * (1.0 - share))
    seen = {example.context for example in examples[:first]}
    parts: tuple[list[QuestionExample], list[QuestionExample]] = ([], [])
    for example in examples:
        parts[example.context not in seen].append(example)
    return parts
