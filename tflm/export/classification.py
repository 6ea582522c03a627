"""The graph of a classifier from strings to labels: tokenize, encode, score.

One module serves the task in Python and the exported SavedModel, so both give the same answers.
`B` texts, `T` length, `L` labels.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tflm.export.constants import Constants
from tflm.tokenizers.framing import Frame


class TextClassifier(tf.Module):
    """A classifier and its tokenizer as functions of strings.

    Args:
        logits: `token_ids`, `padding_mask` and, with `segments`, `segment_ids`, `(B, T)` each ->
            logits `(B, L)`.
        weights: every weight that `logits` reads.
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

    def __init__(
        self,
        logits: Callable[[dict[str, Any]], Any],
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
        super().__init__()
        self._constants = Constants(list(weights)) if freeze else None
        # A SavedModel needs the weights alone; a tracked Keras model would be traced as a whole.
        self._variables = [weight.value for weight in weights]
        self._weights = lambda: weights
        self._logits = logits
        self.tokenizer = tokenizer
        self.labels = tuple(labels)
        self.max_length = max_length
        self.pairs = pairs
        self.segments = segments
        self.threshold = threshold
        self._frame = Frame(tokenizer)

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
        count = tf.shape(texts)[0]
        # An empty batch is read as one empty text and cut off again.
        missing = tf.fill([tf.maximum(1 - count, 0)], "")
        texts = tf.concat([texts, missing], axis=0)
        if text_pairs is not None:
            text_pairs = tf.concat([text_pairs, missing], axis=0)
        inputs, cut = self._inputs(texts, text_pairs)
        with self._constants.scope() if self._constants else contextlib.nullcontext():
            logits = tf.cast(self._logits(inputs), tf.float32)  # (B, L)
        several = self.threshold is not None
        probabilities = tf.sigmoid(logits) if several else tf.nn.softmax(logits)  # (B, L)
        scores, order = tf.math.top_k(probabilities, len(self.labels))  # (B, L)
        ranked = tf.gather(tf.constant(self.labels), order)  # (B, L)
        found = {
            "label": ranked[:, 0],
            "score": scores[:, 0],
            "probabilities": probabilities,
            "truncated": cut,
        }
        if several:
            found["labels"] = tf.where(scores >= self.threshold, ranked, "")
            found["label"] = found["labels"][:, 0]
        return {name: value[:count] for name, value in found.items()}

    def _inputs(self, texts: Any, text_pairs: Any) -> tuple[dict[str, Any], Any]:
        """The arrays that the network reads, and which texts were cut."""
        first, *second = (
            self.tokenizer.tokenize(tf.strings.unicode_transcode(each, "UTF-8", "UTF-8"))
            for each in (texts, *(() if text_pairs is None else (text_pairs,)))
        )
        ids, own, cut = self._frame.join(first, second[0] if second else None, self.max_length)
        mask = tf.sequence_mask(ids.row_lengths())  # (B, T)
        pad_id = getattr(self.tokenizer, "pad_id", None)
        pad_id = 0 if pad_id is None or pad_id < 0 else pad_id
        inputs = {"token_ids": ids.to_tensor(pad_id), "padding_mask": mask}
        if self.segments:
            places = tf.range(tf.shape(mask)[1])[None]  # (1, T)
            inputs["segment_ids"] = tf.cast(mask & (places >= own[:, None]), tf.int32)
        return inputs, cut

    def signatures(self) -> dict[str, Any]:
        """The functions a server offers, by signature name; every tensor has a batch dimension."""
        strings = [tf.TensorSpec([None], tf.string, name=name) for name in ("text", "text_pair")]

        @tf.function(input_signature=strings[:1], autograph=False)
        def of_texts(text: Any) -> dict[str, Any]:
            return self.classify(text)

        @tf.function(input_signature=strings, autograph=False)
        def of_pairs(text: Any, text_pair: Any) -> dict[str, Any]:
            return self.classify(text, text_pair)

        serving_default = of_pairs if self.pairs else of_texts
        if self._constants is not None:
            serving_default.get_concrete_function()
            held = self._constants.holds
            self._variables = [weight.value for weight in self._weights() if not held(weight)]
        return {"serving_default": serving_default}
