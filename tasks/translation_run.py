"""A translation model's training run; see `tflm.tasks.training_run` for its directory."""

import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

from tflm.data import BadLineReport, DatasetRows
from tflm.eval import BLEU, Metric, metrics_for
from tflm.eval.catalog import task_metric_names
from tflm.tasks import sources
from tflm.tasks.model_settings import answer_language
from tflm.tasks.scored_data import ScoredData, sides
from tflm.tasks.sequence_to_sequence_run import SequenceToSequenceRun
from tflm.tasks.translation import Translation
from tflm.tasks.translation_recipes import RECIPES, TranslationRecipe, TranslationSettings


class TranslationRun(SequenceToSequenceRun):
    """Trains a translation model on sentence pairs."""

    TASK = "translation"
    TASK_CLASS = Translation
    NETWORKS = Translation.NETWORKS
    Settings = TranslationSettings
    RECIPES = RECIPES
    SCORED_AS = ("generation",)
    SCORED_WITH: ClassVar[Mapping[str, bool]] = {"languages": True, "swap": False}

    @classmethod
    def recipe_data(
        cls, recipe: TranslationRecipe, directory: pathlib.Path, on_bad: str, report: BadLineReport
    ) -> dict[str, Any]:
        """Pairs by split."""
        return sources.recipe_data(recipe, directory, on_bad, report)

    @classmethod
    def directory_data(
        cls,
        directory: pathlib.Path,
        settings: TranslationSettings,
        on_bad: str,
        report: BadLineReport,
    ) -> dict[str, Any]:
        """Pairs by split: parallel files, TSV or JSON lines.

        Raises:
            ValueError: the settings do not say which languages.
        """
        languages = sources.language_pair(settings.languages)
        return sources.directory_data(directory, languages, on_bad, report)

    @classmethod
    def open_split(
        cls,
        path: pathlib.Path,
        split: str,
        settings: Mapping[str, Any],
        on_bad: str,
        report: BadLineReport,
    ) -> sources.Pairs:
        """Pairs of a file, or of one split."""
        languages = settings.get("languages")
        pair = sources.language_pair(languages) if languages else ("", "")
        return sources.open_split(path, split, pair, on_bad, report)

    @classmethod
    def open_dataset(cls, dataset: Any, settings: Mapping[str, Any]) -> DatasetRows:
        """Pairs of the columns `source` and `target`, or of a column `translation` by language."""
        columns = ("source", "target")
        if "translation" in dataset.column_names:
            languages = sources.language_pair(settings.get("languages", ""))
            columns = tuple(f"translation.{language}" for language in languages)
        return DatasetRows(dataset, columns)

    @classmethod
    def scored_data(cls, examples: Any, settings: Mapping[str, Any]) -> ScoredData:
        """Sources, and their references."""
        given, expected = sides(examples)
        if settings.get("swap"):
            given, expected = expected, given
        task = settings["task"]
        return ScoredData(
            task,
            given,
            expected,
            # Lower-cased BLEU, as older results have it, too.
            metrics=(*task_metric_names(task), *(("bleu_lc",) if task == "translation" else ())),
            language=answer_language(settings),
            languages=settings.get("languages", ""),
        )

    def texts_of_rows(self) -> tuple[int, str]:
        """Source and target."""
        return 2, self.settings.languages

    @property
    def languages(self) -> tuple[str, str]:
        """Codes of source and target."""
        return sources.language_pair(self.settings.languages)

    @property
    def answer_language(self) -> str:
        """Code of the target."""
        return self.languages[1]

    @property
    def title(self) -> str:
        """The task and its languages."""
        return f"translation {self.settings.languages}"

    def sample_metric(self) -> Metric:
        """BLEU."""
        return BLEU(self.answer_language)

    def metrics(self) -> list[Metric]:
        """BLEU, chrF, TER, and BLEU of lower-cased text, which older results are given in."""
        language = self.answer_language
        return [*metrics_for("translation", language), BLEU(language, lowercase=True)]

    def vocabularies(self) -> list[str]:
        """One for both languages, or one for each."""
        if self.settings.joint:
            return super().vocabularies()
        source, target = self.languages
        return ["source", "target"] if source == target else [source, target]

    def data_options(self) -> dict[str, Any]:
        """Batches by token budget."""
        settings = self.settings
        return {
            "tokens_per_batch": settings.tokens_per_batch,
            "max_length": settings.max_length,
            "sampling_alpha": settings.sampling_alpha,
            "seed": settings.seed,
        }
