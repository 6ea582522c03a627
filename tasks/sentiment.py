"""Sentiment analysis, and any other classification of texts or of pairs of texts.

text     "A stirring, funny and finally transporting film."
label    "positive"

rows = [("A stirring, funny and finally transporting film.", "positive"), ...]
task = SentimentAnalysis.from_texts(rows, "text_cnn/base", vocab_size=8000)
task.compile()
task.fit(rows, epochs=5)
task("A fine film.")                     # "positive"
task.classify(["A fine film."])          # [{"label": "positive", "score": 0.97, ...}]
"""

import collections
import dataclasses
import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tflm import models
from tflm.data import LabelledBatches, open_table
from tflm.eval.keras_metrics import TokenAccuracy
from tflm.export import TextClassifier
from tflm.layers import ClassificationHead
from tflm.models.base import Encoder
from tflm.tasks.batch_stream import is_raw
from tflm.tasks.input_rows import PAIR, TEXT
from tflm.tasks.labelled_rows import LabelledRows, has_labels, texts_of
from tflm.tasks.plain_text import PlainTextTask
from tflm.tasks.string_tensors import string_tensor
from tflm.tokenizers import SentencePieceTokenizer, Tokenizer
from tflm.tokenizers.framing import Frame
from tflm.training.label_losses import LabelCrossEntropy
from tflm.training.losses import SmoothedCrossEntropy
from tflm.training.optimizers import cosine_adamw

MAX_LENGTH = 512
_TEXTS_PER_CALL = 64


class SentimentAnalysis(PlainTextTask):
    """Says which label a text has, or which labels, with any encoder.

    Raw examples are rows `(text, label)`, or dicts with `text` and `label`; with `pairs`
    `(text, text_pair, label)`; with `multi_label` any number of labels. They come in a list, a
    reader of `tflm.data`, a `tf.data` dataset, or by the path of a TSV, CSV or JSON lines file with
    those columns or of a folder of texts for each label. A label is its name or, where that is
    nobody's name, its number.

    Args:
        model: an `Encoder`; in a pretrained one, a pooler that `pooling` does not read is frozen.
        tokenizer: its tokenizer.
        labels: the labels' names, two at least (one with `multi_label`).
        pooling: how a text becomes one vector: "first", through the model's pooler where it has
            one, "mean", "max" or "attention". By default as the architecture was published.
        dropout: rate applied to that vector; by default the model's.
        naive_bayes: how much of what naive Bayes knows is added to the logits, except in training:
            for each label the mean log-count ratio of the text's tokens and pairs of them, which
            `fit` counts in raw examples (Wang & Manning 2012, https://aclanthology.org/P12-2018).
            Where there are some thousand texts, 3 helps much.
        pairs: whether an example is two texts.
        multi_label: whether a text has any number of labels rather than one.
        threshold: with `multi_label`, the probability from which on a text has a label.
        max_length: tokens read of a text or a pair, special ones included; what is longer is cut
            and reported. By default 512, or fewer where the model takes fewer.

    Raises:
        TypeError: `model` is not an encoder.
        ValueError: an argument does not suit the others; see their rules above.
    """

    EVALUATION_OPTIONS: ClassVar[tuple[str, ...]] = ("tokens_per_batch",)

    def __init__(
        self,
        model: Encoder,
        tokenizer: Tokenizer,
        labels: Sequence[str] = ("negative", "positive"),
        *,
        pooling: str | None = None,
        dropout: float | None = None,
        naive_bayes: float = 0.0,
        pairs: bool = False,
        multi_label: bool = False,
        threshold: float = 0.5,
        max_length: int | None = None,
        **kwargs: Any,
    ):
        if not isinstance(model, Encoder):
            raise TypeError(f"`model` must be an Encoder. Received: {type(model).__name__}")
        labels = _checked_labels(labels, 1 if multi_label else 2)
        if not 0.0 < threshold < 1.0:
            raise ValueError(
                f"`threshold` must be between 0 and 1. Received: threshold={threshold}"
            )
        if naive_bayes < 0.0:
            raise ValueError(f"`naive_bayes` must not be negative. Received: {naive_bayes}")
        pooling = model.POOLING if pooling is None else pooling
        dropout = float(getattr(model.config, "dropout", 0.1)) if dropout is None else dropout
        head = ClassificationHead(
            model.config.hidden_dim,
            len(labels),
            pooling,
            dropout,
            naive_bayes,
            model.config.vocab_size,
            dtype=model.dtype_policy,
            name="head",
        )
        super().__init__(model, tokenizer, head, **kwargs)
        self.labels = labels
        self.pooling = pooling
        self.dropout = dropout
        self.naive_bayes = naive_bayes
        self.pairs = pairs
        self.multi_label = multi_label
        self.threshold = threshold
        self.max_length = self._checked_length(max_length)
        self.has_segments = pairs and getattr(model.config, "num_segments", 0) > 1
        self.pooler = getattr(model, "pooled", None) if pooling == "first" else None
        if self.pooler is None and getattr(model, "pooler", None) is not None:
            model.pooler.trainable = False  # it would have no gradient

    def _checked_length(self, length: int | None) -> int:
        most = getattr(self.model.config, "max_length", None)
        least = 1 + Frame(self.tokenizer).num_special(self.pairs)
        length = min(MAX_LENGTH, most or MAX_LENGTH) if length is None else length
        if length < least or (most and length > most):
            rule = f"from {least} to the model's {most}" if most else f"at least {least}"
            raise ValueError(f"`max_length` must be {rule}. Received: max_length={length}")
        return length

    @classmethod
    def from_texts(
        cls,
        examples: Any,
        preset: str = "text_cnn/base",
        *,
        labels: Sequence[str] | None = None,
        pairs: bool = False,
        vocab_size: int = 8000,
        algorithm: str = "unigram",
        dtype: str | None = None,
        changes: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> "SentimentAnalysis":
        """A task with a SentencePiece tokenizer trained on the texts, and fresh weights.

        Args:
            examples: as `fit` takes them.
            preset: "architecture/preset" of an encoder, as `tflm models` lists them.
            labels: by default those of the examples, sorted.
            pairs: whether an example is two texts.
            vocab_size: pieces of the vocabulary; with "char", most of them.
            algorithm: "bpe", "unigram" or "char".
            dtype: dtype policy of the network, "mixed_bfloat16" say; Keras's global one by default.
            changes: fields of the preset's config to change.
            **kwargs: passed to the constructor.

        Raises:
            ValueError: an argument is unknown or does not suit the examples.
        """
        num_texts = 2 if pairs else 1
        if isinstance(examples, str | os.PathLike):
            examples = open_table(examples, _columns(pairs))
        rows = LabelledRows(examples, num_texts, labels or ())
        if labels is None:
            labels = sorted({label for row in rows for label in row[num_texts:]})
        lines = (
            line for row in rows for text in row[:num_texts] for line in text.splitlines() if line
        )
        tokenizer = SentencePieceTokenizer.train(lines, vocab_size, algorithm)
        network, config = models.find(preset)
        config = dataclasses.replace(config, vocab_size=tokenizer.vocab_size, **(changes or {}))
        return cls(network(config, dtype=dtype), tokenizer, labels, pairs=pairs, **kwargs)

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        *,
        label_smoothing: float = 0.0,
        weighted_metrics: Any = None,
        jit_compile: bool = False,
        **kwargs: Any,
    ) -> None:
        """`keras.Model.compile` with defaults that train or fine-tune a classifier.

        Args:
            optimizer: by default `default_optimizer()`.
            loss: by default cross-entropy, of each label on its own with `multi_label`.
            label_smoothing: of the default loss, in `[0, 1)`.
            weighted_metrics: by default accuracy, of each label on its own with `multi_label`.
            jit_compile: XLA.
            **kwargs: passed to Keras.
        """
        if loss is None:
            cross_entropy = LabelCrossEntropy if self.multi_label else SmoothedCrossEntropy
            loss = cross_entropy(label_smoothing, name="cross_entropy")
        if weighted_metrics is None:
            accuracy: Any = TokenAccuracy(name="accuracy")
            if self.multi_label:
                accuracy = keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)  # of logits
            weighted_metrics = [accuracy]
        super().compile(
            optimizer=default_optimizer() if optimizer is None else optimizer,
            loss=loss,
            weighted_metrics=weighted_metrics,
            jit_compile=jit_compile,
            **kwargs,
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Logits `(B, L)` of ready arrays."""
        hidden = self.model(inputs, training=training)  # (B, T, D)
        return self._classified(hidden, inputs, training=training)

    def _classified(self, hidden: Any, inputs: Any, training: bool | None = None) -> Any:
        """Logits `(B, L)` of what the encoder gives, `(B, T, D)`."""
        return self.head(
            hidden,
            inputs["padding_mask"],
            pooled=None if self.pooler is None else self.pooler(hidden),  # (B, D)
            token_ids=inputs["token_ids"],
            training=training,
        )

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Answers a text (a pair: a tuple of two) with a label, a list with a list; else `call`."""
        if self.pairs and isinstance(inputs, tuple):
            return self.answer([inputs], **kwargs)[0]
        if isinstance(inputs, list) and has_labels(inputs):
            return self.answer(inputs, **kwargs)
        return super().__call__(inputs, *args, **kwargs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The compiled loss; counts the tokens that were read, for the logs."""
        self.tokens.update_state(ops.sum(ops.cast(x["padding_mask"], "float32")))
        return keras.Model.compute_loss(
            self, x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training
        )

    def fit(self, x: Any = None, y: Any = None, *, class_weight: Any = None, **kwargs: Any) -> Any:
        """`Task.fit`, with labelled texts as raw examples; counts them for `naive_bayes`.

        Args:
            x: raw examples, or what Keras takes: batches of arrays.
            y: as Keras takes it; `None` with raw examples.
            class_weight: weights of the labels, by name or number; or "balanced", for which see
                `batches`.
            **kwargs: see `Task.fit`.
        """
        x = self.examples(x)
        if class_weight is not None and is_raw(x):
            options = kwargs.pop("data_options", None) or {}
            kwargs["data_options"] = {**options, "class_weight": class_weight}
        elif class_weight is not None:
            kwargs["class_weight"] = class_weight
        if self.naive_bayes and is_raw(x):
            batches = self.batches(x, training=False)
            self.head.counts.adapt(batches.epoch().as_numpy_iterator())
        elif self.naive_bayes and not np.any(self.head.counts.ratios):
            raise ValueError(
                "`x` must be raw examples with `naive_bayes`, for `fit` counts them; or count with "
                f"`task.head.counts.adapt` first. Received: x={type(x).__name__}"
            )
        return super().fit(x, y, **kwargs)

    def predict(self, x: Any, **kwargs: Any) -> Any:
        """Labels of texts, or of raw examples whatever their own labels; else Keras's `predict`."""
        if isinstance(x, str | os.PathLike | tf.data.Dataset) and is_raw(self.examples(x)):
            rows: Any = self.examples(x)
            return self.answer(list(self.examples(x)))
        rows: Any = x
        return self.answer(list(rows)) if has_labels(rows) else super().predict(x, **kwargs)

    def examples(self, given: Any) -> Any:
        """Raw examples in any form -> rows of strings; all else as it is."""
        if isinstance(given, LabelledRows):
            return given
        if isinstance(given, str | os.PathLike):
            given = open_table(given, _columns(self.pairs))
        return LabelledRows(given, self.num_texts, self.labels) if has_labels(given) else given

    @property
    def num_texts(self) -> int:
        """Texts of an example."""
        return 2 if self.pairs else 1

    @property
    def fields(self) -> tuple[str, ...]:
        """`text`, and with `pairs` `text_pair`."""
        return PAIR if self.pairs else TEXT

    def batches(self, examples: Any, *, class_weight: Any = None, **options: Any) -> Any:
        """Raw examples -> batches.

        Args:
            examples: raw examples.
            class_weight: as `LabelledBatches` takes it, or with numbers for names; or "balanced":
                a label's weight is the number of examples over its own and over the number of
                labels, with `multi_label` the examples without it over those with it.
            **options: see `tflm.data.LabelledBatches`; `max_length` is the task's by default.
        """
        rows = self.examples(examples)
        if class_weight == "balanced":
            class_weight = self._balanced(rows)
        elif class_weight is not None:
            class_weight = {
                label if isinstance(label, str) else self.labels[label]: weight
                for label, weight in class_weight.items()
            }
        return LabelledBatches(
            rows,
            self.tokenizer,
            self.labels,
            pairs=self.pairs,
            multi_label=self.multi_label,
            segments=self.has_segments,
            class_weight=class_weight,
            **{"max_length": self.max_length, **options},
        )

    def _balanced(self, rows: Iterable[tuple[str, ...]]) -> dict[str, float]:
        counts: collections.Counter[str] = collections.Counter()
        total = 0
        for row in rows:
            total += 1
            counts.update(row[self.num_texts :])
        found = {label: counts[label] for label in self.labels if counts[label]}
        if self.multi_label:
            return {label: (total - count) / count for label, count in found.items()}
        return {label: total / (len(self.labels) * count) for label, count in found.items()}

    def answer(self, texts: Sequence[Any]) -> list[Any]:
        """The label of each text; with `multi_label` the list of its labels, likeliest first."""
        found = self.classify(texts)
        if not self.multi_label:
            return [each["label"] for each in found]
        return [[label for label in each["labels"] if label] for each in found]

    def answers(self, texts: Sequence[Any]) -> list[dict[str, Any]]:
        """What the exported `serving_default` answers, see `classify`."""
        return self.classify(texts)

    def classify(self, texts: Sequence[Any]) -> list[dict[str, Any]]:
        """The label of each text and how sure it is.

        Args:
            texts: strings; with `pairs`, tuples of two. Rows and dicts of raw examples too, whose
                own labels are not looked at.

        Returns:
            Dicts with `label`, `score` (the label's probability), `probabilities` in the order of
            `labels`, and `truncated`: whether the text was too long to be read to its end. With
            `multi_label` also `labels`, the labels it has, likeliest first, and "" for the others.

        Raises:
            ValueError: `texts` is one text, or holds something else.
        """
        if isinstance(texts, str | bytes):
            raise ValueError(f"`texts` must be a list of texts. Received: {texts!r:.80}")
        if "classify" not in self._functions:
            module = self.text_classifier()
            strings = [tf.TensorSpec([None], tf.string)] * self.num_texts
            self._functions["classify"] = tf.function(
                module.classify, input_signature=strings, autograph=False
            )
        rows = [texts_of(text, self.num_texts) for text in texts]
        # Texts of like length together: short ones are not padded to long ones.
        order = sorted(range(len(rows)), key=lambda i: sum(map(len, rows[i])))
        answers: list[dict[str, Any]] = [{} for _ in rows]
        for start in range(0, len(order), _TEXTS_PER_CALL):
            chunk = order[start : start + _TEXTS_PER_CALL]
            sides = zip(*(rows[i] for i in chunk), strict=True)
            found = self._functions["classify"](*(string_tensor("texts", side) for side in sides))
            columns = {name: _plain(value) for name, value in found.items()}
            for row, i in enumerate(chunk):
                answers[i] = {name: values[row] for name, values in columns.items()}
        return answers

    def text_classifier(self, freeze: bool = False) -> TextClassifier:
        """The graph that answers here and in the exported SavedModel."""
        return TextClassifier(
            functools.partial(self.model, training=False),
            functools.partial(self._classified, training=False),
            [weight for part in self.parts.values() for weight in part.weights],
            self.tokenizer,
            self.labels,
            max_length=self.max_length,
            pairs=self.pairs,
            segments=self.has_segments,
            threshold=self.threshold if self.multi_label else None,
            freeze=freeze,
        )

    def served(self, freeze: bool = False) -> TextClassifier:
        """`serving_default`: `text`, with `pairs` also `text_pair` -> what `classify` returns.

        `tokenize`: `text` -> its tokens; `embed`: `text` -> `embedding`, the mean of what the
        encoder gives. On request `explain`: `text` -> `label`, `pieces`, `attribution`.
        """
        return self.text_classifier(freeze)

    def description(self) -> dict[str, Any]:
        """What the model is, and which labels there are."""
        settings = self.settings()
        return {**super().description(), **settings}

    def input_limits(self) -> dict[str, Any]:
        """Tokens read."""
        return {"max_length": self.max_length}

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments besides model and tokenizer, as JSON holds them."""
        return {
            "labels": list(self.labels),
            "pooling": self.pooling,
            "dropout": self.dropout,
            "naive_bayes": self.naive_bayes,
            "pairs": self.pairs,
            "multi_label": self.multi_label,
            "threshold": self.threshold,
            "max_length": self.max_length,
        }

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """The inverse of `settings`."""
        return dict(settings)


def default_optimizer(
    peak: float = 1e-3,
    warmup_steps: int = 100,
    total_steps: int = 2000,
    *,
    weight_decay: float = 0.01,
    ema: float = 0.0,
    depths: Mapping[str, int] | None = None,
    layer_decay: float = 1.0,
    accumulate: int = 1,
) -> keras.optimizers.Optimizer:
    """AdamW with warm-up and cosine decay to nothing, gradients clipped to norm 1.

    Args:
        peak: the highest learning rate: 1e-3 suits small networks with fresh weights, 2e-5 to 5e-5
            fine-tunes a BERT.
        warmup_steps: updates up to it.
        total_steps: updates until it has fallen to 0, warm-up included.
        weight_decay: times the learning rate, what each update takes from a weight; biases and
            normalisation are left alone.
        ema: decay of a moving average of the weights, 0 for none.
        depths: of the weights, as `tflm.training.fine_tuning.depths` finds them; with them lower
            layers learn more slowly.
        layer_decay: with `depths`, what the rate is multiplied by from one layer to the one below.
        accumulate: batches to an update.
    """
    return cosine_adamw(
        peak,
        warmup_steps,
        total_steps,
        weight_decay=weight_decay,
        ema=ema,
        depths=depths,
        layer_decay=layer_decay,
        accumulate=accumulate,
    )


def _checked_labels(labels: Sequence[str], least: int) -> tuple[str, ...]:
    names = tuple(labels)
    if isinstance(labels, str) or len(set(names)) < max(len(names), least) or "" in names:
        raise ValueError(f"`labels` must be at least {least} different names. Received: {labels!r}")
    return names


def _columns(pairs: bool) -> tuple[str, ...]:
    return ("text", "text_pair", "label") if pairs else ("text", "label")


def _plain(value: tf.Tensor) -> list[Any]:
    """A tensor as Python values, a text of bytes as a string."""
    if value.dtype != tf.string:
        return value.numpy().tolist()
    return tf.nest.map_structure(bytes.decode, value.numpy().tolist())
