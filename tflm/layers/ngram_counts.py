"""What naive Bayes knows of a text's labels: how often its n-grams stood under each.

Where there are some thousand texts, counts are as good a classifier as a network, and wrong about
other texts (Wang & Manning 2012, https://aclanthology.org/P12-2018, tables 2 and 3).

`B` texts, `T` length, `L` labels, `N` rows of the table: tokens, then buckets.
"""

import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

# The product of the primes, and of one with the multiplier, is below 2**31: no backend overflows,
# and all give an n-gram the same bucket.
_PRIMES = (32749, 32719)
_MULTIPLIER = 31337
_MOST_NUMBERS = 2**21  # in the buckets: 8 MB


class NgramCounts(keras.layers.Layer):
    """The mean of the naive Bayes log-count ratios of a text's tokens and pairs of tokens.

    The ratios are counted (`adapt`), not learned. Pairs share buckets by a hash, as in fastText
    (Joulin et al. 2017, https://arxiv.org/abs/1607.01759).

    Args:
        vocab_size: tokens of the vocabulary.
        num_labels: `L`.
        max_width: tokens of the longest n-grams.

    Call arguments:
        token_ids: integer `(B, T)`.
        padding_mask: boolean `(B, T)`.

    Returns:
        float32 `(B, L)`: above 0 where a text's n-grams were more often found under the label than
        under others; a text without a token is zeros.
    """

    def __init__(self, vocab_size: int, num_labels: int, max_width: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.vocab_size = vocab_size
        self.num_labels = num_labels
        self.max_width = max_width
        self.num_buckets = 2 ** int(math.log2(_MOST_NUMBERS / num_labels))

    def build(self, *_: Any) -> None:
        self.ratios = self.add_weight(
            shape=(self.vocab_size + self.num_buckets, self.num_labels),
            initializer="zeros",
            dtype="float32",
            autocast=False,
            trainable=False,
            name="ratios",
        )
        self.built = True

    def ngrams(self, token_ids: Any, padding_mask: Any) -> list[tuple[Any, Any]]:
        """The n-gram of each width that ends with each token.

        Returns:
            For each width the n-gram's row of the table, int32 `(B, T)`, and where there is one,
            boolean `(B, T)`.
        """
        ids, real = ops.cast(token_ids, "int32"), ops.cast(padding_mask, "bool")
        found = [(ids, real)]
        keys, whole = [ids % prime for prime in _PRIMES], real
        for _ in range(self.max_width - 1):
            keys = [
                (_moved_on(key) * _MULTIPLIER + ids) % prime
                for key, prime in zip(keys, _PRIMES, strict=True)
            ]
            whole = ops.logical_and(_moved_on(whole), real)
            bucket = (keys[0] * _PRIMES[1] + keys[1]) % self.num_buckets
            found.append((self.vocab_size + bucket, whole))
        return found

    def adapt(self, batches: Iterable[Any]) -> None:
        """Counts labelled texts; what was counted before is forgotten.

            log (p / |p|) / (q / |q|)      p = 1 + texts with the label that have the n-gram
                                           q = 1 + texts without the label that have it

        Wang & Manning 2012, section 2.1; |.| is the sum over the n-grams that there are. The
        others count for nothing.

        Args:
            batches: `(inputs, labels, ...)`: `token_ids` and `padding_mask` of texts, and their
                labels by number `(B,)`, or 0 and 1 for each `(B, L)`.
        """
        counts = np.zeros((self.vocab_size + self.num_buckets, self.num_labels))
        texts_with = np.zeros(len(counts))
        for inputs, labels, *_ in batches:
            labels = np.asarray(labels)
            labels = np.eye(self.num_labels)[labels] if labels.ndim == 1 else labels  # (B, L)
            for ngrams in self.ngrams(inputs["token_ids"], inputs["padding_mask"]):
                row, ngram = _once_a_text(*map(ops.convert_to_numpy, ngrams))
                np.add.at(counts, ngram, labels[row])
                np.add.at(texts_with, ngram, 1)
        seen = texts_with > 0
        inside = 1 + counts[seen]
        outside = 1 + texts_with[seen, None] - counts[seen]
        ratios = np.zeros(counts.shape)
        ratios[seen] = np.log((inside / inside.sum(axis=0)) / (outside / outside.sum(axis=0)))
        self.ratios.assign(ratios)

    def call(self, token_ids: Any, padding_mask: Any) -> Any:
        total: Any = 0.0
        for ngram, there in self.ngrams(token_ids, padding_mask):
            ratios = ops.take(self.ratios, ngram, axis=0)  # (B, T, L)
            total = total + ops.sum(ratios * ops.cast(there, "float32")[..., None], axis=1)
        length = ops.sum(ops.cast(padding_mask, "float32"), axis=1, keepdims=True)  # (B, 1)
        return total / ops.maximum(length, 1.0)


def _moved_on(x: Any) -> Any:
    """`(B, T)`: what stood one to the left; zero at the first place."""
    return ops.pad(x[:, :-1], ((0, 0), (1, 0)))


def _once_a_text(ngrams: Any, there: Any) -> tuple[Any, Any]:
    """The row and the n-gram of those that there are, `(B, T)` each, once where a row has more."""
    rows = np.broadcast_to(np.arange(len(ngrams))[:, None], ngrams.shape)
    row, ngram = np.unique(np.stack([rows[there], ngrams[there]]), axis=1)
    return row, ngram
