"""Texts, and pairs of texts, between the special tokens that encoders are trained with.

    a text    [CLS] a b c [SEP]             6 tokens at most: [CLS] a b c d [SEP]
    a pair    [CLS] a b [SEP] c d [SEP]     segments  0 0 0 0 1 1 1

A tokenizer without `cls` or `sep` has `bos` or `eos` stand there. Where the token that separates
also ends a text (RoBERTa's), two of them separate.
"""

from typing import Any

import tensorflow as tf


class Frame:
    """The special tokens around a text of a tokenizer.

    Args:
        tokenizer: any tokenizer of `tflm.tokenizers`.

    Attributes:
        start, middle, end: ids in front of a text, between two, and after the last.
        special_ids: all of them, each once.

    Raises:
        ValueError: the tokenizer has no token to put around a text.
    """

    def __init__(self, tokenizer: Any):
        ids = {role: _special_id(tokenizer, f"{role}_id") for role in ("cls", "bos", "sep", "eos")}
        start, end = (_first(ids, *roles) for roles in (("cls", "bos"), ("sep", "eos")))
        if not start + end:
            raise ValueError(
                "`tokenizer` must have one of cls, bos, sep and eos, so that no text is empty. "
                f"Received: {type(tokenizer).__name__} without"
            )
        self.start, self.end = start, end
        self.middle = end * (2 if ids["sep"] is not None and ids["sep"] == ids["eos"] else 1)
        self.special_ids = tuple(sorted({*start, *self.middle, *end}))

    def num_special(self, pair: bool) -> int:
        """How many tokens it adds to a text, or to a pair.

        Raises:
            ValueError: `pair`, and the tokenizer has no token that separates.
        """
        if pair and not self.middle:
            raise ValueError("`tokenizer` must have sep or eos to separate two texts.")
        return len(self.start) + len(self.end) + (len(self.middle) if pair else 0)

    def join(self, first: Any, second: Any, max_length: int) -> tuple[Any, Any, Any]:
        """Puts the special tokens around texts, and cuts those that are too long.

        Of a pair the longer text loses tokens first; every text loses its last ones.

        Args:
            first: ids of the texts, ragged `(B, None)`.
            second: of the texts that they are paired with; `None` where there are none.
            max_length: tokens kept, special ones included.

        Returns:
            Ids, ragged int32 `(B, None)`; of how many tokens the first segment is, int32 `(B,)`;
            which were cut, boolean `(B,)`.
        """
        room = max_length - self.num_special(second is not None)
        lengths = tf.cast(first.row_lengths(), tf.int32)  # (B,)
        others = tf.zeros_like(lengths)
        kept = tf.minimum(lengths, room)
        if second is not None:
            others = tf.cast(second.row_lengths(), tf.int32)  # (B,)
            kept = tf.minimum(lengths, tf.maximum(room - others, room - room // 2))
        parts = [*self._column(self.start, lengths), _cut(first, kept)]
        own = kept + len(self.start)
        if second is not None:
            parts += [*self._column(self.middle, lengths), _cut(second, room - kept)]
            own += len(self.middle)
        else:
            own += len(self.end)
        ids = tf.concat([*parts, *self._column(self.end, lengths)], axis=1)
        return ids, own, lengths + others > room

    def _column(self, ids: tuple[int, ...], like: Any) -> list[Any]:
        """The same ids in every row, `(B, n)`; nothing where there are none."""
        shape = tf.stack([tf.shape(like)[0], 1])
        return [tf.tile(tf.constant([ids], tf.int32), shape)] if ids else []


def _cut(ids: Any, lengths: Any) -> Any:
    """The first tokens of each row: ragged `(B, None)`, `(B,)` -> ragged `(B, None)`."""
    places = tf.ragged.range(tf.minimum(tf.cast(ids.row_lengths(), tf.int32), lengths))
    starts = tf.cast(ids.row_starts(), tf.int32)  # (B,)
    rows = tf.cast(places.value_rowids(), tf.int32)
    values = tf.cast(ids.flat_values, tf.int32)
    return places.with_flat_values(tf.gather(values, tf.gather(starts, rows) + places.flat_values))


def _special_id(tokenizer: Any, name: str) -> int | None:
    value = getattr(tokenizer, name, None)
    return None if value is None or value < 0 else int(value)


def _first(ids: dict[str, int | None], *roles: str) -> tuple[int, ...]:
    """The first of the roles that has an id, as a tuple of one; of none where none has."""
    found = (ids[role] for role in roles)
    return tuple([id_ for id_ in found if id_ is not None][:1])
