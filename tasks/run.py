"""One training run in one directory: tokenizer, checkpoints, weights, report; it resumes.

RUN/run.json           settings; a run goes on only with the same ones
RUN/tokenizer/         what was learned from the training text first
RUN/checkpoint         everything needed to go on after an interruption
RUN/epochs/            the last epochs' weights, and the best one's
RUN/model/             the finished task, for `Translation.from_pretrained`
RUN/report/            scores, signatures and hypotheses
"""

import dataclasses
import json
import math
import pathlib
import shutil
from typing import Any

import keras
from rich.console import Console

from tflm import models
from tflm.eval import BLEU, GenerateAndScore, Metric, Report, evaluate, metrics_for
from tflm.generation import Beam, Greedy
from tflm.tasks.recipes import Settings
from tflm.tasks.sources import Pairs
from tflm.tasks.translation import Translation, configured, default_optimizer
from tflm.tokenizers import SentencePieceTokenizer
from tflm.tokenizers.sentencepiece import MODEL_FILE
from tflm.training.checkpoint import Checkpoint, KeepLastWeights
from tflm.training.files import write_atomically
from tflm.training.losses import SmoothedCrossEntropy
from tflm.training.progress import ProgressBar, clock
from tflm.training.weights import (
    average_weights,
    load_weights,
    moving_average,
    save_weights,
    set_weights,
)

_NUM_SCORED = 200  # validation pairs translated during training


class TranslationRun:
    """Trains a translation model in a directory, from where it was left if it was.

    Args:
        out: the run's directory.
        data: pairs by split: "train", and "valid" and "test" where there are some.
        languages: two-letter codes of source and target.
        settings: how to train.
        console: where progress goes.

    Raises:
        ValueError: `out` holds a run with other settings, a split is empty, or no model is called
            as the settings say.
    """

    def __init__(
        self,
        out: pathlib.Path,
        data: dict[str, Pairs],
        languages: tuple[str, str],
        settings: Settings,
        console: Console,
    ):
        self.out = out
        self.data = data
        self.languages = languages
        self.settings = settings
        self.console = console
        models.find(settings.preset)  # an unknown one leaves nothing behind
        for split, pairs in data.items():
            if next(iter(pairs), None) is None:
                raise ValueError(f"`data` must hold pairs. Received: none in split {split!r}")
        self._claim()

    def _claim(self) -> None:
        """Writes `run.json`, or checks that the one there says the same."""
        wanted = {"languages": list(self.languages), **dataclasses.asdict(self.settings)}
        path = self.out / "run.json"
        if not path.exists():
            write_json(path, wanted)
            return
        # A setting younger than the run had the value that is its default now.
        found = {
            **dataclasses.asdict(Settings()),
            **json.loads(path.read_text(encoding="utf-8")),
        }
        # More epochs continue a run; anything else would make it another one.
        names = {name for name in wanted | found if wanted.get(name) != found.get(name)}
        if names - {"epochs"}:
            if (self.out / "checkpoint").exists():
                differ = ", ".join(
                    f"{name}: {found.get(name)!r} there, {wanted.get(name)!r} now"
                    for name in sorted(names)
                )
                raise ValueError(
                    f"`out` must be a new directory or the same run. Received: {differ}"
                )
            # It ended before it had learned anything, from a setting that did not suit the data
            # say; its vocabulary is not ours.
            shutil.rmtree(self.out / "tokenizer", ignore_errors=True)
        write_json(path, wanted)

    def train(self) -> Translation:
        """Fits, averages, saves the finished task in `out / "model"`.

        Raises:
            Interrupted: a signal stopped it; the same call goes on from there.
        """
        settings = self.settings
        keras.utils.set_random_seed(settings.seed)
        task = self._new_task(settings.dtype)
        checkpoint = Checkpoint(self.out / "checkpoint", task)

        def save(model: keras.Model, path: str) -> None:
            with moving_average(task):
                save_weights(model, path)

        keep = KeepLastWeights(self.out / "epochs", task.model, settings.average_last, save)
        if checkpoint.restore():
            self._print(f"Resuming after {checkpoint.step} updates.")
            keep.best = min(
                (logs.get("val_loss", math.inf) for logs in checkpoint.history), default=math.inf
            )
        if checkpoint.epoch < settings.epochs:
            self._fit(task, checkpoint, keep)
        self._choose_weights(task, checkpoint, keep)
        write_json(
            self.out / "history.json",
            {"seconds": round(checkpoint.seconds, 1), "epochs": checkpoint.history},
        )
        self._print(f"Trained {checkpoint.epoch} epochs in {clock(checkpoint.seconds)}.")
        task.save_pretrained(self.out / "model")
        return task

    def _fit(self, task: Translation, checkpoint: Checkpoint, keep: KeepLastWeights) -> None:
        settings = self.settings
        options = {
            "tokens_per_batch": settings.tokens_per_batch,
            "max_length": settings.max_length,
            "sampling_alpha": settings.sampling_alpha,
            "seed": settings.seed,
        }
        steps = task.batches(self.data["train"], training=True, **options).num_batches(0)
        self._print(
            f"{settings.preset}: {task.model.count_params():,} parameters, "
            f"{steps} updates an epoch, {settings.epochs} epochs, {settings.dtype}"
        )
        progress = ProgressBar(steps, settings.epochs, checkpoint.step, self.console)
        callbacks = [*self._scoring(task), progress, keep, checkpoint]
        try:
            task.fit(
                self.data["train"],
                validation_data=self.data.get("valid"),
                epochs=settings.epochs,
                initial_epoch=checkpoint.epoch,
                start_step=checkpoint.step,
                data_options=options,
                callbacks=callbacks,
                verbose=0,
            )
        finally:
            progress.close()

    def _scoring(self, task: Translation) -> list[keras.callbacks.Callback]:
        if "valid" not in self.data or not self.settings.score_every:
            return []
        sample = [pair for pair, _ in zip(self.data["valid"], range(_NUM_SCORED), strict=False)]
        sources, references = (list(side) for side in zip(*sample, strict=True))
        return [
            GenerateAndScore(
                lambda texts: task(texts, strategy=Greedy()),
                sources,
                references,
                [BLEU(self.languages[1])],
                every=self.settings.score_every,
            )
        ]

    def _choose_weights(
        self, task: Translation, checkpoint: Checkpoint, keep: KeepLastWeights
    ) -> None:
        """The mean of the last epochs, unless a single epoch has the lower validation loss."""
        set_weights(task.model, average_weights(keep.kept(checkpoint.epoch)))
        if "valid" not in self.data:
            return
        # In the batches that the epochs were validated in, so that losses compare.
        options = {"tokens_per_batch": self.settings.tokens_per_batch}
        average = task.evaluate(
            self.data["valid"], data_options=options, return_dict=True, verbose=0
        )["loss"]
        best = min(logs.get("val_loss", math.inf) for logs in checkpoint.history)
        self._print(
            f"Validation loss: {average:.4f} of the mean of the last "
            f"{len(keep.kept(checkpoint.epoch))} epochs, {best:.4f} of the best epoch."
        )
        if best < average:
            load_weights(task.model, keep.best_path)

    def _new_task(self, dtype: str) -> Translation:
        source, target = self._tokenizers()
        network, config = models.find(self.settings.preset)
        # A recipe trains any architecture: what an architecture has no field for is not its own.
        names = [name for name in ("pre_norm", "dropout") if hasattr(config, name)]
        changes = {name: getattr(self.settings, name) for name in names}
        config = configured(config, source, target, **changes)
        strategy = Beam(num_beams=self.settings.beam, length_penalty="power", alpha=1.0)
        task = Translation(network(config, dtype=dtype), source, target, strategy=strategy)
        optimizer = default_optimizer(
            self.settings.learning_rate, self.settings.warmup_steps, self.settings.ema
        )
        task.compile(optimizer, SmoothedCrossEntropy(self.settings.label_smoothing))
        return task

    def _tokenizers(self) -> tuple[SentencePieceTokenizer, SentencePieceTokenizer | None]:
        """The run's tokenizers, learned from the training text when it has none yet."""
        settings, folder = self.settings, self.out / "tokenizer"
        names = ["joint"] if settings.joint else list(self.languages)
        if not all((folder / name / MODEL_FILE).is_file() for name in names):
            self._print(f"Learning a vocabulary of {settings.vocab_size} ({settings.algorithm}).")
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
        sources, references = (list(side) for side in zip(*self.data[split], strict=True))
        reports = {}
        for name, strategy in (("beam", task.strategy), ("greedy", Greedy())):
            reports[name] = evaluate(
                lambda texts, strategy=strategy: task(texts, strategy=strategy),
                sources,
                references,
                translation_metrics(self.languages[1]),
                task="translation " + "-".join(self.languages),
                data=split,
                settings={"strategy": type(strategy).__name__, **dataclasses.asdict(strategy)},
            )
            reports[name].write(self.out / "report" / name)
        return reports

    def _print(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


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


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes JSON, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_atomically(
        path, lambda temporary: pathlib.Path(temporary).write_text(text, encoding="utf-8")
    )
