"""Translation: a sentence in one language, the same sentence in another.

source   "Two dogs are playing in the snow."
target   "Zwei Hunde spielen im Schnee."

pairs = [("Two dogs are playing in the snow.", "Zwei Hunde spielen im Schnee."), ...]
task = Translation.from_pairs(pairs, "transformer/tiny", vocab_size=8000)
task.compile()
task.fit(pairs, epochs=30)
task("Two dogs are playing.")
"""

import base64
import dataclasses
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tflm import models
from tflm.data import TranslationBatches
from tflm.export import TextToText, save
from tflm.generation import Beam, Greedy, Limits, Sample
from tflm.models import EncoderDecoder
from tflm.tasks.base import Task
from tflm.tokenizers import SentencePieceTokenizer
from tflm.training.losses import SmoothedCrossEntropy
from tflm.training.schedules import InverseSquareRoot

STRATEGIES = {cls.__name__: cls for cls in (Beam, Greedy, Sample)}
MAX_SOURCE_LENGTH = 512
MAX_TARGET_LENGTH = 256
_TEXTS_PER_CALL = 64
_MAX_LENGTH_RATIO = 3.0


class Translation(Task):
    """Translates with an encoder-decoder.

    Raw examples are `(source, target)` pairs: a list, a reader of `tflm.data`, or a `tf.data`
    dataset of string pairs.

    Args:
        model: an `EncoderDecoder`.
        source_tokenizer: tokenizer of the source language.
        target_tokenizer: tokenizer of the target language; by default the source's, joint one.
        strategy: how to decode: `Beam`, `Greedy` or `Sample`.
        limits: length limits of a translation, in tokens; by default 256, or fewer where the model
            takes fewer.
        max_source_length: tokens read of a source; what is longer is cut and reported. By default
            512, or fewer where the model takes fewer.

    Raises:
        TypeError: `model` is not an encoder-decoder.
        ValueError: a tokenizer has more pieces than the model has embeddings.
    """

    def __init__(
        self,
        model: EncoderDecoder,
        source_tokenizer: SentencePieceTokenizer,
        target_tokenizer: SentencePieceTokenizer | None = None,
        *,
        strategy: Beam | Greedy | Sample | None = None,
        limits: Limits | None = None,
        max_source_length: int | None = None,
        **kwargs: Any,
    ):
        if not isinstance(model, EncoderDecoder):
            raise TypeError(f"`model` must be an EncoderDecoder. Received: {type(model).__name__}")
        super().__init__(model, **kwargs)
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer or source_tokenizer
        self._check_vocabularies()
        self.strategy = strategy or Beam(num_beams=5, length_penalty="power", alpha=1.0)
        longest = model.config.max_length or MAX_SOURCE_LENGTH
        self.limits = limits or Limits(max_length=min(MAX_TARGET_LENGTH, longest))
        self.max_source_length = max_source_length or min(MAX_SOURCE_LENGTH, longest)
        self._translators: dict[Any, Any] = {}

    def _check_vocabularies(self) -> None:
        config = self.model.config
        sizes = {
            "source_tokenizer": (self.source_tokenizer, config.vocab_size),
            "target_tokenizer": (
                self.target_tokenizer,
                config.target_vocab_size or config.vocab_size,
            ),
        }
        for name, (tokenizer, size) in sizes.items():
            if tokenizer.vocab_size > size:
                raise ValueError(
                    f"`{name}` must have at most as many pieces as the model has embeddings. "
                    f"Received: {tokenizer.vocab_size} pieces, {size} embeddings"
                )

    @classmethod
    def from_pairs(
        cls,
        pairs: Iterable[tuple[str, str]],
        preset: str = "transformer/tiny",
        *,
        vocab_size: int = 8000,
        joint: bool = True,
        algorithm: str = "bpe",
        dropout: float | None = None,
        pre_norm: bool | None = None,
        dtype: str | None = None,
        **kwargs: Any,
    ) -> "Translation":
        """A task with tokenizers trained on `pairs` and a network with fresh weights.

        Args:
            pairs: `(source, target)` strings, re-iterable.
            preset: "architecture/preset", as `tflm models` lists them.
            vocab_size: pieces of the joint vocabulary, or of each of the two.
            joint: one vocabulary for both languages, which share their embeddings then.
            algorithm: "bpe" or "unigram".
            dropout: the preset's by default.
            pre_norm: the preset's by default.
            dtype: dtype policy of the network, "mixed_bfloat16" say; Keras's global one by default.
            **kwargs: passed to the constructor.

        Raises:
            ValueError: an argument is unknown or does not suit the pairs.
        """
        if joint:
            texts = (text for pair in pairs for text in pair)
            source = target = SentencePieceTokenizer.train(texts, vocab_size, algorithm)
        else:
            source, target = (
                SentencePieceTokenizer.train((pair[i] for pair in pairs), vocab_size, algorithm)
                for i in (0, 1)
            )
        network, config = models.find(preset)
        changes: dict[str, Any] = {"vocab_size": source.vocab_size}
        changes["target_vocab_size"] = None if joint else target.vocab_size
        if dropout is not None:
            changes["dropout"] = dropout
        if pre_norm is not None:
            changes["pre_norm"] = pre_norm
        model = network(dataclasses.replace(config, **changes), dtype=dtype)
        return cls(model, source, target, **kwargs)

    def compile(
        self, optimizer: Any = None, loss: Any = None, *, jit_compile: bool = False, **kwargs: Any
    ) -> None:
        """`keras.Model.compile` with defaults that train a Transformer.

        Args:
            optimizer: by default Adam with the paper's betas, gradients clipped to norm 1, and an
                inverse-square-root schedule.
            loss: by default cross-entropy with label smoothing 0.1.
            jit_compile: XLA; off by default, for batches come in many shapes.
            **kwargs: passed to Keras.
        """
        super().compile(
            optimizer=default_optimizer() if optimizer is None else optimizer,
            loss=SmoothedCrossEntropy(0.1) if loss is None else loss,
            jit_compile=jit_compile,
            **kwargs,
        )

    def batches(self, examples: Any, **options: Any) -> TranslationBatches:
        """Pairs -> batches; see `tflm.data.TranslationBatches` for the options.

        Raises:
            ValueError: `examples` is a dataset of something else than pairs of strings.
        """
        if isinstance(examples, tf.data.Dataset):
            spec = examples.element_spec
            if not isinstance(spec, tuple) or len(spec) != 2:
                raise ValueError(
                    "`examples` must be pairs of strings, (source, target). "
                    f"Received: a dataset of {spec}"
                )
            examples = StringPairs(examples)
        if options.get("training") and self.model.config.max_length:
            longest = min(MAX_TARGET_LENGTH, self.model.config.max_length)
            options = {"max_length": longest, **options}
        return TranslationBatches(examples, self.source_tokenizer, self.target_tokenizer, **options)

    def answer(
        self, texts: list[str], *, strategy: Any = None, limits: Limits | None = None
    ) -> list[str]:
        """The best translation of each text.

        Args:
            texts: sources, of any number.
            strategy: instead of the task's own.
            limits: instead of the task's own.
        """
        return [best[0] for best in self.n_best(texts, strategy=strategy, limits=limits)["text"]]

    def n_best(
        self, texts: list[str], *, strategy: Any = None, limits: Limits | None = None
    ) -> dict[str, list[Any]]:
        """Hypotheses of each text, as the exported `n_best` gives them.

        Returns:
            `text` and `score`, a list per text, best first; `truncated`, a boolean per text.
        """
        translate = self._translator(strategy or self.strategy, limits or self.limits)
        # Texts of like length together: short ones do not wait for long ones.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        answers: dict[str, list[Any]] = {
            name: [None] * len(texts) for name in ("text", "score", "truncated")
        }
        for start in range(0, len(order), _TEXTS_PER_CALL):
            chunk = order[start : start + _TEXTS_PER_CALL]
            found = translate(tf.constant([texts[i] for i in chunk], tf.string))
            written = [[text.decode() for text in row] for row in found["text"].numpy()]
            scores = found["score"].numpy().tolist()
            truncated = found["truncated"].numpy().tolist()
            for row, i in enumerate(chunk):
                answers["text"][i] = written[row]
                answers["score"][i] = scores[row]
                answers["truncated"][i] = truncated[row]
        return answers

    def _translator(self, strategy: Any, limits: Limits) -> Any:
        key = (strategy, limits)
        if key not in self._translators:
            module = self.text_to_text(strategy, limits)
            function = tf.function(
                module.hypotheses,
                input_signature=[tf.TensorSpec([None], tf.string)],
                autograph=False,
            )
            self._translators[key] = function
        return self._translators[key]

    def text_to_text(self, strategy: Any = None, limits: Limits | None = None) -> TextToText:
        """The graph that answers here and in the exported SavedModel."""
        return TextToText(
            self.model,
            self.source_tokenizer,
            self.target_tokenizer,
            strategy=strategy or self.strategy,
            limits=limits or self.limits,
            max_source_length=self.max_source_length,
            max_length_ratio=_MAX_LENGTH_RATIO,
        )

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The log-probability of each target given its source, end token included."""
        module = self.text_to_text()
        scores: list[float] = []
        for start in range(0, len(pairs), _TEXTS_PER_CALL):
            chunk = pairs[start : start + _TEXTS_PER_CALL]
            sources, targets = (tf.constant([pair[i] for pair in chunk]) for i in (0, 1))
            scores += module.log_probability(sources, targets)["log_probability"].numpy().tolist()
        return scores

    def export(self, directory: str | os.PathLike, version: int | None = None) -> pathlib.Path:
        """Writes a SavedModel for TF Serving, strings in and strings out.

        Signatures: `serving_default` (`text` -> `text`, `score`, `truncated`), `n_best` (`text` ->
        the same with all hypotheses) and `score` (`source`, `target` -> `log_probability`,
        `num_tokens`, `truncated`).

        Args:
            directory: the model's directory; versions are numbered directories inside.
            version: the version's number; the next free one by default.

        Returns:
            The version's directory.

        Raises:
            FileExistsError: `version` exists.
        """
        module = self.text_to_text()
        return save(module, module.signatures(), directory, version)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the task inside a `.keras` file, tokenizers included."""
        joint = self.target_tokenizer is self.source_tokenizer
        return {
            "name": self.name,
            "model": keras.saving.serialize_keras_object(self.model),
            "source_tokenizer": _to_text(self.source_tokenizer),
            "target_tokenizer": None if joint else _to_text(self.target_tokenizer),
            **self._decoding(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Translation":
        """The inverse of `get_config`."""
        config = dict(config)
        model = keras.saving.deserialize_keras_object(config.pop("model"), custom_objects)
        source, target = config.pop("source_tokenizer"), config.pop("target_tokenizer")
        return cls(
            model,
            _from_text(source),
            None if target is None else _from_text(target),
            **{**config, **_from_decoding(config)},
        )

    def to_files(self, directory: pathlib.Path) -> dict[str, Any]:
        """Writes the tokenizers; returns the JSON that rebuilds the task."""
        joint = self.target_tokenizer is self.source_tokenizer
        if joint:
            self.source_tokenizer.save(directory / "tokenizer")
        else:
            self.source_tokenizer.save(directory / "source_tokenizer")
            self.target_tokenizer.save(directory / "target_tokenizer")
        architecture = type(self.model).__module__.rpartition(".")[2]
        return {
            "architecture": architecture,
            "config": dataclasses.asdict(self.model.config),
            "joint": joint,
            **self._decoding(),
        }

    @classmethod
    def from_files(
        cls, directory: pathlib.Path, config: dict[str, Any], **kwargs: Any
    ) -> "Translation":
        """The inverse of `to_files`, with fresh weights."""
        names = ["tokenizer"] if config["joint"] else ["source_tokenizer", "target_tokenizer"]
        tokenizers = [SentencePieceTokenizer.load(directory / name) for name in names]
        network = models.ARCHITECTURES[config["architecture"]]
        model = network(network.Config(**config["config"]), **kwargs)
        return cls(model, *tokenizers, **_from_decoding(config))

    def _decoding(self) -> dict[str, Any]:
        strategy = {"name": type(self.strategy).__name__, **dataclasses.asdict(self.strategy)}
        return {
            "strategy": strategy,
            "limits": dataclasses.asdict(self.limits),
            "max_source_length": self.max_source_length,
        }


@dataclasses.dataclass(frozen=True)
class StringPairs:
    """A `tf.data` dataset of string pairs as pairs of Python strings, read anew each time."""

    dataset: tf.data.Dataset

    def __iter__(self) -> Any:
        for source, target in self.dataset.as_numpy_iterator():
            for pair in zip(np.atleast_1d(source), np.atleast_1d(target), strict=True):
                yield tuple(text.decode() for text in pair)


def default_optimizer(
    peak: float = 2e-3, warmup_steps: int = 1000, ema: float = 0.0
) -> keras.optimizers.Optimizer:
    """Adam as Vaswani et al. 2017 (section 5.3) set it, with clipped gradients.

    Args:
        peak: the highest learning rate.
        warmup_steps: updates up to it.
        ema: momentum of the weights' moving average, 0.999 say; 0 keeps none.
    """
    return keras.optimizers.Adam(
        InverseSquareRoot(peak, warmup_steps),
        beta_1=0.9,
        beta_2=0.98,
        epsilon=1e-9,
        global_clipnorm=1.0,
        use_ema=ema > 0,
        ema_momentum=ema or 0.99,
    )


def _from_decoding(config: dict[str, Any]) -> dict[str, Any]:
    strategy = dict(config["strategy"])
    return {
        "strategy": STRATEGIES[strategy.pop("name")](**strategy),
        "limits": Limits(**config["limits"]),
        "max_source_length": config["max_source_length"],
    }


def _to_text(tokenizer: SentencePieceTokenizer) -> str:
    return base64.b64encode(tokenizer.model).decode("ascii")


def _from_text(text: str) -> SentencePieceTokenizer:
    return SentencePieceTokenizer(base64.b64decode(text))
