"""A classifier's training run; see `tflm.tasks.training_run` for what is in its directory."""

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tflm import models, tokenizers
from tflm.data import BadLine, BadLineReport, open_table
from tflm.eval import F1, Accuracy, MatthewsCorrelation, Metric, Report, evaluate
from tflm.tasks.base import Task
from tflm.tasks.labelled_rows import LabelledRows
from tflm.tasks.predictor import task_directory
from tflm.tasks.sentiment import SentimentAnalysis, default_optimizer
from tflm.tasks.sentiment_recipes import RECIPES, SentimentRecipe, SentimentSettings
from tflm.tasks.sources import SPLITS, EveryNth
from tflm.tasks.training_run import TrainingRun
from tflm.tokenizers import SentencePieceTokenizer, Tokenizer
from tflm.training.fine_tuning import depths

_ENDINGS = ("tsv", "csv", "jsonl")
_SIZES = ("embedding_dim", "hidden_dim", "num_layers", "num_heads", "min_width", "max_width")
_REPEATED = "left out, for its text occurs in the training data too."


class SentimentRun(TrainingRun):
    """Trains a classifier of texts, or of pairs of texts, on labelled rows."""

    TASK = "sentiment_analysis"
    Settings = SentimentSettings
    RECIPES = RECIPES

    @classmethod
    def recipe_data(
        cls, recipe: SentimentRecipe, directory: pathlib.Path, on_bad: str, report: BadLineReport
    ) -> dict[str, Any]:
        """Rows by split; texts that are left out are counted in `report`."""
        data: dict[str, Any] = {}
        for split, name in recipe.files.items():
            path = directory / name
            if not path.is_file():
                raise FileNotFoundError(
                    f"`data` must be a directory with {name} for recipe {recipe.name}. "
                    f"Received: no file {path}"
                )
            data[split] = open_table(path, _columns(recipe.settings), on_bad=on_bad, report=report)
        held_out = data["train"]
        if recipe.holdout:
            data["train"] = EveryNth(held_out, recipe.holdout, others=True)
            data["valid"] = EveryNth(held_out, recipe.holdout)
        if recipe.unseen:
            for split in data.keys() - {"train"}:
                path = directory / recipe.files.get(split, recipe.files["train"])
                data[split] = Unseen(data[split], data["train"], f"{path} ({split})", report)
        return data

    @classmethod
    def directory_data(
        cls,
        directory: pathlib.Path,
        settings: SentimentSettings,
        on_bad: str,
        report: BadLineReport,
    ) -> dict[str, Any]:
        """Rows by split: `train.tsv`, `train.csv` or `train.jsonl`, each perhaps with `.gz`, or a
        folder `train` with a folder of texts for each label.

        "valid" (or "val" or "dev") and "test" are optional.
        """
        data = {}
        for split in SPLITS:
            names = (split, *(("val", "dev") if split == "valid" else ()))
            ends = ["", *(f".{kind}{end}" for kind in _ENDINGS for end in ("", ".gz"))]
            paths = (directory / f"{name}{end}" for name in names for end in ends)
            found = next((path for path in paths if path.exists()), None)
            if found is not None:
                data[split] = open_table(found, _columns(settings), on_bad=on_bad, report=report)
        if "train" not in data:
            raise FileNotFoundError(
                f"`data` must hold {', '.join(f'train.{kind}' for kind in _ENDINGS)}, plain or "
                f".gz, or a folder train. Received: {directory}"
            )
        return data

    def data_options(self) -> dict[str, Any]:
        """Batches by token budget."""
        settings = self.settings
        options = {
            name: getattr(settings, name)
            for name in ("tokens_per_batch", "max_length", "sampling_alpha", "seed")
        }
        return options | ({"class_weight": "balanced"} if settings.balanced else {})

    def new_task(self) -> SentimentAnalysis:
        """A compiled task whose learning rate falls over all epochs."""
        settings = self.settings
        model, tokenizer = self._started() if settings.start else self._fresh()
        task = SentimentAnalysis(
            model,
            tokenizer,
            self._labels(),
            pooling=settings.pooling or None,
            dropout=settings.dropout,
            pairs=settings.pairs,
            multi_label=settings.multi_label,
            max_length=settings.max_length,
        )
        batches = task.batches(self.data["train"], training=True, **self.data_options())
        optimizer = default_optimizer(
            settings.learning_rate,
            settings.warmup_steps,
            batches.num_batches(0) * settings.epochs,
            weight_decay=settings.weight_decay,
            ema=settings.ema,
            depths=depths(task.parts) if settings.layer_decay < 1.0 else None,
            layer_decay=settings.layer_decay,
        )
        task.compile(optimizer, label_smoothing=settings.label_smoothing)
        return task

    def _labels(self) -> Sequence[str]:
        if self.settings.labels:
            return self.settings.labels.split(",")
        num_texts = 2 if self.settings.pairs else 1
        return sorted({label for row in self.data["train"] for label in row[num_texts:]})

    def _fresh(self) -> tuple[Any, Tokenizer]:
        """A network with fresh weights, and the run's own tokenizer."""
        settings, folder = self.settings, self.out / "tokenizer"
        if not folder.is_dir():
            self.print(f"Learning a vocabulary of {settings.vocab_size} ({settings.algorithm}).")
            num_texts = 2 if settings.pairs else 1
            lines = (
                line
                for row in self.data["train"]
                for text in row[:num_texts]
                for line in text.splitlines()
            )
            learned = SentencePieceTokenizer.train(lines, settings.vocab_size, settings.algorithm)
            learned.save(folder)
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
        rates = {name: getattr(self.settings, name) for name in ("dropout", "word_dropout")}
        fields = {field.name for field in dataclasses.fields(config)}
        changes = {name: value for name, value in (rates | sizes).items() if name in fields}
        return dataclasses.replace(config, **changes)

    def evaluate(self, split: str) -> dict[str, Report]:
        """Scores the finished task on a split; writes `out / "report"`.

        Returns:
            Under "labels": accuracy, macro F1 and Matthews' correlation; of several labels a text,
            subset accuracy and F1.
        """
        task: Any = SentimentAnalysis.from_pretrained(self.out / "model")
        num_texts = task.num_texts
        rows = list(LabelledRows(self.data[split], num_texts, task.labels))
        answers = task.answer([row[:num_texts] for row in rows])
        several = task.multi_label
        metrics: list[Metric] = [
            Accuracy(task.labels, multi_label=several),
            F1(task.labels, multi_label=several),
        ]
        report = evaluate(
            answers,
            ["\n".join(row[:num_texts]) for row in rows],
            [list(row[num_texts:]) if several else row[num_texts] for row in rows],
            metrics if several else [*metrics, MatthewsCorrelation(task.labels)],
            task=self.TASK,
            data=split,
            settings={"pooling": task.pooling, "max_length": task.max_length},
        )
        report.write(self.out / "report")
        return {"labels": report}


class Unseen:
    """Rows whose text the training data does not have.

    Args:
        rows: a re-iterable source.
        train: the training rows.
        name: what `rows` are, for the report.
        report: counts the rows left out.
    """

    def __init__(self, rows: Iterable[Any], train: Iterable[Any], name: str, report: BadLineReport):
        self.rows = rows
        self.train = train
        self.name = name
        self.report = report
        self._seen: frozenset[str] | None = None

    def __iter__(self) -> Iterator[Any]:
        if self._seen is None:
            self._seen = frozenset(row[0] for row in self.train)
        self.report.begin(self.name)
        for number, row in enumerate(self.rows, start=1):
            if row[0] in self._seen:
                self.report.add(BadLine(self.name, number, _REPEATED, row[0]))
            else:
                yield row


def _columns(settings: SentimentSettings) -> tuple[str, ...]:
    return ("text", "text_pair", "label") if settings.pairs else ("text", "label")
