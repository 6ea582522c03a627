"""What the training runs of translation and of summarization share.

RUN/report/beam/       scores, signatures and hypotheses of beam search
RUN/report/greedy/     those of greedy search
"""

import abc
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import keras

from tflm import models
from tflm.eval import GenerateAndScore, Metric, Report, evaluate
from tflm.eval.baselines import Baseline
from tflm.generation import Beam, Greedy
from tflm.tasks.base import Task
from tflm.tasks.network_sizes import configured
from tflm.tasks.sequence_to_sequence import SequenceToSequence, default_optimizer
from tflm.tasks.starting import open_start, restarted
from tflm.tasks.training_run import TrainingRun
from tflm.tokenizers import SentencePieceTokenizer
from tflm.tokenizers.sentencepiece import MODEL_FILE
from tflm.training.files import write_atomically
from tflm.training.losses import SmoothedCrossEntropy

_NUM_SCORED = 200  # validation pairs answered during training


class SequenceToSequenceRun(TrainingRun, abc.ABC):
    """Trains a network that answers texts on pairs of them.

    Its `Settings` have, besides those of every run, `start`, `vocab_size`, `algorithm`, `dropout`,
    `label_smoothing`, `learning_rate`, `warmup_steps`, `ema`, `score_every` and `beam`.

    Attributes:
        TASK_CLASS: the task's class.
    """

    TASK_CLASS: ClassVar[type[SequenceToSequence]]

    @property
    @abc.abstractmethod
    def answer_language(self) -> str:
        """Code of the language of the targets."""

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What a report calls the task."""

    @abc.abstractmethod
    def sample_metric(self) -> Metric:
        """What a sample is scored by while training goes on."""

    @abc.abstractmethod
    def metrics(self) -> list[Metric]:
        """What the finished task is scored by."""

    def baselines(self) -> Sequence[Baseline]:
        """Trivial systems that are scored beside the finished task."""
        return ()

    def vocabulary_options(self) -> dict[str, Any]:
        """Options of `SentencePieceTokenizer.train` besides its size and its algorithm."""
        return {}

    def task_options(self) -> dict[str, Any]:
        """The task's arguments besides model and tokenizers."""
        strategy = Beam(num_beams=self.settings.beam, length_penalty="power", alpha=1.0)
        return {"strategy": strategy}

    @property
    def monitor(self) -> tuple[str, str]:
        """The score of the sample, where one is scored."""
        if not self.settings.score_every:
            return super().monitor
        return f"val_{self.sample_metric().name}", "max"

    def callbacks(self, task: Task) -> list[keras.callbacks.Callback]:
        """The score of a sample, decoded greedily, every few epochs."""
        if "valid" not in self.data or not self.settings.score_every:
            return []
        sample = [pair for pair, _ in zip(self.data["valid"], range(_NUM_SCORED), strict=False)]
        texts, references = (list(side) for side in zip(*sample, strict=True))
        return [
            GenerateAndScore(
                lambda texts: task(texts, strategy=Greedy()),
                texts,
                references,
                [self.sample_metric()],
                every=self.settings.score_every,
            )
        ]

    def new_task(self) -> SequenceToSequence:
        """A compiled task, with the run's tokenizers."""
        settings = self.settings
        task = self.TASK_CLASS(*self.network(), **self.task_options())
        optimizer = default_optimizer(
            settings.learning_rate, settings.warmup_steps, settings.ema, settings.accumulate
        )
        task.compile(optimizer, SmoothedCrossEntropy(settings.label_smoothing))
        return task

    def network(self) -> tuple[Any, ...]:
        """The network that training starts from, and its tokenizers."""
        settings = self.settings
        if settings.start:
            found, tokenizers = open_start(settings.start, self.TASK_CLASS.NETWORKS, self.TASK)
            return restarted(found, {"dropout": settings.dropout}, settings.dtype), *tokenizers
        tokenizers = self._tokenizers()
        network, config = self.fresh_network([each.vocab_size for each in tokenizers])
        return network(config, dtype=settings.dtype), *tokenizers

    def fresh_network(self, vocab_sizes: Sequence[int]) -> tuple[type[models.Model], Any]:
        """The preset, with the settings' rates."""
        network, config = models.find(self.settings.preset)
        # A recipe trains any architecture: what an architecture has no field for is not its own.
        names = [name for name in ("pre_norm", "dropout") if hasattr(config, name)]
        changes = {name: getattr(self.settings, name) for name in names}
        changes |= self.fresh_sizes(network, config)
        return network, configured(config, *vocab_sizes, **changes)

    def fresh_sizes(self, network: type, config: Any) -> dict[str, Any]:
        """Fields of a preset's config to change besides its rates, for fresh weights.

        Args:
            network: the architecture's class.
            config: the preset's config.
        """
        return {}

    def _tokenizers(self) -> list[SentencePieceTokenizer]:
        """The run's tokenizers, learned from the training text when it has none yet."""
        settings, folder = self.settings, self.out / "tokenizer"
        names = self.vocabularies()
        if not all((folder / name / MODEL_FILE).is_file() for name in names):
            self.print(f"Learning a vocabulary of {settings.vocab_size} ({settings.algorithm}).")
        tokenizers = []
        for side, name in enumerate(names):
            if not (folder / name / MODEL_FILE).is_file():
                sides = (0, 1) if len(names) == 1 else (side,)
                learned = SentencePieceTokenizer.train(
                    _lines(self.data["train"], sides),
                    settings.vocab_size,
                    settings.algorithm,
                    **self.vocabulary_options(),
                )
                save_tokenizer(learned, folder / name)
            tokenizers.append(SentencePieceTokenizer.load(folder / name))
        return tokenizers

    def evaluate(self, split: str) -> dict[str, Report]:
        """Scores the finished task on a split, beam and greedy; writes `out / "report"`.

        Returns:
            Reports by "beam" and "greedy".
        """
        task = self.TASK_CLASS.from_pretrained(self.out / "model")
        texts, references = (list(side) for side in zip(*self.data[split], strict=True))
        reports = {}
        for name, strategy in (("beam", task.strategy), ("greedy", Greedy())):
            reports[name] = evaluate(
                lambda texts, strategy=strategy: task(texts, strategy=strategy),
                texts,
                references,
                self.metrics(),
                task=self.title,
                data=split,
                settings={"strategy": type(strategy).__name__, **dataclasses.asdict(strategy)},
                target_language=self.answer_language,
                baselines=self.baselines(),
            )
            reports[name].write(self.out / "report" / name)
        return reports


def _lines(pairs: Iterable[tuple[str, ...]], sides: Sequence[int]) -> Iterator[str]:
    """What a vocabulary is learned from, which is read line by line."""
    for pair in pairs:
        for side in sides:
            yield from pair[side].splitlines()


def save_tokenizer(tokenizer: SentencePieceTokenizer, directory: pathlib.Path) -> None:
    """What `tokenizer.save` writes, and on the disk when this returns: a power cut is no harm."""
    write_atomically(
        directory / MODEL_FILE,
        lambda temporary: pathlib.Path(temporary).write_bytes(tokenizer.model),
    )
