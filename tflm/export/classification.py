"""The graph of a classifier from strings to labels: tokenize, encode, score.

One module serves the task in Python and the exported SavedModel, so both give the same answers.
`B` texts, `T` length, `L` labels.
"""

import contextlib
import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import tensorflow as tf

from tflm.export.attribution import attributions
from tflm.export.served_module import ServedModule, mean_of_tokens, one_at_least, signature
from tflm.export.sharing import Shared
from tflm.export.token_strings import TokenStrings
from tflm.tokenizers.framing import Frame


class TextClassifier(ServedModule):
    """A classifier and its tokenizer as functions of strings.

    Args:
        hidden: `token_ids`, `padding_mask` and, with `segments`, `segment_ids`, `(B, T)` each ->
            what the encoder gives, `(B, T, D)`.
        logits: that and what `hidden` read -> logits `(B, L)`.
        weights: every weight that they read.
        tokenizer: the tokenizer.
        labels: their names.
        max_length: tokens read of a text or pair, special ones included; what is longer is cut and
            reported as `truncated`.
        pairs: whether it classifies pairs of texts.
        segments: whether the network wants to know which text of a pair a token belongs to.
        threshold: `None` where a text has one label; where it has any number of them, the
            probability from which on it has one.
        freeze: whether the weights become constants of the graph.

    Raises:
        ValueError: `freeze` is asked for weights too large for a graph.
    """

    OFFERED: ClassVar[tuple[str, ...]] = ("serving_default", "tokenize", "embed")

    def __init__(
        self,
        hidden: Callable[[dict[str, Any]], Any],
        logits: Callable[[Any, dict[str, Any]], Any],
        weights: Sequence[Any],
        tokenizer: Any,
        labels: Sequence[str],
        *,
        max_length: int,
        pairs: bool = False,
        segments: bool = False,
        threshold: float | None = None,
        freeze: bool = False,
    ):
        super().__init__(weights, freeze)
        self._hidden = hidden
        self._logits = logits
        self.tokenizer = tokenizer
        self.labels = tuple(labels)
        self.max_length = max_length
        self.pairs = pairs
        self.segments = segments
        self.threshold = threshold
        self._frame = Frame(tokenizer)
        self._strings = functools.cache(lambda: TokenStrings(tokenizer))

    def classify(self, texts: Any, text_pairs: Any = None) -> dict[str, Any]:
        """Strings `(B,)` -> the labels of each.

        Args:
            texts: strings `(B,)`; bytes that are not UTF-8 become U+FFFD.
            text_pairs: strings `(B,)` that they are paired with, where there are pairs.

        Returns:
            `label` string `(B,)`, the likeliest; `score` float32 `(B,)`, its probability;
            `probabilities` float32 `(B, L)`, in the order of the labels; `truncated` boolean
            `(B,)`: the text was longer than `max_length`. Where a text has any number of labels
            also `labels` string `(B, L)`, those it has, likeliest first, then "" for the rest; and
            `label` is "" where it has none.
        """
        count, inputs, cut = self._read(texts, text_pairs)
        _, logits = self._network(inputs)  # (B, L)
        found = {**self._labelled(logits), "truncated": cut}
        return {name: value[:count] for name, value in found.items()}

    def _read(self, texts: Any, text_pairs: Any) -> tuple[Any, dict[str, Any], Any]:
        """How many texts there are; of one at least what the network reads, and which are cut."""
        count, texts = one_at_least(texts)
        if text_pairs is not None:
            text_pairs = one_at_least(text_pairs)[1]
        return count, *self._inputs(texts, text_pairs)

    def _network(self, inputs: dict[str, Any]) -> tuple[Any, Any]:
        """What the encoder gives `(B, T, D)`, and logits `(B, L)`."""
        with self._constants.scope() if self._constants else contextlib.nullcontext():
            hidden = self._hidden(inputs)
            logits = self._logits(hidden, inputs)
        return hidden, tf.cast(logits, tf.float32)

    def _labelled(self, logits: Any) -> dict[str, Any]:
        several = self.threshold is not None
        probabilities = tf.sigmoid(logits) if several else tf.nn.softmax(logits)  # (B, L)
        scores, order = tf.math.top_k(probabilities, len(self.labels))  # (B, L)
        ranked = tf.gather(tf.constant(self.labels), order)  # (B, L)
        found = {
            "label": ranked[:, 0],
            "score": scores[:, 0],
            "probabilities": probabilities,
        }
        if several:
            found["labels"] = tf.where(scores >= self.threshold, ranked, "")
            found["label"] = found["labels"][:, 0]
        return found

    def embedding(self, texts: Any, text_pairs: Any = None) -> Any:
        """Strings `(B,)` -> the mean of what the encoder gives for their tokens, float32 `(B, D)`.

        Special tokens are among them.
        """
        count, inputs, _ = self._read(texts, text_pairs)
        hidden, _ = self._network(inputs)
        return mean_of_tokens(hidden, inputs["padding_mask"])[:count]

    def explanation(self, texts: Any, text_pairs: Any = None) -> dict[str, Any]:
        """Strings `(B,)` -> the likeliest label of each, and what it owes to each token.

        Returns:
            `label` and `truncated` as `classify`, `label` the likeliest even where it is below the
            threshold; string `pieces` `(B, T)`, special tokens included, "" after the last; float32
            `attribution` `(B, T)`: by how much the label's log-odds fall without the token.
        """
        count, inputs, cut = self._read(texts, text_pairs)
        token_ids, mask = inputs["token_ids"], inputs["padding_mask"]
        _, logits = self._network(inputs)  # (B, L)
        best = tf.argmax(logits, axis=1, output_type=tf.int32)  # (B,)

        def score(inputs: dict[str, Any], rows: Any) -> Any:
            _, logits = self._network(inputs)
            return self._log_odds(logits, tf.gather(best, rows))

        is_special = tf.reduce_any(token_ids[..., None] == self._frame.special_ids, axis=-1)
        found = {
            "label": tf.gather(tf.constant(self.labels), best),
            "pieces": self._strings().of(token_ids, mask),
            "attribution": attributions(score, inputs, mask & ~is_special),
            "truncated": cut,
        }
        return {name: value[:count] for name, value in found.items()}

    def _log_odds(self, logits: Any, labels: Any) -> Any:
        """Of labels `(B,)` against all others, float32 `(B,)`; of each on its own with several."""
        own = tf.gather(logits, labels, batch_dims=1)  # (B,)
        if self.threshold is not None:
            return own
        is_own = tf.one_hot(labels, len(self.labels), on_value=True, off_value=False)
        return own - tf.reduce_logsumexp(tf.where(is_own, float("-inf"), logits), axis=1)

    def _tokenize(self, texts: Any) -> Any:
        return self.tokenizer.tokenize(tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8"))

    def _inputs(self, texts: Any, text_pairs: Any) -> tuple[dict[str, Any], Any]:
        """The arrays that the network reads, and which texts were cut."""
        sides = (texts,) if text_pairs is None else (texts, text_pairs)
        first, *second = map(self._tokenize, sides)
        ids, own, cut = self._frame.join(first, second[0] if second else None, self.max_length)
        mask = tf.sequence_mask(ids.row_lengths())  # (B, T)
        pad_id = getattr(self.tokenizer, "pad_id", None)
        pad_id = 0 if pad_id is None or pad_id < 0 else pad_id
        inputs = {"token_ids": ids.to_tensor(pad_id), "padding_mask": mask}
        if self.segments:
            places = tf.range(tf.shape(mask)[1])[None]  # (1, T)
            inputs["segment_ids"] = tf.cast(mask & (places >= own[:, None]), tf.int32)
        return inputs, cut

    def _sharing(self) -> Self:
        twin: Any = copy.copy(self)
        kinds = {"token_ids": tf.int32, "padding_mask": tf.bool}
        if self.segments:
            kinds["segment_ids"] = tf.int32
        specs = [{name: tf.TensorSpec([None, None], kind) for name, kind in kinds.items()}]
        twin._network = Shared(self._network, specs, self._weights())
        return twin

    def _builders(self) -> dict[str, Callable[[], Any]]:
        texts = dict.fromkeys(("text", "text_pair") if self.pairs else ("text",), tf.string)
        return {
            "serving_default": lambda: signature(self.classify, **texts),
            "tokenize": lambda: signature(
                lambda text: self._strings().tokenized(self._tokenize(text)), text=tf.string
            ),
            "embed": lambda: signature(
                lambda *texts: {"embedding": self.embedding(*texts)}, **texts
            ),
            "explain": lambda: signature(self.explanation, **texts),
        }
