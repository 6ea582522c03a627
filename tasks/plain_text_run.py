"""What runs of tasks that learn from plain text share: their data, their tokenizer."""

import pathlib
from typing import Any

from tflm import tokenizers
from tflm.data import BadLineReport, TextFiles
from tflm.tasks.plain_text_recipes import PlainTextRecipe, recipe_texts
from tflm.tasks.sources import SPLITS
from tflm.tasks.training_run import TrainingRun
from tflm.tokenizers import SentencePieceTokenizer, Tokenizer


class PlainTextRun(TrainingRun):
    """Trains on texts without anything beside them.

    Its `Settings` have `documents` (see `tflm.data.TextFiles`), `vocab_size` and `algorithm` too.
    """

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
        data = {}
        for split in SPLITS:
            names = (f"{split}.txt", f"{split}.txt.gz", split)
            found = next((directory / name for name in names if (directory / name).exists()), None)
            if found is not None:
                data[split] = TextFiles(found, settings.documents)
        if "train" not in data:
            raise FileNotFoundError(
                "`data` must hold train.txt, train.txt.gz or a folder train of such files. "
                f"Received: {directory}"
            )
        return data

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
            self.train_tokenizer(lines).save(folder)
        return tokenizers.load(folder)

    def train_tokenizer(self, lines: Any) -> SentencePieceTokenizer:
        """A tokenizer learned from lines of text."""
        return SentencePieceTokenizer.train(
            lines, self.settings.vocab_size, self.settings.algorithm
        )
