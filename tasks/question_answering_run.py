"""A reader's training run; see `tflm.tasks.training_run` for what is in its directory."""

import dataclasses
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import keras

from tflm import models, tokenizers
from tflm.data import BadLineReport, QuestionExample, SquadFiles
from tflm.eval import GenerateAndScore, Report, evaluate
from tflm.tasks.base import Task
from tflm.tasks.predictor import task_directory
from tflm.tasks.question_answering import (
    QuestionAnswering,
    QuestionRows,
    default_optimizer,
    metrics_of,
    train_tokenizer,
)
from tflm.tasks.question_answering_recipes import (
    RECIPES,
    QuestionAnsweringRecipe,
    QuestionAnsweringSettings,
)
from tflm.tasks.sources import SPLITS
from tflm.tasks.training_run import TrainingRun
from tflm.tokenizers import Tokenizer

_NUM_SCORED = 500  # validation questions answered during training
_SIZES = (
    "embedding_dim",
    "hidden_dim",
    "num_layers",
    "num_heads",
    "num_embedding_convolutions",
    "num_model_blocks",
    "num_readings",
)
_LENGTHS = ("sequence_length", "overlap", "max_question_length", "max_answer_length")


class QuestionAnsweringRun(TrainingRun):
    """Trains a reader on questions with their contexts."""

    TASK = "question_answering"
    Settings = QuestionAnsweringSettings
    RECIPES = RECIPES

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
            paths = [directory / name for name in names]
            for path in paths:
                if not path.is_file():
                    raise FileNotFoundError(
                        f"`data` must be a directory with {', '.join(names)} for recipe "
                        f"{recipe.name}. Received: no file {path}"
                    )
            data[split] = QuestionRows(SquadFiles(paths))
        if recipe.holdout:
            *others, last = (directory / name for name in recipe.files["train"])
            kept, held_out = split_contexts(list(SquadFiles(last)), recipe.holdout)
            data["train"] = QuestionRows([*SquadFiles(others), *kept])
            data["test"] = QuestionRows(held_out)
        return data

    @classmethod
    def directory_data(
        cls,
        directory: pathlib.Path,
        settings: QuestionAnsweringSettings,
        on_bad: str,
        report: BadLineReport,
    ) -> dict[str, Any]:
        """Questions by split: `train.json` or `train.json.gz` in SQuAD's format.

        "valid" (or "val" or "dev") and "test" are optional.
        """
        data = {}
        for split in SPLITS:
            names = (split, *(("val", "dev") if split == "valid" else ()))
            paths = (directory / f"{name}.json{end}" for name in names for end in ("", ".gz"))
            found = next((path for path in paths if path.is_file()), None)
            if found is not None:
                data[split] = QuestionRows(SquadFiles(found))
        if "train" not in data:
            raise FileNotFoundError(
                f"`data` must hold train.json or train.json.gz. Received: {directory}"
            )
        return data

    def data_options(self) -> dict[str, Any]:
        """Batches by token budget."""
        settings = self.settings
        return {"tokens_per_batch": settings.tokens_per_batch, "seed": settings.seed}

    def callbacks(self, task: Task) -> list[keras.callbacks.Callback]:
        """Exact match and F1 of a sample, every few epochs."""
        if "valid" not in self.data or not self.settings.score_every:
            return []
        reader: Any = task
        examples = list(itertools.islice(self.data["valid"].examples, _NUM_SCORED))
        metrics = metrics_of(examples, self.settings.language)
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
        model, tokenizer = self._started() if settings.start else self._fresh()
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
            batches.num_batches(0) * settings.epochs,
            weight_decay=settings.weight_decay,
            ema=settings.ema,
        )
        windows = batches.windows
        self.print(getattr(windows.examples, "report", windows.offsets).summary())
        self.print(f"{windows.report}")
        task.compile(optimizer)
        return task

    def _fresh(self) -> tuple[Any, Tokenizer]:
        """A network with fresh weights, and the run's own tokenizer."""
        settings, folder = self.settings, self.out / "tokenizer"
        if not folder.is_dir():
            self.print(f"Learning a vocabulary of {settings.vocab_size} ({settings.algorithm}).")
            examples = self.data["train"].examples
            train_tokenizer(examples, settings.vocab_size, settings.algorithm).save(folder)
        tokenizer = tokenizers.load(folder)
        network, config = models.find(settings.preset)
        sizes = {name: getattr(settings, name) for name in _SIZES if getattr(settings, name)}
        sizes |= {"vocab_size": tokenizer.vocab_size}
        return network(self._changed(config, sizes), dtype=settings.dtype), tokenizer

    def _started(self) -> tuple[Any, Tokenizer]:
        """The encoder and the tokenizer of another run."""
        task: Any = Task.from_pretrained(task_directory(pathlib.Path(self.settings.start)))
        config = self._changed(task.model.config, {})
        model = type(task.model)(config, dtype=self.settings.dtype)
        model.build(None)
        model.set_weights(task.model.get_weights())
        return model, task.tokenizer

    def _changed(self, config: Any, sizes: dict[str, Any]) -> Any:
        """A config with the run's rates and some sizes.

        A recipe trains any architecture: what an architecture has no field for is not its own.
        """
        rates = {name: getattr(self.settings, name) for name in ("dropout", "embedding_dropout")}
        fields = {field.name for field in dataclasses.fields(config)}
        changes = {name: value for name, value in (rates | sizes).items() if name in fields}
        return dataclasses.replace(config, **changes)

    def evaluate(self, split: str) -> dict[str, Report]:
        """Scores the finished task on a split; writes `out / "report"`.

        Returns:
            Under "answers": exact match and F1, by the definition that `QuestionAnswering.score`
            names.
        """
        task: Any = QuestionAnswering.from_pretrained(self.out / "model")
        examples = list(self.data[split].examples)
        metrics = metrics_of(examples, self.settings.language)
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
