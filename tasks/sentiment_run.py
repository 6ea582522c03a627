"""A classifier's training run; see `tflm.tasks.training_run` for what is in its directory."""

import collections
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from tflm.data import BadLine, BadLineReport, open_table
from tflm.eval import F1, Accuracy, MatthewsCorrelation, Metric, Report, evaluate
from tflm.eval.metrics.label_metric import sklearn_metrics
from tflm.tasks.encoder_run import EncoderRun
from tflm.tasks.input_rows import PAIR, TEXT
from tflm.tasks.labelled_rows import LabelledRows
from tflm.tasks.scored_data import ScoredData
from tflm.tasks.sentiment import SentimentAnalysis, default_optimizer
from tflm.tasks.sentiment_recipes import RECIPES, SentimentRecipe, SentimentSettings
from tflm.tasks.sources import EveryNth, find_table, recipe_file
from tflm.tokenizers import SentencePieceTokenizer, Tokenizer
from tflm.training.fine_tuning import depths

_ENDINGS = ("tsv", "csv", "jsonl")
_MOST_LABELS = 20  # that are shown
_REPEATED = "left out, for its text occurs in the training data too."


class SentimentRun(EncoderRun):
    """Trains a classifier of texts, or of pairs of texts, on labelled rows.

    Raises:
        ImportError: there is a split to score the classifier on, and no scikit-learn.
    """

    TASK = "sentiment_analysis"
    Settings = SentimentSettings
    RECIPES = RECIPES
    SCORED_AS = ("classification",)
    SCORED_WITH: ClassVar[Mapping[str, bool]] = {"labels": False}
    SIZES = ("embedding_dim", "hidden_dim", "num_layers", "num_heads", "min_width", "max_width")
    RATES = ("dropout", "word_dropout", "embedding_dropout")

    def check(self) -> None:
        """Refuses LoRA without a start, and a split to score without the scorer."""
        super().check()
        if self.data.keys() - {"train"}:
            sklearn_metrics()  # to be missed now and not after the training

    @classmethod
    def recipe_data(
        cls, recipe: SentimentRecipe, directory: pathlib.Path, on_bad: str, report: BadLineReport
    ) -> dict[str, Any]:
        """Rows by split; texts that are left out are counted in `report`."""
        data: dict[str, Any] = {}
        columns = _columns(recipe.settings.pairs)
        for split, name in recipe.files.items():
            path = recipe_file(directory, name, recipe.name)
            data[split] = open_table(path, columns, on_bad=on_bad, report=report)
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
    def find_split(cls, directory: pathlib.Path, split: str) -> pathlib.Path | None:
        """A table, or a folder with a folder of texts for each label."""
        return find_table(directory, split, _ENDINGS, folder=True)

    @classmethod
    def split_files(cls, split: str) -> str:
        """Tables, plain or packed, or a folder."""
        tables = ", ".join(f"{split}.{kind}" for kind in _ENDINGS)
        return f"{tables}, plain or .gz, or a folder {split}"

    @classmethod
    def open_file(
        cls, path: pathlib.Path, settings: Mapping[str, Any], on_bad: str, report: BadLineReport
    ) -> Any:
        """Rows of texts and labels."""
        columns = _columns(settings.get("pairs", False))
        return open_table(path, columns, on_bad=on_bad, report=report)

    @classmethod
    def open_dataset(cls, dataset: Any, settings: Mapping[str, Any]) -> LabelledRows:
        """Rows of texts and labels."""
        return LabelledRows(dataset, len(PAIR if settings.get("pairs") else TEXT))

    @classmethod
    def scored_data(cls, examples: Any, settings: Mapping[str, Any]) -> ScoredData:
        """Texts, or pairs of texts, and their labels by name, whatever the data calls them."""
        fields = PAIR if settings.get("pairs") else TEXT
        count = len(fields)
        labels = _names(settings.get("labels", ()))
        rows = list(LabelledRows(_as_rows(examples), count, labels))
        several = settings.get("multi_label", any(len(row) != count + 1 for row in rows))
        for row in rows:
            if not several and len(row) != count + 1:
                raise ValueError(
                    "`data` must have one label a text for a model that gives one. "
                    f"Received: {', '.join(row[count:]) or 'none'} of {row[0]!r:.80}"
                )
            if not labels and (numbers := [name for name in row[count:] if name.isdecimal()]):
                raise ValueError(
                    "`labels` must be given, their names in the model's order, for a model that "
                    f"does not say them and data with numbers. Received: label {numbers[0]}"
                )
        return ScoredData(
            settings["task"],
            [row[0] if count == 1 else row[:count] for row in rows],
            [list(row[count:]) if several else row[count] for row in rows],
            fields=fields,
            metrics=("accuracy", "f1_macro") if several else (),
            reads="label sets" if several else "texts",
            labels=labels,
        )

    @property
    def monitor(self) -> tuple[str, str]:
        """Accuracy."""
        return "val_accuracy", "max"

    def texts_of_rows(self) -> tuple[int, str]:
        """A text or a pair; its language is not known."""
        return 2 if self.settings.pairs else 1, ""

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
        counts = self._label_counts()
        labels = settings.labels.split(",") if settings.labels else sorted(counts)
        self.print(f"Labels: {_in_words(counts)}")
        self._check_labels(labels)
        model, tokenizer = self.encoder()
        task = SentimentAnalysis(
            model,
            tokenizer,
            labels,
            pooling=settings.pooling or None,
            dropout=settings.dropout,
            naive_bayes=settings.naive_bayes,
            pairs=settings.pairs,
            multi_label=settings.multi_label,
            max_length=settings.max_length,
        )
        batches = task.batches(self.data["train"], training=True, **self.data_options())
        optimizer = default_optimizer(
            settings.learning_rate,
            settings.warmup_steps,
            batches.num_batches(0) * settings.epochs // settings.accumulate,
            weight_decay=settings.weight_decay,
            ema=settings.ema,
            depths=depths(task.parts) if settings.layer_decay < 1.0 else None,
            layer_decay=settings.layer_decay,
            accumulate=settings.accumulate,
        )
        task.compile(optimizer, label_smoothing=settings.label_smoothing)
        return task

    def _label_counts(self) -> collections.Counter[str]:
        """How many training texts have each label, as the data calls it."""
        num_texts = 2 if self.settings.pairs else 1
        return collections.Counter(label for row in self.data["train"] for label in row[num_texts:])

    def _check_labels(self, labels: Sequence[str]) -> None:
        """Refuses a label that the task would not know when it is scored, after all training."""
        num_texts = 2 if self.settings.pairs else 1
        for split in sorted(self.data.keys() - {"train"}):
            for row in LabelledRows(self.data[split], num_texts, labels):
                if unknown := [label for label in row[num_texts:] if label not in labels]:
                    raise ValueError(
                        f"`data` must have no label in {split!r} but those of training, "
                        f"{', '.join(labels)}. Received: {unknown[0]!r} of {row[0]!r:.80}"
                    )

    def train_tokenizer(self) -> Tokenizer:
        """A SentencePiece tokenizer of the texts."""
        num_texts = 2 if self.settings.pairs else 1
        lines = (
            line
            for row in self.data["train"]
            for text in row[:num_texts]
            for line in text.splitlines()
        )
        settings = self.settings
        return SentencePieceTokenizer.train(lines, settings.vocab_size, settings.algorithm)

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


def _in_words(counts: collections.Counter[str]) -> str:
    """The most frequent labels with their numbers, and the rarest: no label at all maybe."""
    found = [f"{label!r} {count:,}" for label, count in counts.most_common()]
    if len(found) > _MOST_LABELS:
        rest = len(found) - _MOST_LABELS
        found = [*found[: _MOST_LABELS - 1], f"{rest:,} others", found[-1]]
    return ", ".join(found)


def _columns(pairs: bool) -> tuple[str, ...]:
    return (*(PAIR if pairs else TEXT), "label")


def _names(labels: str | Sequence[str]) -> tuple[str, ...]:
    """Labels, which an option has with commas between."""
    return tuple(filter(None, labels.split(","))) if isinstance(labels, str) else tuple(labels)


def _as_rows(examples: Any) -> Any:
    """A tuple of inputs and labels as rows; other raw examples as they are."""
    if not isinstance(examples, tuple):
        return examples
    several = (list, tuple)
    return [
        (
            *(texts if isinstance(texts, several) else [texts]),
            *(labels if isinstance(labels, several) else [labels]),
        )
        for texts, labels in zip(*examples, strict=True)
    ]
