"""Masked language modelling: the words that stood where a text has masks.

text       "Paris is the [MASK] of France."
answer     "Paris is the capital of France."

task = MaskedLM.from_texts("corpus/", "bert/tiny", vocab_size=8000)
task.compile()
task.fit("corpus/", epochs=10)
task("Paris is the [MASK] of France.")
task.fill(["Paris is the [MASK] of France."], top=5)
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from tflm.data import MaskedBatches
from tflm.data.masking import mask_of
from tflm.data.rows import padded, special_id
from tflm.eval.keras_metrics import TokenAccuracy, TokenPerplexity
from tflm.layers.masked_lm_head import MaskedLMHead
from tflm.models.base import Encoder
from tflm.tasks.causal_lm import default_optimizer
from tflm.tasks.plain_text import PlainTextTask
from tflm.tokenizers import SentencePieceTokenizer, Tokenizer, WordPieceTokenizer
from tflm.tokenizers.framing import Frame
from tflm.tokenizers.pieces import Pieces
from tflm.tokenizers.spelled_out import SpelledOut
from tflm.training.losses import SmoothedCrossEntropy

MASK = "[MASK]"  # how tokenizers trained here spell it
SEQUENCE_LENGTH = 128
_TEXTS_PER_CALL = 64


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A token that may stand in the place of a mask.

    Attributes:
        token: what it spells, without the space in front of a word.
        probability: of it among all tokens but special ones.
        id: its id.
    """

    token: str
    probability: float
    id: int


class MaskedLM(PlainTextTask):
    """Learns to say which words stood where a text has masks, with any encoder.

    It learns from texts one after another, the end token between two, cut into rows in which 15 %
    of the tokens, whole words, are chosen anew in every epoch; see `tflm.data.MaskedBatches`. The
    scores of all tokens are computed at those places alone.

    Args:
        model: an `Encoder`; a pooler is frozen.
        tokenizer: its tokenizer, with a mask.

    Raises:
        TypeError: `model` is not an encoder.
        ValueError: the tokenizer has no mask, or more pieces than the model has embeddings.
    """

    PRESET = "bert/mini"
    ALGORITHM = "wordpiece"

    def __init__(self, model: Encoder, tokenizer: Tokenizer, **kwargs: Any):
        if not isinstance(model, Encoder):
            raise TypeError(f"`model` must be an Encoder. Received: {type(model).__name__}")
        config: Any = model.config
        head = MaskedLMHead(
            config.hidden_dim,
            model.embedding.dim,
            config.vocab_size,
            getattr(config, "activation", "gelu"),
            getattr(config, "norm_epsilon", 1e-12),
            dtype=model.dtype_policy,
            name="masked_lm_head",
        )
        super().__init__(model, tokenizer, head, **kwargs)
        if getattr(model, "pooler", None) is not None:
            model.pooler.trainable = False  # it would have no gradient
        self.mask_id = mask_of(tokenizer)
        self.pieces = Pieces.of(tokenizer)
        self.mask_token = self.pieces.content(self.mask_id) or MASK
        self.spelled_out = SpelledOut(tokenizer, self.pieces, {self.mask_token: self.mask_id})
        self.longest: int | None = getattr(config, "max_length", None)

    @classmethod
    def train_tokenizer(cls, lines: Any, vocab_size: int, algorithm: str) -> Tokenizer:
        """A tokenizer with a mask.

        Args:
            lines: texts, read once.
            vocab_size: pieces of the vocabulary.
            algorithm: "wordpiece", in small letters as BERT's; or SentencePiece's "bpe", "unigram"
                or "char", which keep a text as it is.

        Raises:
            ValueError: an argument is unknown or does not suit the texts.
        """
        if algorithm == "wordpiece":
            return WordPieceTokenizer.train(lines, vocab_size)
        return SentencePieceTokenizer.train(lines, vocab_size, algorithm, control_symbols=[MASK])

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        *,
        weighted_metrics: Any = None,
        jit_compile: bool = False,
        **kwargs: Any,
    ) -> None:
        """`keras.Model.compile` with defaults that train an encoder from nothing.

        Args:
            optimizer: by default AdamW with warm-up, see `tflm.tasks.causal_lm.default_optimizer`;
                with RoBERTa's decay of averages and of weights.
            loss: by default cross-entropy.
            weighted_metrics: by default accuracy and perplexity of the masked tokens.
            jit_compile: XLA.
            **kwargs: passed to Keras.
        """
        if optimizer is None:
            optimizer = default_optimizer(
                warmup_steps=1000, total_steps=20_000, weight_decay=0.01, beta_2=0.98
            )
        if weighted_metrics is None:
            weighted_metrics = [TokenAccuracy(name="masked_accuracy"), TokenPerplexity()]
        super().compile(
            optimizer=optimizer,
            loss=SmoothedCrossEntropy(0.0, name="cross_entropy") if loss is None else loss,
            weighted_metrics=weighted_metrics,
            jit_compile=jit_compile,
            **kwargs,
        )

    def batches(self, examples: Any, **options: Any) -> MaskedBatches:
        """Texts -> batches; see `tflm.data.MaskedBatches` for the options.

        `sequence_length` is 128 by default, or fewer where the model takes fewer.

        Raises:
            ValueError: `sequence_length` is more than the model takes.
        """
        most = self.longest or SEQUENCE_LENGTH
        options = {"sequence_length": min(SEQUENCE_LENGTH, most), **options}
        if self.longest and options["sequence_length"] > most:
            raise ValueError(
                f"`sequence_length` must be at most the model's {most}. "
                f"Received: sequence_length={options['sequence_length']}"
            )
        return MaskedBatches(self.examples(examples), self.tokenizer, **options)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Logits `(B, M, V)` of the tokens at some positions.

        Args:
            inputs: those of the encoder, and `masked_positions` `(B, M)`.
            training: whether dropout is on.
        """
        inputs = dict(inputs)
        positions = inputs.pop("masked_positions")  # (B, M)
        hidden = self.model(inputs, training=training)  # (B, T, D)
        length, dim = ops.shape(hidden)[1], hidden.shape[-1]
        rows = ops.arange(ops.shape(positions)[0], dtype=positions.dtype)[:, None] * length
        flat = ops.reshape(hidden, (-1, dim))  # (B * T, D)
        picked = ops.take(flat, rows + positions, axis=0)  # (B, M, D)
        return self.head(picked, embedding=self.model.embedding)

    def answer(self, texts: list[str]) -> list[str]:
        """Each text with the likeliest token in the place of every mask."""
        return [found["text"] for found in self.answers(texts)]

    def answers(self, texts: list[str]) -> list[dict[str, Any]]:
        """`text`, filled, and `score`, the sum of the tokens' log-probabilities."""
        return [
            {
                "text": self.spelled_out.fill(text, [[best.id] for best, *_ in found]),
                "score": sum(math.log(max(best.probability, 1e-37)) for best, *_ in found),
            }
            for text, found in zip(texts, self.fill(texts, top=1), strict=True)
        ]

    def fill(self, texts: Sequence[str], *, top: int = 5) -> list[list[list[Candidate]]]:
        """The likeliest tokens in the place of each mask of each text, the best first.

        Several masks of a text are filled independently of each other.

        Args:
            texts: with the tokenizer's mask (`mask_token`) once or more in each.
            top: tokens for each mask.

        Raises:
            ValueError: a text has no mask, or is longer than the model's positions.
        """
        rows = self._rows(texts)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        answers: list[list[list[Candidate]]] = [[]] * len(rows)
        for start in range(0, len(order), _TEXTS_PER_CALL):
            chunk = order[start : start + _TEXTS_PER_CALL]
            probabilities, ids = self._candidates([rows[i] for i in chunk], top)  # (B, M, top)
            for row, i in enumerate(chunk):
                answers[i] = [
                    [
                        Candidate(self._text(id_), probability, id_)
                        for probability, id_ in zip(*found, strict=True)
                    ]
                    for found in zip(
                        probabilities[row].tolist()[: rows[i].count(self.mask_id)],
                        ids[row].tolist(),
                        strict=False,
                    )
                ]
        return answers

    def _rows(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, special tokens included."""
        frame = Frame(self.tokenizer)
        rows = []
        for text, ids in zip(texts, self.spelled_out.tokenize(texts), strict=True):
            if self.mask_id not in ids:
                raise ValueError(
                    f"`texts` must hold {self.mask_token} once or more each. Received: {text!r}"
                )
            rows.append([*frame.start, *ids, *frame.end])
            if self.longest and len(rows[-1]) > self.longest:
                raise ValueError(
                    f"`texts` must have at most the model's {self.longest} tokens, special ones "
                    f"included. Received: {len(rows[-1])} tokens in {text[:40]!r}..."
                )
        return rows

    def _candidates(self, rows: list[list[int]], top: int) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities and ids of the likeliest tokens of each mask, (B, M, top) each."""
        if top not in self._functions:
            hidden = tf.constant(np.where(self.pieces.special, -np.inf, 0.0), tf.float32)  # (V,)

            def likeliest(inputs: dict[str, Any]) -> Any:
                logits = tf.cast(self(inputs, training=False), tf.float32)
                logits = logits[..., : self.tokenizer.vocab_size] + hidden  # (B, M, V)
                return tf.math.top_k(tf.nn.softmax(logits), top)

            self._functions[top] = tf.function(likeliest, reduce_retracing=True, autograph=False)
        pad_id = special_id(self.tokenizer, "pad_id") or 0
        token_ids, padding_mask = padded(rows, max(map(len, rows)), pad_id)  # (B, T)
        places = [np.flatnonzero(np.array(row) == self.mask_id) for row in rows]
        positions, _ = padded(places, max(map(len, places)), 0)  # (B, M)
        found = self._functions[top](
            {
                "token_ids": tf.constant(token_ids),
                "padding_mask": tf.constant(padding_mask),
                "masked_positions": tf.constant(positions),
            }
        )
        return found.values.numpy(), found.indices.numpy()

    def _text(self, id_: int) -> str:
        return self.pieces.spelled[id_].decode(errors="replace").removeprefix(" ")

    def settings(self) -> dict[str, Any]:
        """Nothing: model and tokenizer say all."""
        return {}

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """The inverse of `settings`."""
        return dict(settings)
