"""Ids of special tokens, and texts as rows of ids between them."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def special_ids(tokenizer: Any, names: Sequence[str | int]) -> tuple[int, ...]:
    """The ids of special tokens: `("pad", 7)` -> `(tokenizer.pad_id, 7)`.

    Raises:
        ValueError: the tokenizer lacks one.
    """
    ids = tuple(
        name if isinstance(name, int) else getattr(tokenizer, f"{name}_id") for name in names
    )
    for name, number in zip(names, ids, strict=True):
        if number is None or number < 0:
            raise ValueError(
                f"`tokenizer` must have the special token {name!r}, which the model wants. "
                f"Received: {type(tokenizer).__name__} with {name}_id={number}"
            )
    return ids


def encode_texts(
    tokenizer: Any,
    texts: Any,
    max_length: int,
    start_ids: Sequence[int] = (),
    end_ids: Sequence[int] | None = None,
) -> tuple[Any, Any, Any]:
    """Strings `(B,)` -> token ids with what ends them, their mask, and which texts were cut.

    Args:
        tokenizer: a tokenizer.
        texts: strings `(B,)`; bytes that are not UTF-8 become U+FFFD.
        max_length: tokens kept of a text, special tokens included.
        start_ids: special tokens in front of each text.
        end_ids: those behind it; the tokenizer's end token by default.

    Returns:
        int32 `(B, S)`, boolean `(B, S)`, boolean `(B,)`.
    """
    ids = tokenizer.tokenize(tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8"))
    end_ids = (tokenizer.eos_id,) if end_ids is None else end_ids
    room = max_length - len(start_ids) - len(end_ids)
    cut = ids.row_lengths() > room  # (B,)
    count = tf.shape(texts)[0]
    start, end = ([repeated(each, count)] if each else [] for each in (start_ids, end_ids))
    ids = tf.concat([*start, ids[:, :room], *end], axis=1)
    padding_mask = tf.sequence_mask(ids.row_lengths())  # (B, S)
    return ids.to_tensor(padding_id(tokenizer)), padding_mask, cut


def padding_id(tokenizer: Any) -> int:
    """What fills rows: the padding token, or the end token where there is none."""
    pad_id = tokenizer.pad_id
    return tokenizer.eos_id if pad_id is None or pad_id < 0 else pad_id


def repeated(ids: Sequence[int], rows: Any) -> Any:
    """The same ids in every row, int32 `(rows, len(ids))`."""
    return tf.tile(tf.constant(ids, tf.int32)[None], tf.stack([rows, 1]))
