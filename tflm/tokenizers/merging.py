"""The merges of byte-pair encoding, for all words of a batch at once.

Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units", algorithm 1: in
a word, of all neighbours that were ever merged the pair learned first is merged, the leftmost one
if there are several, until no pair is left that was learned.

One pair of each word at a time would take as many turns as the longest word has merges. But a pair
may be merged ahead of its time if nothing can come between: if no pair learned before it can ever
take one of its halves away. Such a pair joins the left half to a token that ends in the byte which
stands before it, or the right half to one that begins with the byte behind it, and a table knows
the first learned of these. So a word takes about as many turns as merges are nested in it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tflm.tokenizers.rows import row_of_each

_NO_BYTE = 256  # beyond the ends of a word, where nothing can take a half away


class Merges(tf.Module):
    """Merges ids of neighbours in the order in which the pairs were learned.

    Args:
        pairs: Left and right id of each merge, the first learned first, (M, 2).
        merged: The id that each pair becomes, (M,).
        spelled: The bytes of each token, (V,); b"" for ids that are in no merge.
    """

    def __init__(
        self, pairs: Sequence[tuple[int, int]], merged: Sequence[int], spelled: Sequence[bytes]
    ):
        super().__init__(name="merges")
        self._vocab_size, self._count = len(spelled), len(merged)
        # A pair given twice counts where it stands last, as in Hugging Face `tokenizers`.
        rank_of = {pair: rank for rank, pair in enumerate(pairs)}
        first_bytes = [token[0] if token else _NO_BYTE for token in spelled]
        last_bytes = [token[-1] if token else _NO_BYTE for token in spelled]
        to_the_left: dict[int, int] = {}
        to_the_right: dict[int, int] = {}
        ranks: dict[int, int] = {}
        for (left, right), rank in sorted(rank_of.items(), key=lambda item: item[1]):
            ranks[left * self._vocab_size + right] = rank
            to_the_left.setdefault(right * (_NO_BYTE + 1) + last_bytes[left], rank)
            to_the_right.setdefault(left * (_NO_BYTE + 1) + first_bytes[right], rank)
        self._may_run_ahead = _is_ordered(pairs, merged, self._vocab_size)
        with tf.init_scope():
            self._ranks = self._table(ranks)
            self._to_the_left = self._table(to_the_left)
            self._to_the_right = self._table(to_the_right)
            self._merged = tf.constant([*merged, -1], tf.int64)  # (M + 1,)
            self._first_bytes = tf.constant(first_bytes, tf.int64)  # (V,)
            self._last_bytes = tf.constant(last_bytes, tf.int64)  # (V,)

    def _table(self, ranks: dict[int, int]) -> tf.lookup.StaticHashTable:
        keys = np.array([-1, *ranks], np.int64)  # -1 is no pair's, for a table must not be empty
        values = np.array([self._count, *ranks.values()], np.int64)
        return tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(keys, values), default_value=self._count
        )

    def apply(self, words: Any) -> Any:
        """Ids of words before and after all merges, ragged (W, None) int32 both."""
        ids, of_word = words.flat_values, row_of_each(words.row_splits)  # (N,), (N,)
        place = tf.range(tf.size(ids))  # (N,)
        num_words = words.nrows()
        state = (tf.fill([tf.size(ids)], -1), tf.cast(ids, tf.int64), place, of_word)
        result, *_ = tf.while_loop(
            lambda result, ids, place, of_word: tf.size(ids) > 0,
            lambda result, ids, place, of_word: self._turn(result, ids, place, of_word, num_words),
            state,
            shape_invariants=(tf.TensorShape([None]),) * 4,
            parallel_iterations=1,
        )  # (N,): each id where its first byte was, -1 elsewhere
        kept = result >= 0
        before = tf.concat([[0], tf.cumsum(tf.cast(kept, tf.int64))], 0)  # (N + 1,)
        ragged: Any = tf.RaggedTensor  # whose stubs lack its class methods
        return ragged.from_row_splits(
            tf.boolean_mask(result, kept), tf.gather(before, words.row_splits), validate=False
        )

    def _turn(self, result: Any, ids: Any, place: Any, of_word: Any, num_words: Any) -> Any:
        """One merge or more in each word; a word without one leaves its ids in `result`."""
        # (A,): whether a token has a right neighbour in its word, and the rank of the two
        joined = tf.concat([of_word[1:] == of_word[:-1], [False]], 0)
        following = tf.concat([ids[1:], [0]], 0)
        ranks = self._ranks.lookup(ids * self._vocab_size + following)
        ranks = tf.where(joined, ranks, self._count)
        # The first learned pair of each word, the leftmost if it stands there twice.
        size = tf.size(ids, tf.int64)
        order = ranks * size + tf.range(size)  # (A,)
        first = tf.math.unsorted_segment_min(order, of_word, num_words)  # (W,)
        first = tf.gather(first, of_word)  # (A,)
        going_on = first < self._count * size
        chosen = going_on & (order == first)
        if self._may_run_ahead:
            chosen |= self._undisputed(ids, following, joined, ranks)
        done = tf.where(tf.logical_not(going_on))  # (D, 1)
        result = tf.tensor_scatter_nd_update(
            result, tf.gather(place, done), tf.cast(tf.gather(ids, done[:, 0]), tf.int32)
        )
        ids = tf.where(chosen, tf.gather(self._merged, ranks), ids)
        taken = tf.concat([[False], chosen[:-1]], 0)  # the right half of a merge
        rest = tf.where(going_on & tf.logical_not(taken))[:, 0]
        return result, tf.gather(ids, rest), tf.gather(place, rest), tf.gather(of_word, rest)

    def _undisputed(self, ids: Any, following: Any, joined: Any, ranks: Any) -> Any:
        """Which pairs nothing learned before them can ever take a half of, (A,) bool."""
        edge = tf.constant([_NO_BYTE], tf.int64)
        last = tf.gather(self._last_bytes, ids)
        starts = tf.logical_not(tf.concat([[False], joined[:-1]], 0))
        before = tf.where(starts, edge, tf.concat([edge, last[:-1]], 0))  # (A,)
        behind = tf.where(joined, tf.gather(self._first_bytes, following), edge)  # (A,)
        own = ids * (_NO_BYTE + 1)
        left = self._to_the_left.lookup(own + before)  # (A,)
        right = self._to_the_right.lookup(own + behind)  # (A,)
        # What a pair's right half may be taken for is the concern of the pair one to the left.
        right = tf.concat([right[1:], [self._count]], 0)
        is_pair = ranks < self._count
        undisputed = is_pair & (ranks < left) & (ranks <= right)
        disputed_by_itself = is_pair & (ranks == left) & (ranks <= right)
        return tf.cond(
            tf.reduce_any(disputed_by_itself),
            lambda: _every_other(undisputed, disputed_by_itself),
            lambda: undisputed,
        )


def _every_other(chosen: Any, following: Any) -> Any:
    """`chosen` and, of those `following` in a row behind each, the second, fourth ...

    In "aaaa" any two neighbours are the same pair; the leftmost goes first, so what another one on
    its left could take is known from where the row starts.
    """
    index = tf.range(tf.size(chosen))
    number = tf.cumsum(tf.cast(~following, tf.int32))  # (A,), 0 before the first restart
    at = tf.concat([[0], tf.boolean_mask(index, ~following)], 0)
    start = tf.gather(at, number)  # (A,), the last that does not follow
    in_turn = (index - start) % 2 == 0
    return chosen | (following & in_turn & tf.gather(chosen, start) & (number > 0))


def _is_ordered(pairs: Sequence[tuple[int, int]], merged: Sequence[int], vocab_size: int) -> bool:
    """Whether every token is made before it is used, by all merges that make it."""
    used_first = np.full(vocab_size, len(merged))
    for rank in range(len(pairs) - 1, -1, -1):
        used_first[list(pairs[rank])] = rank
    return bool(np.all(used_first[list(merged)] > np.arange(len(merged))))
