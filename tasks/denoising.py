"""What the tasks share that teach an encoder-decoder to restore damaged text."""

import abc
import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from tflm.data import DenoisingBatches
from tflm.data.denoising import Noise
from tflm.data.rows import padded
from tflm.eval.keras_metrics import TokenAccuracy, TokenPerplexity
from tflm.export import special_ids
from tflm.export.text_to_text import repeated
from tflm.generation import Beam, Greedy, Limits, Sample, generate
from tflm.models import EncoderDecoder
from tflm.tasks.causal_lm import default_optimizer
from tflm.tasks.decoding import decoding_from_json, decoding_to_json
from tflm.tasks.plain_text import PlainTextTask
from tflm.tokenizers import SentencePieceTokenizer, Tokenizer
from tflm.tokenizers.spelled_out import SpelledOut
from tflm.training.losses import SmoothedCrossEntropy

SEQUENCE_LENGTH = 512
MAX_LENGTH = 256
_TEXTS_PER_CALL = 64


class DenoisingTask(PlainTextTask):
    """Restores damaged text with an encoder-decoder.

    A subclass says what damages a text (`noise`), which special tokens of a text are damage
    (`spelled_out`), and what it makes of what the model writes (`restored`).

    Args:
        model: an `EncoderDecoder`.
        tokenizer: its tokenizer.
        strategy: how to decode: `Greedy` by default, `Beam` or `Sample`.
        limits: length limits of what is written, in tokens; by default 256, or fewer where the
            model takes fewer.

    Raises:
        TypeError: `model` is not an encoder-decoder.
        ValueError: the tokenizer has more pieces than the model has embeddings, or lacks a special
            token.
    """

    PRESET = "transformer/tiny"
    ALGORITHM = "unigram"
    CONTROL_SYMBOLS: ClassVar[Sequence[str]]  # which a tokenizer is trained with

    spelled_out: SpelledOut

    def __init__(
        self,
        model: EncoderDecoder,
        tokenizer: Tokenizer,
        *,
        strategy: Beam | Greedy | Sample | None = None,
        limits: Limits | None = None,
        **kwargs: Any,
    ):
        if not isinstance(model, EncoderDecoder):
            raise TypeError(f"`model` must be an EncoderDecoder. Received: {type(model).__name__}")
        super().__init__(model, tokenizer, **kwargs)
        self.longest: int | None = getattr(model.config, "max_length", None)
        self.strategy = strategy or Greedy()
        self.limits = limits or Limits(max_length=min(MAX_LENGTH, self.longest or MAX_LENGTH))
        self._source_start = special_ids(tokenizer, model.SOURCE_START)
        self._target_start = special_ids(tokenizer, model.TARGET_START)
        self._end = special_ids(tokenizer, ("eos",))

    @abc.abstractmethod
    def noise(self) -> Noise:
        """What damages a text."""

    @abc.abstractmethod
    def restored(self, text: str, ids: list[int]) -> str:
        """A damaged text and the ids that the model wrote for it -> the text as it may have been.

        Raises:
            ValueError: the text is not damaged as the task knows it.
        """

    @classmethod
    def train_tokenizer(cls, lines: Any, vocab_size: int, algorithm: str) -> Tokenizer:
        """A SentencePiece tokenizer with the task's special tokens."""
        return SentencePieceTokenizer.train(
            lines, vocab_size, algorithm, control_symbols=cls.CONTROL_SYMBOLS
        )

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        *,
        weighted_metrics: Any = None,
        jit_compile: bool = False,
        **kwargs: Any,
    ) -> None:
        """`keras.Model.compile` with defaults that train an encoder-decoder from nothing.

        Args:
            optimizer: by default AdamW with warm-up, see `tflm.tasks.causal_lm.default_optimizer`.
            loss: by default cross-entropy.
            weighted_metrics: by default accuracy and perplexity of the target's tokens.
            jit_compile: XLA.
            **kwargs: passed to Keras.
        """
        if optimizer is None:
            optimizer = default_optimizer(warmup_steps=1000, total_steps=20_000, beta_2=0.98)
        if weighted_metrics is None:
            weighted_metrics = [TokenAccuracy(), TokenPerplexity()]
        super().compile(
            optimizer=optimizer,
            loss=SmoothedCrossEntropy(0.0, name="cross_entropy") if loss is None else loss,
            weighted_metrics=weighted_metrics,
            jit_compile=jit_compile,
            **kwargs,
        )

    def batches(self, examples: Any, **options: Any) -> DenoisingBatches:
        """Texts -> batches; see `tflm.data.DenoisingBatches` for the options.

        `sequence_length` is 512 by default, or fewer where the model takes fewer.

        Raises:
            ValueError: `sequence_length` is more than the model takes.
        """
        frame = max(len(self._source_start) + 1, len(self._target_start))
        most = SEQUENCE_LENGTH if self.longest is None else self.longest - frame
        options = {"sequence_length": min(SEQUENCE_LENGTH, most), **options}
        if self.longest and options["sequence_length"] > most:
            raise ValueError(
                f"`sequence_length` must be at most {most}, the model's {self.longest} less the "
                f"special tokens. Received: sequence_length={options['sequence_length']}"
            )
        return DenoisingBatches(
            self.examples(examples),
            self.tokenizer,
            self.noise(),
            source_start=self._source_start,
            target_start=self._target_start,
            **options,
        )

    def answer(
        self, texts: list[str], *, strategy: Any = None, limits: Limits | None = None
    ) -> list[str]:
        """Each text restored.

        Args:
            texts: damaged texts, of any number.
            strategy: instead of the task's own.
            limits: instead of the task's own.

        Raises:
            ValueError: a text is not damaged as the task knows it, or is longer than the model's
                positions.
        """
        found = self._answers(texts, strategy or self.strategy, limits or self.limits)
        return [each["text"] for each in found]

    def answers(self, texts: list[str]) -> list[dict[str, Any]]:
        """`text`, restored; `score`, its log-probability; `truncated`, whether it did not end."""
        return self._answers(texts, self.strategy, self.limits)

    def _answers(self, texts: list[str], strategy: Any, limits: Limits) -> list[dict[str, Any]]:
        rows = self._rows(texts)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        answers: list[dict[str, Any]] = [{}] * len(rows)
        for start in range(0, len(order), _TEXTS_PER_CALL):
            chunk = order[start : start + _TEXTS_PER_CALL]
            found = self._written([rows[i] for i in chunk], strategy, limits)
            columns = (found[name].numpy().tolist() for name in ("ids", "score", "finished"))
            for i, ids, score, finished in zip(chunk, *columns, strict=True):
                text = self.restored(texts[i], ids)
                answers[i] = {"text": text, "score": score, "truncated": not finished}
        return answers

    def _rows(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, special tokens included."""
        rows = []
        for text, ids in zip(texts, self.spelled_out.tokenize(texts), strict=True):
            rows.append([*self._source_start, *ids, *self._end])
            if self.longest and len(rows[-1]) > self.longest:
                raise ValueError(
                    f"`texts` must have at most the model's {self.longest} tokens, special ones "
                    f"included. Received: {len(rows[-1])} tokens in {text[:40]!r}..."
                )
        return rows

    def _written(self, rows: list[list[int]], strategy: Any, limits: Limits) -> dict[str, Any]:
        """What the model writes to each source: `ids` (B, L), `score` (B,), `finished` (B,)."""
        key = (strategy, limits)
        if key not in self._functions:
            write = functools.partial(self._write, strategy=strategy, limits=limits)
            signature = [tf.TensorSpec([None, None], dtype) for dtype in (tf.int32, tf.bool)]
            self._functions[key] = tf.function(write, input_signature=signature, autograph=False)
        token_ids, padding_mask = padded(rows, max(map(len, rows)), self.tokenizer.pad_id or 0)
        return self._functions[key](token_ids, padding_mask)

    def _write(self, token_ids: Any, padding_mask: Any, *, strategy: Any, limits: Limits) -> Any:
        memory = self.model.encode(token_ids, padding_mask, training=False)  # (B, S, D)
        found = generate(
            functools.partial(self.model.decode, training=False),
            self.model.start(memory, padding_mask, limits.max_length, token_ids),
            repeated(self._target_start, tf.shape(token_ids)[0]),
            strategy=strategy,
            limits=limits,
            eos_id=self._end[0],
            pad_id=self.tokenizer.pad_id or 0,
            blocked_ids=special_ids(self.tokenizer, self.model.NEVER_WRITTEN),
            num_forced=len(self._target_start) - 1,
        )
        return {
            "ids": found.token_ids[:, 0],
            "score": found.scores[:, 0],
            "finished": found.finished[:, 0],
        }

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments besides model and tokenizer, as JSON holds them."""
        return decoding_to_json(self.strategy, self.limits)

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """The inverse of `settings`."""
        return decoding_from_json(settings)
