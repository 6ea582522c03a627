"""The graph of an extractive reader from strings to answers: windows, an encoder, the best span.

One module serves the task in Python and the exported SavedModel, so both give the same answers. The
logits of a window are taken relative to those of its first place, which says that the answer is not
there: so a span's sum is its log-odds against "not here", and the spans of all windows of a context
compare, with each other and with no answer at all, whose log-odds are 0.
`B` questions, `R` windows, `T` length, `L` longest answer.
"""

import contextlib
import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import tensorflow as tf

from tflm.export.attribution import attributions
from tflm.export.served_module import ServedModule, one_at_least, signature
from tflm.export.sharing import Shared
from tflm.export.token_strings import TokenStrings
from tflm.tokenizers.passages import PassageReader, Passages
from tflm.tokenizers.word_features import FEATURES

_TOKENS_AT_ONCE = 1 << 14  # that the encoder reads
_NEVER = -1e9


class QuestionAnswerer(ServedModule):
    """An encoder with a span head, and its tokenizer, as functions of strings.

    Args:
        logits: the `inputs` of `tflm.tokenizers.passages.Passages` -> logits of first and last
            place `(R, T, 2)`.
        weights: every weight that `logits` reads.
        reader: makes windows of strings.
        max_answer_length: `L`, from the first piece of an answer's first word to that of its last.
        unanswerable: whether a context may hold no answer.
        no_answer_threshold: where it may, the probability of that above which there is none.
        freeze: whether the weights become constants of the graph.

    Raises:
        ValueError: `max_answer_length` is more than windows overlap, so that an answer could be cut
            by both; or `freeze` is asked for weights too large for a graph.
    """

    OFFERED: ClassVar[tuple[str, ...]] = ("serving_default", "tokenize")

    def __init__(
        self,
        logits: Callable[[dict[str, Any]], Any],
        weights: Sequence[Any],
        reader: PassageReader,
        *,
        max_answer_length: int = 30,
        unanswerable: bool = False,
        no_answer_threshold: float = 0.5,
        freeze: bool = False,
    ):
        if not 1 <= max_answer_length <= reader.overlap:
            raise ValueError(
                "`max_answer_length` must be from 1 to `overlap`, so that every answer stands "
                f"whole in a window. Received: max_answer_length={max_answer_length}, "
                f"overlap={reader.overlap}"
            )
        super().__init__(weights, freeze)
        self._logits = logits
        self._strings = functools.cache(lambda: TokenStrings(reader.tokenizer))
        self.reader = reader
        self.max_answer_length = max_answer_length
        self.unanswerable = unanswerable
        self.no_answer_threshold = no_answer_threshold

    def answer(self, questions: Any, contexts: Any, threshold: Any = None) -> dict[str, Any]:
        """The likeliest answer to each question.

        Args:
            questions: strings `(B,)`.
            contexts: strings `(B,)`, of any length. Bytes that are not UTF-8 are read as U+FFFD,
                and answers and offsets are those of what was read.
            threshold: instead of `no_answer_threshold`, a scalar.

        Returns:
            `answer` string `(B,)`, the piece of the context between the code points `start` and
            `end`, int32 `(B,)` each; empty, with both 0, where there is none. `score` float32
            `(B,)`: its probability among all spans of all windows (a span that two windows hold
            counts twice) and, with `unanswerable`, no answer. `truncated` boolean `(B,)`: the
            question was too long to be read to its end. With `unanswerable` also
            `no_answer_probability` float32 `(B,)`.
        """
        count, questions = one_at_least(questions)
        passages = self.reader.read(questions, one_at_least(contexts)[1])
        answers, _, _ = self._answered(passages, threshold)
        return {name: value[:count] for name, value in answers.items()}

    def _answered(
        self, passages: Passages, threshold: Any = None
    ) -> tuple[dict[str, Any], Any, Any]:
        """Answers; the window of each `(B,)`; and its first and last place there, `(B, 2)`."""
        best, places, totals = self.spans(passages)  # (R,), (R, 2), (R,)
        rows, number = passages.rows, tf.size(passages.contexts)
        top = tf.math.segment_max(best, rows)  # (B,)
        # The first window that holds the best span.
        order = tf.range(tf.size(rows))
        where = tf.where(best == tf.gather(top, rows), order, tf.size(rows))
        where = tf.math.unsorted_segment_min(where, rows, number)  # (B,)
        places = tf.gather(places, where)  # (B, 2)
        first, last = tf.unstack(places, axis=1)  # (B,)
        start = tf.gather_nd(passages.starts, tf.stack([where, first], axis=1))
        end = tf.gather_nd(passages.ends, tf.stack([where, last], axis=1))
        total = _segment_log_sum(totals, rows, number)  # (B,)
        found = top > _NEVER / 2
        none = tf.where(found, tf.sigmoid(-total), 1.0)
        score = tf.exp(top - (tf.math.softplus(total) if self.unanswerable else total))
        refused = ~found
        if self.unanswerable:
            refused |= none > (self.no_answer_threshold if threshold is None else threshold)
        start, end = (tf.where(refused, 0, x) for x in (start, end))
        answers = {
            "answer": tf.strings.substr(passages.contexts, start, end - start, unit="UTF8_CHAR"),
            "start": start,
            "end": end,
            "score": tf.where(refused, none if self.unanswerable else 0.0, score),
            "truncated": passages.truncated,
        }
        if self.unanswerable:
            answers["no_answer_probability"] = none
        return answers, where, places

    def explanation(self, questions: Any, contexts: Any) -> dict[str, Any]:
        """The likeliest answer to each question, and what it owes to each token around it.

        Returns:
            `answer`, `start`, `end`, `score` and `truncated` as `answer`; string `pieces` `(B, T)`,
            the tokens of the window that the likeliest span stands in, special ones included, ""
            after the last; boolean `in_context` `(B, T)`, which of them are the context's; float32
            `attribution` `(B, T)`: by how much the span's log-odds against no answer there fall
            without the token. Where no answer is given it is the one that came nearest.
        """
        count, questions = one_at_least(questions)
        passages = self.reader.read(questions, one_at_least(contexts)[1])
        answers, where, places = self._answered(passages)
        inputs = {name: tf.gather(value, where) for name, value in passages.inputs.items()}

        def score(inputs: dict[str, Any], rows: Any) -> Any:
            logits = self._network(inputs)  # (n, T, 2)
            odds = logits - logits[:, :1]
            ends = tf.gather(places, rows)  # (n, 2)
            first, last = (tf.gather(odds[..., i], ends[:, i], batch_dims=1) for i in (0, 1))
            return first + last

        token_ids, mask = inputs["token_ids"], inputs["padding_mask"]
        in_context = tf.gather(passages.ends > 0, where)  # (B, T)
        is_special = tf.reduce_any(token_ids[..., None] == self.reader.special_ids, axis=-1)
        found = {
            **{name: answers[name] for name in ("answer", "start", "end", "score", "truncated")},
            "pieces": self._strings().of(token_ids, mask),
            "in_context": in_context,
            "attribution": attributions(score, inputs, mask & ~is_special),
        }
        return {name: value[:count] for name, value in found.items()}

    def spans(self, passages: Passages) -> tuple[Any, Any, Any]:
        """The best span of each window.

        Returns:
            Its log-odds, float32 `(R,)`, a large negative number where the window has no word; its
            first and last place, int32 `(R, 2)`; and the logarithm of the sum of the odds of all
            spans, float32 `(R,)`.
        """
        # A few windows at a time: a long context would fill the memory.
        number, length = tf.unstack(tf.shape(passages.inputs["token_ids"]))
        at_once = tf.minimum(tf.maximum(_TOKENS_AT_ONCE // length, 1), number)
        groups = (number + at_once - 1) // at_once

        def grouped(x: Any) -> Any:
            rest = [[0, groups * at_once - number], *[[0, 0]] * (len(x.shape) - 1)]
            x = tf.pad(x, rest)
            return tf.reshape(x, tf.concat([[groups, at_once], tf.shape(x)[1:]], axis=0))

        found = tf.map_fn(
            self._group,
            {name: grouped(value) for name, value in passages.inputs.items()},
            fn_output_signature=(
                tf.TensorSpec([None], tf.float32),
                tf.TensorSpec([None, 2], tf.int32),
                tf.TensorSpec([None], tf.float32),
            ),
        )
        best, places, totals = found
        return (
            tf.reshape(best, [-1])[:number],
            tf.reshape(places, [-1, 2])[:number],
            tf.reshape(totals, [-1])[:number],
        )

    def _group(self, inputs: dict[str, Any]) -> tuple[Any, Any, Any]:
        return best_spans(self._network(inputs), inputs["answer_mask"], self.max_answer_length)

    def _network(self, inputs: dict[str, Any]) -> Any:
        with self._constants.scope() if self._constants else contextlib.nullcontext():
            return tf.cast(self._logits(inputs), tf.float32)  # (G, T, 2)

    def _sharing(self) -> Self:
        twin: Any = copy.copy(self)
        two, integers = [None, None], ("token_ids", "segment_ids")
        specs = {
            name: tf.TensorSpec(two, tf.int32 if name in integers else tf.bool)
            for name in (*integers, "padding_mask", "answer_mask")
        }
        specs["word_features"] = tf.TensorSpec([*two, len(FEATURES)], tf.bool)
        twin._network = Shared(self._network, [specs], self._weights())
        return twin

    def _builders(self) -> dict[str, Callable[[], Any]]:
        texts = dict.fromkeys(("question", "context"), tf.string)
        return {
            "serving_default": lambda: signature(
                lambda question, context: self.answer(question, context), **texts
            ),
            "tokenize": lambda: signature(
                lambda text: self._strings().tokenized(self.reader.tokenize(text)), text=tf.string
            ),
            "explain": lambda: signature(self.explanation, **texts),
        }


def best_spans(logits: Any, answer_mask: Any, most: int) -> tuple[Any, Any, Any]:
    """The best span of each window, of equals the first; see `QuestionAnswerer.spans`.

    Args:
        logits: of first and last place, float32 `(G, T, 2)`.
        answer_mask: boolean `(G, T)`; the first place stands for no answer.
        most: the longest span, in places.
    """
    odds = logits - logits[:, :1]
    places = tf.range(tf.shape(odds)[1])  # (T,)
    allowed = answer_mask & (places > 0)[None]  # (G, T)
    first, last = (tf.where(allowed, odds[..., i], _NEVER) for i in (0, 1))
    reach = places[:, None] + tf.range(most)  # (T, L)
    last = tf.pad(last, [[0, 0], [0, most - 1]], constant_values=_NEVER)
    sums: Any = tf.expand_dims(first, -1) + tf.gather(last, reach, axis=1)  # (G, T, L)
    sums = tf.reshape(sums, tf.stack([tf.shape(sums)[0], tf.size(reach)]))  # (G, T * L)
    index: Any = tf.argmax(sums, axis=1, output_type=tf.int32)  # (G,)
    begin = index // most
    spans = tf.stack([begin, begin + index % most], axis=1)  # (G, 2)
    return tf.reduce_max(sums, axis=1), spans, tf.reduce_logsumexp(sums, axis=1)


def _segment_log_sum(values: Any, rows: Any, number: Any) -> Any:
    """The logarithm of the sum of exponentials of each row's values, `(R,)` -> `(B,)`."""
    largest = tf.math.unsorted_segment_max(values, rows, number)
    rest = tf.exp(values - tf.gather(largest, rows))
    return largest + tf.math.log(tf.math.unsorted_segment_sum(rest, rows, number))
