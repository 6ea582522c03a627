"""Scores of a text's labels, from an encoder's hidden states and from counts.

`B` texts, `T` length, `D` width, `L` labels.
"""

from typing import Any

import keras
from keras import ops

from tflm.layers.dropout import Dropout
from tflm.layers.ngram_counts import NgramCounts
from tflm.layers.pooling import POOLINGS


class ClassificationHead(keras.layers.Layer):
    """One vector for a text, dropout, and a dense layer; naive Bayes besides, where asked for.

    Two classifiers that err on different texts, one of counts and one that learned to discriminate,
    are better than either (Wang & Manning 2012, https://aclanthology.org/P12-2018, section 2.4).

    Args:
        hidden_dim: `D`.
        num_labels: `L`.
        pooling: "first", "mean", "max" or "attention", see `tflm.layers.pooling`.
        dropout: rate applied to the vector.
        naive_bayes: how much of `NgramCounts` is added to the logits, except in training.
        vocab_size: tokens of the vocabulary, for the counts.

    Call arguments:
        hidden: `(B, T, D)`.
        padding_mask: boolean `(B, T)`.
        pooled: `(B, D)`, the vector, where the encoder has made one; by default the head does.
        token_ids: integer `(B, T)`, for the counts.

    Returns:
        Logits `(B, L)`.

    Raises:
        ValueError: `pooling` is not a known one.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_labels: int,
        pooling: str = "first",
        dropout: float = 0.1,
        naive_bayes: float = 0.0,
        vocab_size: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if pooling not in POOLINGS:
            raise ValueError(
                f"`pooling` must be one of {sorted(POOLINGS)}. Received: pooling={pooling!r}"
            )
        self.hidden_dim = hidden_dim
        self.num_labels = num_labels
        self.dropout = dropout
        self.naive_bayes = naive_bayes
        policy = self.dtype_policy
        self.pooling = POOLINGS[pooling](hidden_dim, dtype=policy, name="pooling")
        self.drop = Dropout(dropout, dtype=policy)
        self.dense = keras.layers.Dense(num_labels, dtype=policy, name="dense")
        self.counts = None
        if naive_bayes:
            self.counts = NgramCounts(vocab_size, num_labels, dtype=policy, name="counts")

    def build(self, *_: Any) -> None:
        self.pooling.build((None, None, self.hidden_dim))
        self.dense.build((None, self.hidden_dim))
        if self.counts is not None:
            self.counts.build()
        self.built = True

    def call(
        self,
        hidden: Any,
        padding_mask: Any,
        pooled: Any = None,
        token_ids: Any = None,
        training: bool | None = None,
    ) -> Any:
        vector = self.pooling(hidden, padding_mask) if pooled is None else pooled  # (B, D)
        logits = self.dense(self.drop(vector, training=training))  # (B, L)
        # Counts know the labels of the texts that they are from: with them there, nothing would
        # be left to learn.
        if self.counts is None or training:
            return logits
        counted = self.naive_bayes * self.counts(token_ids, padding_mask)
        return logits + ops.cast(counted, logits.dtype)
