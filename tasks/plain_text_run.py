"""What runs of tasks that learn from plain text share: their data, their tokenizer."""

import pathlib
from typing import Any, ClassVar

from tflm import models, tokenizers
from tflm.data import BadLineReport, TextFiles
from tflm.tasks.causal_lm import default_optimizer
from tflm.tasks.network_sizes import sized
from tflm.tasks.plain_text import PlainTextTask
from tflm.tasks.plain_text_recipes import PlainTextRecipe, recipe_texts
from tflm.tasks.sources import SPLITS
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
    def directory_data(
        cls, directory: pathlib.Path, settings: Any, on_bad: str, report: BadLineReport
    ) -> dict[str, Any]:
        """Texts by split: a file `train.txt` or `train.txt.gz`, or a folder `train` of such files.

        "valid" and "test" are optional.
        """
        found = {split: find_texts(directory, split) for split in SPLITS}
        if found["train"] is None:
            raise _no_split(directory, "train")
        return {
            split: TextFiles(path, settings.documents)
            for split, path in found.items()
            if path is not None
        }

    def texts(self, split: str) -> list[str]:
        """The texts of a split."""
        return [row if isinstance(row, str) else row[0] for row in self.data[split]]

    def tokenizer(self) -> Tokenizer:
        """The run's tokenizer, learned from the training text when it has none yet."""
        settings, folder = self.settings, self.out / "tokenizer"
        if not folder.is_dir():
            self.print(f"Learning a vocabulary of {settings.vocab_size} ({settings.algorithm}).")
            # The trainer reads lines: one of several megabytes would be left out.
            lines = (
                line
                for row in self.data["train"]
                for line in (row if isinstance(row, str) else row[0]).splitlines()
            )
            learned = self.TASK_CLASS.train_tokenizer(
                lines, settings.vocab_size, settings.algorithm
            )
            learned.save(folder)
        return tokenizers.load(folder)

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
        network, config = models.find(settings.preset)
        config = sized(config, settings, tokenizer.vocab_size)
        return network(config, dtype=settings.dtype), tokenizer

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
    names = (f"{split}.txt", f"{split}.txt.gz", split)
    return next((directory / name for name in names if (directory / name).exists()), None)


def read_texts(data: pathlib.Path, split: str, documents: str) -> list[str]:
    """The texts of a file, or of one split of a directory.

    Args:
        data: a text file, or a directory as `PlainTextRun.directory_data` reads it.
        split: of a directory.
        documents: what a document is, see `TextFiles`; with "none" all is one text.

    Raises:
        FileNotFoundError: there is no such file or split.
        ValueError: it holds no text.
    """
    path = find_texts(data, split) if data.is_dir() else data
    if path is None:
        raise _no_split(data, split)
    texts = [text for (text,) in TextFiles(path, documents)]
    if documents == "none":
        texts = ["".join(texts)]
    if not any(texts):
        raise ValueError(f"`data` must hold at least one text. Received: {data}")
    return texts


def _no_split(directory: pathlib.Path, split: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"`data` must hold {split}.txt, {split}.txt.gz or a folder {split} of such files. "
        f"Received: {directory}"
    )
