"""Extractive question answering: which piece of a text answers a question about it?

question   "Who wrote Hamlet?"
context    "Hamlet was written by William Shakespeare in about 1600."
answer     "William Shakespeare", from character 22 to character 41

task = QuestionAnswering.from_examples("train-v1.1.json", "qanet/tiny")
task.compile()
task.fit("train-v1.1.json", epochs=10)
task(question="Who wrote Hamlet?", context="Hamlet was written by William Shakespeare.")
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf
from keras import ops

from tflm import models
from tflm.data import QuestionBatches, QuestionExample
from tflm.eval import Metric, Score
from tflm.eval.catalog import metrics_named
from tflm.eval.keras_metrics import SpanExactMatch
from tflm.eval.metrics.squad2 import Answer, Squad2ExactMatch, Squad2F1
from tflm.export import QuestionAnswerer
from tflm.layers import SpanHead
from tflm.models.base import Encoder
from tflm.tasks.input_rows import QUESTION
from tflm.tasks.plain_text import PlainTextTask
from tflm.tasks.question_rows import Pair, QuestionRows, is_question, question_rows
from tflm.tasks.string_tensors import string_tensor
from tflm.tokenizers import SentencePieceTokenizer, Tokenizer
from tflm.tokenizers.passages import PassageReader
from tflm.tokenizers.word_offsets import WordFinder
from tflm.training.optimizers import cosine_adamw
from tflm.training.span_loss import SpanCrossEntropy

SEQUENCE_LENGTH = 384
MAX_ANSWER_LENGTH = 30
MAX_QUESTION_LENGTH = 62
_QUESTIONS_PER_CALL = 64
_TEXTS_PER_CALL = 1024


class QuestionAnswering(PlainTextTask):
    """Answers questions with pieces of the texts that they are about, with any encoder.

    Raw examples are `tflm.data.QuestionExample`s, or dicts with `question`, `context` and `answers`
    as SQuAD's JSON and Hugging Face `datasets` have them; in a list, a reader of `tflm.data`, or by
    the path of a file in SQuAD's format. A context of any length is read in overlapping windows.
    An answer is whole words, and in Chinese any characters (`tflm.tokenizers.word_offsets`).

    Args:
        model: an `Encoder`.
        tokenizer: its tokenizer.
        sequence_length: tokens of a window, question and special tokens included; by default 384,
            or fewer where the model takes fewer.
        overlap: tokens of the context that neighbouring windows share; by default a third of them.
        max_question_length: tokens read of a question; by default 62, or fewer where windows are
            short or the model takes fewer.
        max_answer_length: longest answer in tokens, at most `overlap`; by default 30.
        unanswerable: whether a context may hold no answer, as in SQuAD 2.0.
        no_answer_threshold: with `unanswerable`, the probability of no answer above which the
            answer is empty.
        dropout: rate applied to the encoder's output; by default the model's.

    Raises:
        TypeError: `model` is not an encoder.
        ValueError: an argument does not suit the others; see their rules above.
    """

    EVALUATION_OPTIONS: ClassVar[tuple[str, ...]] = ("tokens_per_batch",)

    def __init__(
        self,
        model: Encoder,
        tokenizer: Tokenizer,
        *,
        sequence_length: int | None = None,
        overlap: int | None = None,
        max_question_length: int | None = None,
        max_answer_length: int | None = None,
        unanswerable: bool = False,
        no_answer_threshold: float = 0.5,
        dropout: float | None = None,
        **kwargs: Any,
    ):
        if not isinstance(model, Encoder):
            raise TypeError(f"`model` must be an Encoder. Received: {type(model).__name__}")
        if not 0.0 <= no_answer_threshold <= 1.0:
            raise ValueError(
                "`no_answer_threshold` must be from 0 to 1. "
                f"Received: no_answer_threshold={no_answer_threshold}"
            )
        dropout = float(getattr(model.config, "dropout", 0.1)) if dropout is None else dropout
        head = SpanHead(model.config.hidden_dim, dropout, dtype=model.dtype_policy, name="head")
        super().__init__(model, tokenizer, head, **kwargs)
        self.dropout = dropout
        self.sequence_length = _checked_length(model.config, sequence_length)
        self.overlap = self.sequence_length // 3 if overlap is None else overlap
        self.max_question_length = _checked_question_length(
            model.config, max_question_length, self.sequence_length
        )
        if max_answer_length is None:
            max_answer_length = min(MAX_ANSWER_LENGTH, self.overlap)
        self.max_answer_length = max_answer_length
        self.unanswerable = unanswerable
        self.no_answer_threshold = no_answer_threshold
        self.has_segments = getattr(model.config, "num_segments", 2) > 1
        self.reader = PassageReader(
            tokenizer, self.sequence_length, self.overlap, self.max_question_length
        )
        self.question_answerer()  # which checks the longest answer
        if getattr(model, "pooler", None) is not None:
            model.pooler.trainable = False  # it would have no gradient

    @classmethod
    def from_examples(
        cls,
        examples: Any,
        preset: str = "qanet/tiny",
        *,
        vocab_size: int = 16000,
        algorithm: str = "bpe",
        dtype: str | None = None,
        changes: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> "QuestionAnswering":
        """A task with a tokenizer trained on the texts' words, in lower case, and fresh weights.

        Args:
            examples: as `fit` takes them.
            preset: "architecture/preset" of an encoder, as `tflm models` lists them.
            vocab_size: pieces of the vocabulary; with "char", most of them.
            algorithm: "bpe", "unigram" or "char".
            dtype: dtype policy of the network, "mixed_bfloat16" say; Keras's global one by default.
            changes: fields of the preset's config to change.
            **kwargs: passed to the constructor.

        Raises:
            ValueError: an argument is unknown or does not suit the examples.
        """
        tokenizer = train_tokenizer(question_rows(examples).examples, vocab_size, algorithm)
        network, config = models.find(preset)
        config = dataclasses.replace(config, vocab_size=tokenizer.vocab_size, **(changes or {}))
        return cls(network(config, dtype=dtype), tokenizer, **kwargs)

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        *,
        weighted_metrics: Any = None,
        jit_compile: bool = False,
        **kwargs: Any,
    ) -> None:
        """`keras.Model.compile` with defaults that train a reader from nothing.

        Args:
            optimizer: by default `default_optimizer()`.
            loss: by default cross-entropy of an answer's two ends.
            weighted_metrics: by default the share of windows in which both are right.
            jit_compile: XLA.
            **kwargs: passed to Keras.
        """
        super().compile(
            optimizer=default_optimizer() if optimizer is None else optimizer,
            loss=SpanCrossEntropy() if loss is None else loss,
            weighted_metrics=[SpanExactMatch()] if weighted_metrics is None else weighted_metrics,
            jit_compile=jit_compile,
            **kwargs,
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Logits `(B, T, 2)` of the first and the last word of an answer, from ready arrays."""
        answer_mask = inputs["answer_mask"]
        if not self.has_segments:
            inputs = {name: value for name, value in inputs.items() if name != "segment_ids"}
        return self.head(self.model(inputs, training=training), answer_mask, training=training)

    def __call__(
        self,
        inputs: Any = None,
        *args: Any,
        question: Any = None,
        context: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Answers a question about a context, or as many questions as contexts; else `call`.

        `inputs` may be a pair, a tuple of both, or a list of pairs. One `question` may be asked of
        many a `context`, and many of one.

        Raises:
            ValueError: there are not as many questions as contexts, or one of the two is missing.
        """
        if question is not None or context is not None:
            if question is None or context is None:
                raise ValueError(
                    "`question` and `context` must be given together. "
                    f"Received: question={question!r}, context={context!r:.200}"
                )
            if isinstance(question, str) and isinstance(context, str):
                return self.answer([(question, context)])[0]
            return self.answer(_pairs(question, context))
        if isinstance(inputs, tuple) and len(inputs) == 2:
            return self.answer([inputs])[0]
        if isinstance(inputs, list) and all(isinstance(each, tuple) for each in inputs):
            return self.answer(inputs)
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

    def predict(self, x: Any, **kwargs: Any) -> Any:
        """Answers to pairs, or to raw examples whatever their answers; else Keras's `predict`."""
        found = self.examples(x)
        if isinstance(found, QuestionRows):
            return self.answer(list(found))
        if isinstance(x, list) and all(isinstance(each, tuple) for each in x):
            return self.answer(x)
        return super().predict(x, **kwargs)

    def examples(self, given: Any) -> Any:
        """Raw examples in any form -> `QuestionRows`; all else as it is."""
        return question_rows(given) if is_question(given) else given

    def batches(self, examples: Any, **options: Any) -> QuestionBatches:
        """Raw examples -> batches; see `tflm.data.QuestionBatches` for the options."""
        return QuestionBatches(question_rows(examples).windows(self.reader), **options)

    @property
    def fields(self) -> tuple[str, ...]:
        """`question` and `context`."""
        return QUESTION

    def answer(self, texts: Sequence[Pair], **options: Any) -> list[str]:
        """The answer to each pair of a question and a context; see `answers`."""
        return [each["answer"] for each in self.answers(texts, **options)]

    def answers(
        self, texts: Sequence[Pair], no_answer_threshold: float | None = None
    ) -> list[dict[str, Any]]:
        """The answer to each question and where it stands.

        Args:
            texts: pairs of a question and its context, each of any length.
            no_answer_threshold: instead of the task's own; 1 always answers where there is a word.

        Returns:
            Dicts with `answer`, the context's characters from `start` to `end`; `score`, its
            probability; `truncated`, whether the question was too long to be read to its end; and
            with `unanswerable` `no_answer_probability`.

        Raises:
            ValueError: `texts` are not pairs of strings.
        """
        for pair in texts:
            strings = [text for text in pair if isinstance(text, str)]
            if isinstance(pair, str) or len(pair) != 2 or len(strings) != 2:
                raise ValueError(
                    "`texts` must be pairs of a question and a context, two strings. "
                    f"Received: {pair!r:.200}"
                )
        if "answer" not in self._functions:
            specs = [tf.TensorSpec([None], tf.string)] * 2 + [tf.TensorSpec([], tf.float32)]
            module = self.question_answerer()
            self._functions["answer"] = tf.function(
                module.answer, input_signature=specs, autograph=False
            )
        threshold = self.no_answer_threshold if no_answer_threshold is None else no_answer_threshold
        # Texts of like length together: short ones are not padded to long ones.
        order = sorted(range(len(texts)), key=lambda i: sum(map(len, texts[i])))
        answers: list[dict[str, Any]] = [{} for _ in texts]
        for start in range(0, len(order), _QUESTIONS_PER_CALL):
            chunk = order[start : start + _QUESTIONS_PER_CALL]
            sides = zip(*(texts[i] for i in chunk), strict=True)
            strings = (string_tensor("texts", side) for side in sides)
            found = self._functions["answer"](*strings, threshold)
            columns = {name: value.numpy().tolist() for name, value in found.items()}
            columns["answer"] = [text.decode() for text in columns["answer"]]
            for row, i in enumerate(chunk):
                answers[i] = {name: values[row] for name, values in columns.items()}
        return answers

    def score(self, examples: Any, language: str = "en") -> list[Score]:
        """Exact match and F1 of raw examples.

        By SQuAD's definition, for Chinese ("zh") by that of CMRC 2018; by SQuAD 2.0's where an
        example has no answer, in Chinese with CMRC's comparison of those that have one. What is
        scored is what `answers` answers, and the best of all thresholds is beside it.

        Args:
            examples: as `fit` takes them.
            language: code of the language of the answers.
        """
        rows = question_rows(examples)
        questions = rows.to_score()
        metrics = self.metrics_of(questions, language)
        predictions = self.predictions(list(QuestionRows(questions)), metrics)
        references = [example.texts for example in questions]
        return [metric.score(predictions, references) for metric in metrics]

    def metrics_of(self, examples: Iterable[QuestionExample], language: str) -> list[Metric]:
        """The metrics that a data set is scored by, see `score`.

        Args:
            examples: the data set.
            language: code of the language of the answers.
        """
        if all(example.answers for example in examples):
            return metrics_named(("exact_match", "f1"), language)
        # As the task answers: without one where it doubts that there is one.
        threshold = self.no_answer_threshold if self.unanswerable else 1.0
        return [
            Squad2ExactMatch(threshold=threshold, language=language),
            Squad2F1(threshold=threshold, language=language),
        ]

    def predictions(self, pairs: Sequence[Pair], metrics: Sequence[Metric]) -> list[Any]:
        """Answers as the metrics take them: for SQuAD 2.0's with how sure there is none."""
        if not (self.unanswerable and isinstance(metrics[0], Squad2ExactMatch)):
            return self.answer(pairs)
        return [
            Answer(each["answer"], each["no_answer_probability"])
            for each in self.answers(pairs, no_answer_threshold=1.0)
        ]

    def question_answerer(self, freeze: bool = False) -> QuestionAnswerer:
        """The graph that answers here and in the exported SavedModel."""
        return QuestionAnswerer(
            functools.partial(self.call, training=False),
            [weight for part in self.parts.values() for weight in part.weights],
            self.reader,
            max_answer_length=self.max_answer_length,
            unanswerable=self.unanswerable,
            no_answer_threshold=self.no_answer_threshold,
            freeze=freeze,
        )

    def served(self, freeze: bool = False) -> QuestionAnswerer:
        """`serving_default`: `question` and `context` -> what `answers` returns.

        `tokenize`: `text` -> its tokens. On request `explain`: `question`, `context` -> `answer`,
        `pieces`, `in_context`, `attribution`. There is no `embed`: the encoder has learned to read
        a question with its context, and a vector of either alone says little.
        """
        return self.question_answerer(freeze)

    def description(self) -> dict[str, Any]:
        """What the model is, and when it gives no answer."""
        return {
            **super().description(),
            "unanswerable": self.unanswerable,
            "no_answer_threshold": self.no_answer_threshold,
        }

    def input_limits(self) -> dict[str, Any]:
        """Tokens of a window, a question and an answer; contexts have no limit."""
        names = ("sequence_length", "overlap", "max_question_length", "max_answer_length")
        return {name: getattr(self, name) for name in names}

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments besides model and tokenizer, as JSON holds them."""
        return {
            **self.input_limits(),
            "unanswerable": self.unanswerable,
            "no_answer_threshold": self.no_answer_threshold,
            "dropout": self.dropout,
        }

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """The inverse of `settings`."""
        return dict(settings)


def _pairs(question: str | Sequence[str], context: str | Sequence[str]) -> list[Pair]:
    """Questions with their contexts; a single one goes with each of the others."""
    if isinstance(question, str):
        question = [question] * len(context)
    if isinstance(context, str):
        context = [context] * len(question)
    if len(question) != len(context):
        raise ValueError(
            "`question` and `context` must be as many, or one of them one string. "
            f"Received: {len(question)} questions, {len(context)} contexts"
        )
    return list(zip(question, context, strict=True))


def train_tokenizer(
    examples: Iterable[QuestionExample], vocab_size: int, algorithm: str = "bpe"
) -> SentencePieceTokenizer:
    """A tokenizer of lower-case words, learned from questions and contexts.

    Args:
        examples: where the words are from; a context counts once, however many questions it has.
        vocab_size: pieces of the vocabulary; with "char", most of them.
        algorithm: "bpe", "unigram" or "char".

    Raises:
        ValueError: an argument does not suit the texts.
    """
    finder = WordFinder()

    def texts() -> Iterator[str]:
        seen: set[str] = set()
        for example in examples:
            yield example.question
            if example.context not in seen:
                seen.add(example.context)
                yield example.context

    def lines() -> Iterator[str]:
        rest = texts()
        while chunk := list(itertools.islice(rest, _TEXTS_PER_CALL)):
            # Words apart, as `PassageReader` tokenizes them.
            found = finder.find(tf.constant(chunk, tf.string))
            ragged: Any = tf.RaggedTensor  # its constructors are unknown to type checkers
            words = ragged.from_row_splits(found.words, found.row_splits)
            joined = tf.strings.reduce_join(words, axis=1, separator=" ")
            yield from (line.decode() for line in joined.numpy() if line)

    return SentencePieceTokenizer.train(lines(), vocab_size, algorithm, normalization="nmt_nfkc_cf")


def default_optimizer(
    peak: float = 2e-3,
    warmup_steps: int = 200,
    total_steps: int = 5000,
    *,
    weight_decay: float = 0.01,
    ema: float = 0.0,
    accumulate: int = 1,
) -> keras.optimizers.Optimizer:
    """AdamW with warm-up and cosine decay to nothing, gradients clipped to norm 1.

    Args:
        peak: the highest learning rate: 1e-3 to 3e-3 suit small networks with fresh weights, 2e-5
            to 5e-5 fine-tunes a BERT.
        warmup_steps: updates up to it.
        total_steps: updates until it has fallen to 0, warm-up included.
        weight_decay: times the learning rate, what each update takes from a weight; biases and
            normalisation are left alone.
        ema: decay of a moving average of the weights, 0 for none.
        accumulate: batches to an update.
    """
    return cosine_adamw(
        peak,
        warmup_steps,
        total_steps,
        weight_decay=weight_decay,
        ema=ema,
        accumulate=accumulate,
    )


def _checked_length(config: Any, length: int | None) -> int:
    most = getattr(config, "max_length", None)
    if length is None:
        return min(SEQUENCE_LENGTH, most or SEQUENCE_LENGTH)
    if most and length > most:
        raise ValueError(
            f"`sequence_length` must be at most the model's {most}. "
            f"Received: sequence_length={length}"
        )
    return length


def _checked_question_length(config: Any, length: int | None, sequence_length: int) -> int:
    # A special token stands in front of the question and one behind it.
    most = getattr(config, "max_question_length", sequence_length) - 2
    if length is None:
        return max(min(MAX_QUESTION_LENGTH, most, sequence_length // 6), 1)
    if length > most:
        raise ValueError(
            f"`max_question_length` must be at most {most}, what the model looks at. "
            f"Received: max_question_length={length}"
        )
    return length
