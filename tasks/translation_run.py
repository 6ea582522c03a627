"""A translation model's training run; see `tflm.tasks.training_run` for what is in its directory.

RUN/report/beam/       scores, signatures and hypotheses of beam search
RUN/report/greedy/     those of greedy search
"""

import dataclasses
import pathlib
from typing import Any

import keras

from tflm import models
from tflm.data import BadLineReport
from tflm.eval import BLEU, GenerateAndScore, Metric, Report, evaluate, metrics_for
from tflm.generation import Beam, Greedy
from tflm.tasks import sources
from tflm.tasks.base import Task
from tflm.tasks.training_run import TrainingRun
from tflm.tasks.translation import Translation, configured, default_optimizer
from tflm.tasks.translation_recipes import RECIPES, TranslationRecipe, TranslationSettings
from tflm.tokenizers import SentencePieceTokenizer
from tflm.tokenizers.sentencepiece import MODEL_FILE
from tflm.training.files import write_atomically
from tflm.training.losses import SmoothedCrossEntropy

_NUM_SCORED = 200  # validation pairs translated during training


class TranslationRun(TrainingRun):
    """Trains a translation model on sentence pairs."""

    TASK = "translation"
    Settings = TranslationSettings
    RECIPES = RECIPES

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

    @property
    def languages(self) -> tuple[str, str]:
        """Codes of source and target."""
        return sources.language_pair(self.settings.languages)

    def data_options(self) -> dict[str, Any]:
        """Batches by token budget."""
        settings = self.settings
        return {
            "tokens_per_batch": settings.tokens_per_batch,
            "max_length": settings.max_length,
            "sampling_alpha": settings.sampling_alpha,
            "seed": settings.seed,
        }

    def callbacks(self, task: Task) -> list[keras.callbacks.Callback]:
        """BLEU of a sample, decoded greedily, every few epochs."""
        if "valid" not in self.data or not self.settings.score_every:
            return []
        sample = [pair for pair, _ in zip(self.data["valid"], range(_NUM_SCORED), strict=False)]
        texts, references = (list(side) for side in zip(*sample, strict=True))
        return [
            GenerateAndScore(
                lambda texts: task(texts, strategy=Greedy()),
                texts,
                references,
                [BLEU(self.languages[1])],
                every=self.settings.score_every,
            )
        ]

    def new_task(self) -> Translation:
        """A compiled task, with the run's tokenizers."""
        settings = self.settings
        source, target = self._tokenizers()
        network, config = models.find(settings.preset)
        # A recipe trains any architecture: what an architecture has no field for is not its own.
        names = [name for name in ("pre_norm", "dropout") if hasattr(config, name)]
        changes = {name: getattr(settings, name) for name in names}
        config = configured(config, source, target, **changes)
        strategy = Beam(num_beams=settings.beam, length_penalty="power", alpha=1.0)
        model = network(config, dtype=settings.dtype)
        task = Translation(model, source, target, strategy=strategy)
        optimizer = default_optimizer(settings.learning_rate, settings.warmup_steps, settings.ema)
        task.compile(optimizer, SmoothedCrossEntropy(settings.label_smoothing))
        return task

    def _tokenizers(self) -> tuple[SentencePieceTokenizer, SentencePieceTokenizer | None]:
        """The run's tokenizers, learned from the training text when it has none yet."""
        settings, folder = self.settings, self.out / "tokenizer"
        names = ["joint"] if settings.joint else list(self.languages)
        if not all((folder / name / MODEL_FILE).is_file() for name in names):
            self.print(f"Learning a vocabulary of {settings.vocab_size} ({settings.algorithm}).")
        tokenizers = []
        for side, name in enumerate(names):
            if not (folder / name / MODEL_FILE).is_file():
                pairs = self.data["train"]
                texts = (
                    (text for pair in pairs for text in pair)
                    if settings.joint
                    else (pair[side] for pair in pairs)  # noqa: B023  read before the loop goes on
                )
                learned = SentencePieceTokenizer.train(
                    texts, settings.vocab_size, settings.algorithm
                )
                save_tokenizer(learned, folder / name)
            tokenizers.append(SentencePieceTokenizer.load(folder / name))
        return tokenizers[0], None if settings.joint else tokenizers[1]

    def evaluate(self, split: str) -> dict[str, Report]:
        """Scores the finished task on a split, beam and greedy; writes `out / "report"`.

        Returns:
            Reports by "beam" and "greedy".
        """
        task = Translation.from_pretrained(self.out / "model")
        texts, references = (list(side) for side in zip(*self.data[split], strict=True))
        reports = {}
        for name, strategy in (("beam", task.strategy), ("greedy", Greedy())):
            reports[name] = evaluate(
                lambda texts, strategy=strategy: task(texts, strategy=strategy),
                texts,
                references,
                translation_metrics(self.languages[1]),
                task=f"translation {self.settings.languages}",
                data=split,
                settings={"strategy": type(strategy).__name__, **dataclasses.asdict(strategy)},
                target_language=self.languages[1],
            )
            reports[name].write(self.out / "report" / name)
        return reports


def translation_metrics(target_language: str) -> list[Metric]:
    """BLEU, chrF, TER, and BLEU of lower-cased text, which older results are given in."""
    return [
        *metrics_for("translation", target_language),
        BLEU(target_language, lowercase=True),
    ]


def save_tokenizer(tokenizer: SentencePieceTokenizer, directory: pathlib.Path) -> None:
    """What `tokenizer.save` writes, and on the disk when this returns: a power cut is no harm."""
    write_atomically(
        directory / MODEL_FILE,
        lambda temporary: pathlib.Path(temporary).write_bytes(tokenizer.model),
    )
