"""What a reader notices about words before it understands them, in a graph.

Does the word stand in the other text too? Without pretrained vectors that is most of what a network
needs to find the sentence that answers a question (Chen et al. 2017, https://arxiv.org/abs/1704.00051,
section 3.2: "exact match"). And how is it written, where the vocabulary knows no capitals?
"""

from typing import Any

import tensorflow as tf

from tflm.tokenizers.rows import row_of_each
from tflm.tokenizers.word_offsets import Words

# "exact": the other text has the same word; "lower": in whatever case; "stem": one that begins with
# the same letters; "pair": it and the word beside it stand side by side there too. "capital": it
# begins with a capital; "digit": it has a digit.
FEATURES = ("exact", "lower", "stem", "pair", "capital", "digit")

_STEM = 5  # characters
_BUCKETS = 2**62  # so many that two different words share none


def word_features(questions: Words, contexts: Words, most: int) -> tuple[Any, Any]:
    """The features of the words of some questions and of the contexts that belong to them.

    Args:
        questions: The words of B questions.
        contexts: The words of B contexts.
        most: Words of a question that are looked for, the first ones.

    Returns:
        Boolean `(W, F)` for the questions' words and for the contexts' words, in the order of
        `FEATURES`.
    """
    written = [_written(side.words) for side in (questions, contexts)]
    found = [
        _matches(questions, contexts, ours, theirs, most)
        for ours, theirs in zip(_keys(questions), _keys(contexts), strict=True)
    ]
    pairs = found.pop()
    # A pair is found where it begins; both of its words get the feature.
    found.append(
        tuple(
            pair | _behind(side, pair)
            for side, pair in zip((questions, contexts), pairs, strict=True)
        )
    )
    return tuple(
        tf.stack([*(match[side] for match in found), *written[side]], axis=1)  # (W, F)
        for side in (0, 1)
    )


def _keys(side: Words) -> tuple[Any, ...]:
    """Numbers of what is compared: words, in lower case, stems, pairs of them; `(W,)` each."""
    lower = tf.strings.lower(side.words, encoding="utf-8")
    rows = row_of_each(side.row_splits)
    following = tf.concat([lower[1:], [""]], axis=0)[: tf.size(lower)]
    is_last = tf.concat([rows[1:], [-1]], axis=0)[: tf.size(lower)] != rows
    pair = tf.strings.join([lower, tf.where(is_last, "", following)], separator=" ")
    stem = tf.strings.substr(lower, 0, _STEM, unit="UTF8_CHAR")
    texts = (side.words, lower, stem, tf.where(is_last, "", pair))
    return tuple(tf.strings.to_hash_bucket_fast(text, _BUCKETS) for text in texts)


def _matches(questions: Words, contexts: Words, ours: Any, theirs: Any, most: int) -> tuple:
    """Which words of the questions their contexts have, and the other way about, boolean `(W,)`."""
    starts, ends = questions.row_splits[:-1], questions.row_splits[1:]
    starts, sizes = tf.cast(starts, tf.int32), tf.cast(ends - starts, tf.int32)  # (B,)
    width = tf.maximum(tf.minimum(tf.reduce_max(sizes), most), 0)
    places = tf.range(width)[None]  # (1, Q)
    there = places < sizes[:, None]  # (B, Q)
    padded = tf.concat([ours, tf.zeros([1], tf.int64)], axis=0)
    index = tf.where(there, starts[:, None] + places, tf.size(ours))
    wanted = tf.where(there, tf.gather(padded, index), -1)  # (B, Q)
    rows = row_of_each(contexts.row_splits)  # (W,)
    empty = tf.strings.to_hash_bucket_fast("", _BUCKETS)  # of a pair that is none
    equal = (tf.gather(wanted, rows) == theirs[:, None]) & (theirs != empty)[:, None]  # (W, Q)
    hits = tf.math.unsorted_segment_max(tf.cast(equal, tf.int32), rows, tf.size(sizes))  # (B, Q)
    # Words behind the first `most` are never found.
    question_rows = row_of_each(questions.row_splits)  # (W,)
    within = tf.range(tf.size(question_rows)) - tf.gather(starts, question_rows)
    known = within < width
    at = tf.stack([question_rows, tf.where(known, within, 0)], axis=1)
    hits = tf.pad(hits, [[0, 0], [0, 1]])  # a column, so that there is one
    return known & (tf.gather_nd(hits, at) > 0), tf.reduce_any(equal, axis=1)


def _behind(side: Words, flags: Any) -> Any:
    """The flag of each word's left neighbour in its text."""
    rows = row_of_each(side.row_splits)
    flags = tf.concat([[False], flags], axis=0)[: tf.size(rows)]
    return flags & (tf.concat([[-1], rows], axis=0)[: tf.size(rows)] == rows)


def _written(words: Any) -> tuple[Any, Any]:
    """Which words begin with a capital, and which have a digit."""
    first = tf.strings.substr(words, 0, 1, unit="UTF8_CHAR")
    capital = tf.strings.lower(first, encoding="utf-8") != first
    return capital, tf.strings.regex_full_match(words, r"(?s).*\p{N}.*")
