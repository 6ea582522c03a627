"""A summarization model's training run; see `tflm.tasks.training_run` for its directory."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tflm.data import BadLineReport, DatasetRows, open_table
from tflm.eval import ROUGE, Metric, metrics_for
from tflm.eval.baselines import Baseline, baselines_for
from tflm.generation import Limits
from tflm.models.base import Decoder
from tflm.tasks.scored_data import ScoredData, sides
from tflm.tasks.sequence_to_sequence_run import SequenceToSequenceRun
from tflm.tasks.sources import EveryNth, find_table, recipe_file
from tflm.tasks.summarization import Summarization
from tflm.tasks.summarization_recipes import RECIPES, SummarizationRecipe, SummarizationSettings

_ENDINGS = ("jsonl", "tsv", "csv")


class SummarizationRun(SequenceToSequenceRun):
    """Trains a summarization model on texts and their summaries."""

    TASK = "summarization"
    TASK_CLASS = Summarization
    NETWORKS = Summarization.NETWORKS
    Settings = SummarizationSettings
    RECIPES = RECIPES
    SCORED_WITH: ClassVar[Mapping[str, bool]] = {"languages": False}

    @classmethod
    def recipe_data(
        cls,
        recipe: SummarizationRecipe,
        directory: pathlib.Path,
        on_bad: str,
        report: BadLineReport,
    ) -> dict[str, Any]:
        """Texts and summaries by split."""
        data: dict[str, Any] = {}
        for split, name in recipe.files.items():
            path = recipe_file(directory, name, recipe.name)
            data[split] = cls.open_file(path, vars(recipe.settings), on_bad, report)
        if recipe.holdout:
            rows = data["train"]
            data["train"] = EveryNth(rows, recipe.holdout, others=True)
            data["valid"] = EveryNth(rows, recipe.holdout)
        return data

    @classmethod
    def find_split(cls, directory: pathlib.Path, split: str) -> pathlib.Path | None:
        """A table with named columns."""
        return find_table(directory, split, _ENDINGS)

    @classmethod
    def split_files(cls, split: str) -> str:
        """Tables, plain or packed."""
        *others, last = (f"{split}.{kind}" for kind in _ENDINGS)
        return f"{', '.join(others)} or {last}, plain or .gz"

    @classmethod
    def open_file(
        cls, path: pathlib.Path, settings: Mapping[str, Any], on_bad: str, report: BadLineReport
    ) -> Any:
        """Rows of a text and its summary."""
        return open_table(path, _columns(settings), on_bad=on_bad, report=report)

    @classmethod
    def open_dataset(cls, dataset: Any, settings: Mapping[str, Any]) -> DatasetRows:
        """Rows of a text and its summary."""
        return DatasetRows(dataset, _columns(settings))

    @classmethod
    def scored_data(cls, examples: Any, settings: Mapping[str, Any]) -> ScoredData:
        """Texts, and their summaries."""
        texts, summaries = sides(examples)
        language = settings.get("languages", "").rpartition("-")[2] or settings.get("language", "")
        return ScoredData(settings["task"], texts, summaries, language=language)

    def texts_of_rows(self) -> tuple[int, str]:
        """Text and summary, in one language."""
        return 2, f"{self.settings.language}-{self.settings.language}"

    @property
    def answer_language(self) -> str:
        """Code of the summaries' language."""
        return self.settings.language

    @property
    def title(self) -> str:
        """The task and its language."""
        return f"summarization {self.settings.language}"

    def sample_metric(self) -> Metric:
        """ROUGE-1."""
        return ROUGE("rouge1", self.answer_language)

    def metrics(self) -> list[Metric]:
        """ROUGE-1, 2, L and Lsum, and lengths."""
        return metrics_for("summarization", self.answer_language)

    def baselines(self) -> Sequence[Baseline]:
        """The first sentence, the first three, and the longest."""
        return baselines_for("summarization")

    def vocabulary_options(self) -> dict[str, Any]:
        """What must not be cut into pieces."""
        return {"user_symbols": tuple(self.settings.symbols.split())}

    def data_options(self) -> dict[str, Any]:
        """Batches by the tokens of the texts, which are cut."""
        settings = self.settings
        return {
            "tokens_per_batch": settings.tokens_per_batch,
            "max_source_length": settings.max_source_length,
            "max_length": settings.max_length,
            "seed": settings.seed,
        }

    def fresh_sizes(self, network: type, config: Any) -> dict[str, Any]:
        """Positions of a decoder, which has text and summary in one row."""
        if not issubclass(network, Decoder) or not hasattr(config, "max_length"):
            return {}
        needed = self.settings.max_source_length + self.settings.max_length
        return {"max_length": max(config.max_length, needed)}

    def task_options(self) -> dict[str, Any]:
        """Lengths and penalties besides the beam."""
        settings = self.settings
        return {
            **super().task_options(),
            "limits": Limits(
                max_length=settings.max_length,
                min_length=settings.min_length,
                no_repeat_ngram_size=settings.no_repeat_ngram_size,
                coverage_penalty=settings.coverage_penalty,
            ),
            "max_source_length": settings.max_source_length,
            "max_length_ratio": settings.max_length_ratio or None,
            "prompt": settings.prompt or None,
        }


def _columns(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """What the data calls a text and its summary."""
    return tuple(settings.get(name, name) for name in ("document", "summary"))
