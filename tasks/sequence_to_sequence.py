"""What translation and summarization share: a text in, another one out."""

import dataclasses
import pathlib
import random
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import keras
import numpy as np
import tensorflow as tf

from tflm import models
from tflm.data import DatasetRows, TranslationBatches
from tflm.data.hugging_face import is_dataset
from tflm.export import TextToText, special_ids
from tflm.generation import Beam, Greedy, Limits, Sample
from tflm.models import EncoderDecoder
from tflm.tasks.base import Task, best_of
from tflm.tasks.decoding import decoding_from_json, decoding_to_json, strategy_to_json
from tflm.tasks.network_sizes import configured
from tflm.tasks.pair_lengths import PairLengths
from tflm.tasks.string_tensors import check_texts, string_tensor
from tflm.tasks.tokenizer_text import tokenizer_from_text, tokenizer_to_text
from tflm.tokenizers import SentencePieceTokenizer, Tokenizer, load
from tflm.training.fused_adam import Adam
from tflm.training.losses import SmoothedCrossEntropy
from tflm.training.optimizers import averaged
from tflm.training.schedules import InverseSquareRoot

_TEXTS_PER_CALL = 64
_SIDES = ("sources", "targets")


class SequenceToSequence(Task):
    """Writes a text for a text; a subclass says what for, and with which kinds of network.

    Raw examples are `(source, target)` pairs: a list, a reader of `tflm.data`, a `tf.data` dataset
    of string pairs, or a `datasets.Dataset` with the class's `COLUMNS`; for other names, a
    `tflm.data.DatasetRows` of it.

    Args:
        model: an `EncoderDecoder`, or what else the class's `NETWORKS` say.
        source_tokenizer: tokenizer of the sources.
        target_tokenizer: tokenizer of the targets; by default the source's, joint one, or the one
            that belongs to it (Marian's).
        strategy: how to decode: `Beam`, `Greedy` or `Sample`.
        limits: lengths of what is written, in tokens, and what it may repeat; by default the
            class's, or shorter where the model takes fewer.
        max_source_length: tokens read of a source; what is longer is cut and reported. By default
            the class's, or fewer where the model takes fewer.

    Attributes:
        PRESET: the preset of `from_pairs`.
        NETWORKS: the kinds of network that it takes.
        COLUMNS: names of source and target in a `datasets.Dataset`.
        STRATEGY, LIMITS, MAX_SOURCE_LENGTH: what is used where nothing is given.
        OPTIONS: names of the constructor's arguments besides model and tokenizers.

    Raises:
        TypeError: `model` is of another kind.
        ValueError: a tokenizer has more pieces than the model has embeddings.
    """

    PRESET: ClassVar[str] = "transformer/tiny"
    NETWORKS: ClassVar[tuple[type, ...]] = (EncoderDecoder,)
    COLUMNS: ClassVar[tuple[str, ...]] = ("source", "target")
    STRATEGY: ClassVar[Beam | Greedy | Sample] = Beam(
        num_beams=5, length_penalty="power", alpha=1.0
    )
    LIMITS: ClassVar[Limits] = Limits(max_length=256)
    MAX_SOURCE_LENGTH: ClassVar[int] = 512
    OPTIONS: ClassVar[tuple[str, ...]] = ("strategy", "limits", "max_source_length")

    def __init__(
        self,
        model: Any,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer | None = None,
        *,
        strategy: Beam | Greedy | Sample | None = None,
        limits: Limits | None = None,
        max_source_length: int | None = None,
        **kwargs: Any,
    ):
        if not isinstance(model, self.NETWORKS):
            kinds = " or a ".join(kind.__name__ for kind in self.NETWORKS)
            raise TypeError(f"`model` must be an {kinds}. Received: {type(model).__name__}")
        super().__init__(model, **kwargs)
        self.source_tokenizer = source_tokenizer
        if target_tokenizer is None:
            target_tokenizer = getattr(source_tokenizer, "target", source_tokenizer)
        self.target_tokenizer: Any = target_tokenizer
        self._check_vocabularies()
        self.lengths = PairLengths(model)
        self.strategy = strategy or self.STRATEGY
        self.limits = limits or self.default_limits()
        if max_source_length is None:
            max_source_length = self.default_source_length()
        self.max_source_length = max_source_length
        self.lengths.check_source(max_source_length)

    def default_limits(self) -> Limits:
        """The class's limits, or shorter where the model takes fewer tokens."""
        longest = self.lengths.target(self.LIMITS.max_length)
        return dataclasses.replace(self.LIMITS, max_length=longest)

    def default_source_length(self) -> int:
        """The class's `MAX_SOURCE_LENGTH`, or fewer tokens where the model takes fewer."""
        return self.lengths.source(self.MAX_SOURCE_LENGTH)

    @property
    def text_model(self) -> Any:
        """The network as an encoder-decoder."""
        return self.model

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Logits of ready arrays, see `tflm.models.EncoderDecoder.call`."""
        return self.text_model(inputs, training=training)

    def _check_vocabularies(self) -> None:
        config = self.model.config
        sizes = {
            "source_tokenizer": (self.source_tokenizer, config.vocab_size),
            "target_tokenizer": (
                self.target_tokenizer,
                getattr(config, "target_vocab_size", None) or config.vocab_size,
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
        preset: str | None = None,
        *,
        vocab_size: int = 8000,
        joint: bool = True,
        algorithm: str = "bpe",
        dropout: float | None = None,
        pre_norm: bool | None = None,
        dtype: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """A task with tokenizers trained on `pairs` and a network with fresh weights.

        Args:
            pairs: as `fit` takes them, but no `tf.data` dataset.
            preset: "architecture/preset", as `tflm models` lists them; the class's by default.
            vocab_size: pieces of the joint vocabulary, or of each of the two.
            joint: one vocabulary for both sides, which share their embeddings then.
            algorithm: "bpe" or "unigram".
            dropout: the preset's by default.
            pre_norm: the preset's by default.
            dtype: dtype policy of the network, "mixed_bfloat16" say; Keras's global one by default.
            **kwargs: passed to the constructor.

        Raises:
            ValueError: an argument is unknown or does not suit the pairs.
        """
        pairs = cls.examples(pairs)
        if joint:
            texts = (text for pair in pairs for text in pair)
            source = target = SentencePieceTokenizer.train(texts, vocab_size, algorithm)
        else:
            source, target = (
                SentencePieceTokenizer.train((pair[i] for pair in pairs), vocab_size, algorithm)
                for i in (0, 1)
            )
        network, config = models.find(preset or cls.PRESET)
        given = {"dropout": dropout, "pre_norm": pre_norm}
        changes = {name: value for name, value in given.items() if value is not None}
        sizes = [source.vocab_size] if joint else [source.vocab_size, target.vocab_size]
        config = configured(config, *sizes, **changes)
        return cls(network(config, dtype=dtype), source, target, **kwargs)

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

    @classmethod
    def examples(cls, given: Any) -> Any:
        """A `datasets.Dataset` -> pairs of its columns; all else as it is."""
        return DatasetRows(given, cls.COLUMNS) if is_dataset(given) else given

    def fit(
        self, x: Any = None, y: Any = None, *, validation_data: Any = None, **kwargs: Any
    ) -> Any:
        """`Task.fit`, with pairs as raw examples."""
        x, validation_data = self.examples(x), self.examples(validation_data)
        return super().fit(x, y, validation_data=validation_data, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """`Task.evaluate`, with pairs as raw examples."""
        return super().evaluate(self.examples(x), y, **kwargs)

    def batches(self, examples: Any, **options: Any) -> TranslationBatches:
        """Pairs -> batches; see `tflm.data.TranslationBatches` for the options.

        Raises:
            ValueError: `examples` is a dataset of something else than pairs of strings, or lengths
                are more than the model takes.
        """
        examples = self.examples(examples)
        if isinstance(examples, tf.data.Dataset):
            spec = examples.element_spec
            if not isinstance(spec, tuple) or len(spec) != 2:
                raise ValueError(
                    "`examples` must be pairs of strings, (source, target). "
                    f"Received: a dataset of {spec}"
                )
            examples = StringPairs(examples)
        model = self.text_model
        found = TranslationBatches(
            examples,
            self.source_tokenizer,
            self.target_tokenizer,
            source_start=special_ids(self.source_tokenizer, model.SOURCE_START),
            source_end=special_ids(self.source_tokenizer, model.SOURCE_END),
            target_start=special_ids(self.target_tokenizer, model.TARGET_START),
            **{**self.batch_limits(options.get("training", False)), **options},
        )
        if found.max_source_length is not None:
            self.lengths.check_source(found.max_source_length)
        if options.get("training"):
            self.lengths.check_training_target(found.max_length)
        return found

    def batch_limits(self, training: bool) -> dict[str, Any]:
        """What the model's own limits say of `batches` where its caller says nothing.

        What it has no positions for is left out in training, cut in evaluation, and counted.
        """
        positions = self.lengths.positions
        if positions is None:
            return {}
        if training:
            return {"max_length": self.lengths.target(self.LIMITS.max_length)}
        return {"max_length": positions, "max_source_length": positions, "cut_targets": True}

    def answer(
        self,
        texts: list[str],
        *,
        strategy: Any = None,
        limits: Limits | None = None,
        seed: int | None = None,
    ) -> list[str]:
        """The best answer to each text.

        Args:
            texts: sources, of any number.
            strategy: instead of the task's own.
            limits: instead of the task's own.
            seed: of `Sample`: text number `i` gets `seed + i`. By default a new one, drawn from
                Python's generator, which `keras.utils.set_random_seed` seeds.

        Raises:
            ValueError: `texts` is one text.
        """
        found = self.n_best(texts, strategy=strategy, limits=limits, seed=seed)
        return [best[0] for best in found["text"]]

    def answers(self, texts: list[str]) -> list[dict[str, Any]]:
        """`text`, `score` and `truncated` of each text's best answer."""
        return best_of(self.n_best(texts))

    def n_best(
        self,
        texts: list[str],
        *,
        strategy: Any = None,
        limits: Limits | None = None,
        seed: int | None = None,
    ) -> dict[str, list[Any]]:
        """Hypotheses of each text, as the exported `n_best` gives them; arguments as of `answer`.

        Returns:
            `text` and `score`, a list per text, best first; `truncated`, a boolean per text.
        """
        check_texts("texts", texts)  # before they are put in order
        seed = random.getrandbits(31) if seed is None else seed
        write = self._function(strategy or self.strategy, limits or self.limits)
        # Texts of like length together: short ones do not wait for long ones.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        answers: dict[str, list[Any]] = {
            name: [None] * len(texts) for name in ("text", "score", "truncated")
        }
        for start in range(0, len(order), _TEXTS_PER_CALL):
            chunk = order[start : start + _TEXTS_PER_CALL]
            seeds = tf.constant([seed + i for i in chunk], tf.int64)
            found = write(string_tensor("texts", [texts[i] for i in chunk]), seeds)
            written = [[text.decode() for text in row] for row in found["text"].numpy()]
            scores = found["score"].numpy().tolist()
            truncated = found["truncated"].numpy().tolist()
            for row, i in enumerate(chunk):
                answers["text"][i] = written[row]
                answers["score"][i] = scores[row]
                answers["truncated"][i] = truncated[row]
        return answers

    def _function(self, strategy: Any, limits: Limits) -> Any:
        key = (strategy, limits)
        if key not in self._functions:
            module = self.text_to_text(strategy, limits)
            function = tf.function(
                lambda texts, seed: module.hypotheses(texts, seed=seed),
                input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int64)],
                autograph=False,
            )
            self._functions[key] = function
        return self._functions[key]

    def description(self) -> dict[str, Any]:
        """What the model is, and how it decodes."""
        return {**super().description(), "strategy": strategy_to_json(self.strategy)}

    def input_limits(self) -> dict[str, Any]:
        """Tokens read, and written."""
        return {"max_source_length": self.max_source_length, **dataclasses.asdict(self.limits)}

    def text_to_text(
        self, strategy: Any = None, limits: Limits | None = None, freeze: bool = False
    ) -> TextToText:
        """The graph that answers here and in the exported SavedModel."""
        return TextToText(
            self.text_model,
            self.source_tokenizer,
            self.target_tokenizer,
            strategy=strategy or self.strategy,
            limits=limits or self.limits,
            max_source_length=self.max_source_length,
            **self.length_cap(),
            freeze=freeze,
        )

    def length_cap(self) -> dict[str, Any]:
        """`max_length_ratio` and `extra_length` of `tflm.export.TextToText`."""
        return {}

    def to_dtype(self, dtype: str) -> Self:
        """The same task with its weights and its arithmetic in another dtype, and LoRA merged."""
        model = self.merged().model.to_dtype(dtype)
        options = {name: getattr(self, name) for name in self.OPTIONS}
        return type(self)(model, self.source_tokenizer, self.target_tokenizer, **options)

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The log-probability of each target given its source, end token included.

        A target may be longer than what the task writes; a source is read as far as it is in use.

        Raises:
            ValueError: a target is longer than the model's positions.
        """
        sides = [string_tensor(name, [pair[i] for pair in pairs]) for i, name in enumerate(_SIDES)]
        lengths = self.target_tokenizer.tokenize(sides[1]).row_lengths().numpy() + 1  # the end
        longest = int(lengths.max(initial=1))
        self.lengths.check_scored_target(longest)
        length = max(self.limits.max_length, longest)
        module = self.text_to_text(limits=dataclasses.replace(self.limits, max_length=length))
        scores: list[float] = []
        for start in range(0, len(pairs), _TEXTS_PER_CALL):
            sources, targets = (side[start : start + _TEXTS_PER_CALL] for side in sides)
            scores += module.log_probability(sources, targets)["log_probability"].numpy().tolist()
        return scores

    def served(self, freeze: bool = False) -> TextToText:
        """The best answer, several, how likely a given one is; and what the model sees in a text.

        `serving_default`: `text` -> `text`, `score`, `truncated`; `n_best`: the same with all
        hypotheses; `score`: `source`, `target` -> `log_probability`, `num_tokens`, `truncated`;
        `tokenize`: `text` -> `token_ids`, `pieces`, `length`; `embed`: `text` -> `embedding`, the
        mean of what the encoder gives, where there is an encoder.

        On request also `options`, see `tflm.export.options`; `prefill` and `decode_step`, see
        `tflm.export.streaming`, where there is an encoder; and `explain`: `text` -> `text`,
        `source_pieces`, `target_pieces`, `attention`, with networks of Transformer blocks alone:
        the attention of the others is not apart from their recurrence and convolutions.
        """
        return self.text_to_text(freeze=freeze)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the task inside a `.keras` file, tokenizers included."""
        joint = self.target_tokenizer is self.source_tokenizer
        return {
            "name": self.name,
            "model": keras.saving.serialize_keras_object(self.model),
            "source_tokenizer": tokenizer_to_text(self.source_tokenizer),
            "target_tokenizer": None if joint else tokenizer_to_text(self.target_tokenizer),
            **self._options_as_json(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """The inverse of `get_config`."""
        config = dict(config)
        model = keras.saving.deserialize_keras_object(config.pop("model"), custom_objects)
        source, target = config.pop("source_tokenizer"), config.pop("target_tokenizer")
        return cls(
            model,
            tokenizer_from_text(source),
            None if target is None else tokenizer_from_text(target),
            **{**config, **cls._options_from_json(config)},
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
            **self._options_as_json(),
        }

    @classmethod
    def from_files(cls, directory: pathlib.Path, config: dict[str, Any], **kwargs: Any) -> Self:
        """The inverse of `to_files`, with fresh weights."""
        names = ["tokenizer"] if config["joint"] else ["source_tokenizer", "target_tokenizer"]
        tokenizers = [load(directory / name) for name in names]
        network = models.ARCHITECTURES[config["architecture"]]
        model = network(network.Config(**config["config"]), **kwargs)
        return cls(model, *tokenizers, **cls._options_from_json(config))

    def _options_as_json(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in self.OPTIONS}
        return options | decoding_to_json(self.strategy, self.limits)

    @classmethod
    def _options_from_json(cls, config: dict[str, Any]) -> dict[str, Any]:
        # An option younger than the saved task has its default.
        known = {name: config[name] for name in cls.OPTIONS if name in config}
        return known | decoding_from_json(config)


@dataclasses.dataclass(frozen=True)
class StringPairs:
    """A `tf.data` dataset of string pairs as pairs of Python strings, read anew each time."""

    dataset: tf.data.Dataset

    def __iter__(self) -> Any:
        for source, target in self.dataset.as_numpy_iterator():
            for pair in zip(np.atleast_1d(source), np.atleast_1d(target), strict=True):
                yield tuple(text.decode() for text in pair)


def default_optimizer(
    peak: float = 2e-3, warmup_steps: int = 1000, ema: float = 0.0, accumulate: int = 1
) -> keras.optimizers.Optimizer:
    """Adam as Vaswani et al. 2017 (section 5.3) set it, with clipped gradients.

    Args:
        peak: the highest learning rate.
        warmup_steps: updates up to it.
        ema: momentum of the weights' moving average, 0.999 say; 0 keeps none.
        accumulate: batches to an update.
    """
    return Adam(
        beta_1=0.9,
        beta_2=0.98,
        epsilon=1e-9,
        global_clipnorm=1.0,
        **averaged(InverseSquareRoot(peak, warmup_steps), ema, accumulate),
    )
