"""What runs of tasks that learn from plain text share: their data, their tokenizer."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tflm import models
from tflm.data import BadLineReport, DatasetRows, TextFiles
from tflm.tasks.causal_lm import default_optimizer
from tflm.tasks.network_sizes import sized
from tflm.tasks.plain_text import PlainTextTask
from tflm.tasks.plain_text_recipes import PlainTextRecipe, recipe_texts
from tflm.tasks.sources import names_of
from tflm.tasks.training_run import TrainingRun
from tflm.tokenizers import Tokenizer


class PlainTextRun(TrainingRun):
    """Trains on texts without anything beside them.

    Its `Settings` have `documents` (see `tflm.data.TextFiles`), `vocab_size`, `algorithm`, what
    `tflm.tasks.network_sizes.sized` reads and what `default_optimizer` takes too.

    Attributes:
        TASK_CLASS: the task's class.
    """

    TASK_CLASS: ClassVar[type[PlainTextTask]]

    @classmethod
    def recipe_data(
        cls, recipe: PlainTextRecipe, directory: pathlib.Path, on_bad: str, report: BadLineReport
    ) -> dict[str, Any]:
        """Texts by split; of plain text no line is malformed, unless it is not UTF-8."""
        return recipe_texts(recipe, directory)

    @classmethod
    def find_split(cls, directory: pathlib.Path, split: str) -> pathlib.Path | None:
        """A file, or a folder of files."""
        return find_texts(directory, split)

    @classmethod
    def split_files(cls, split: str) -> str:
        """Text files, plain or packed, or a folder."""
        return f"{split}.txt, {split}.txt.gz or a folder {split} of such files"

    @classmethod
    def open_file(
        cls, path: pathlib.Path, settings: Mapping[str, Any], on_bad: str, report: BadLineReport
    ) -> Any:
        """Texts; of plain text no line is malformed, unless it is not UTF-8."""
        return TextFiles(path, settings["documents"])

    @classmethod
    def open_dataset(cls, dataset: Any, settings: Mapping[str, Any]) -> DatasetRows:
        """Texts of the column `text`, each a document."""
        return DatasetRows(dataset, ("text",))

    def texts(self, split: str) -> list[str]:
        """The texts of a split."""
        return [row if isinstance(row, str) else row[0] for row in self.data[split]]

    def train_tokenizer(self) -> Tokenizer:
        """One of the task's kind, of the texts."""
        # The trainer reads lines: one of several megabytes would be left out.
        lines = (
            line
            for row in self.data["train"]
            for line in (row if isinstance(row, str) else row[0]).splitlines()
        )
        settings = self.settings
        return self.TASK_CLASS.train_tokenizer(lines, settings.vocab_size, settings.algorithm)

    def texts_of_rows(self) -> tuple[int, str]:
        """A document, whose language is not known; the pieces of one long text are none."""
        return super().texts_of_rows() if self.settings.documents == "none" else (1, "")

    def data_options(self) -> dict[str, int]:
        """Rows of the model's length."""
        settings = self.settings
        return {
            "sequence_length": settings.sequence_length,
            "tokens_per_batch": settings.tokens_per_batch,
            "seed": settings.seed,
        }

    def network(self) -> tuple[Any, Tokenizer]:
        """The network that training starts from, and its tokenizer."""
        settings, tokenizer = self.settings, self.tokenizer()
        network, config = self.fresh_network([tokenizer.vocab_size])
        return network(config, dtype=settings.dtype), tokenizer

    def fresh_network(self, vocab_sizes: Sequence[int]) -> tuple[type[models.Model], Any]:
        """The preset, with the settings' sizes and rates."""
        network, config = models.find(self.settings.preset)
        return network, sized(config, self.settings, *vocab_sizes)

    def task_of(self, model: Any, tokenizer: Tokenizer) -> PlainTextTask:
        """The task of a network and its tokenizer."""
        return self.TASK_CLASS(model, tokenizer)

    def new_task(self) -> PlainTextTask:
        """A compiled task whose learning rate falls over all epochs."""
        settings = self.settings
        task = self.task_of(*self.network())
        batches = task.batches(self.data["train"], training=True, **self.data_options())
        task.compile(
            default_optimizer(
                settings.learning_rate,
                settings.warmup_steps,
                batches.num_batches(0) * settings.epochs // settings.accumulate,
                weight_decay=settings.weight_decay,
                beta_2=settings.beta_2,
                accumulate=settings.accumulate,
            )
        )
        return task


def find_texts(directory: pathlib.Path, split: str) -> pathlib.Path | None:
    """The file or folder of a split's texts in a directory, `None` where it has none."""
    paths = (
        directory / f"{name}{end}" for name in names_of(split) for end in (".txt", ".txt.gz", "")
    )
    return next((path for path in paths if path.exists()), None)
