"""Attention masks as pure functions. A mask is boolean and True means attend.

Shapes: `B` batch, `T` query length, `S` key length. A mask handed to attention broadcasts to
`(B, H, T, S)`.
"""

from typing import Any

import keras
from keras import ops

# Large enough that a hidden key's weight underflows to 0 after softmax, and finite, so that a row
# whose keys are all hidden gives a uniform average instead of NaN.
_HIDDEN = {"float16": -3e4}


def causal_mask(num_queries: Any, index: Any = 0, window: int | None = None) -> Any:
    """Lets the query at position `index + t` see the keys at positions `0 … index + t`.

    Args:
        num_queries: `T`, integer or scalar tensor.
        index: number of key positions before the first query (those held in a cache).
        window: only the last `window` of these keys, the query's own included; or `None`.

    Returns:
        Boolean `(1, 1, T, index + T)`.
    """
    queries = (index + ops.arange(num_queries))[:, None]  # (T, 1)
    keys = ops.arange(index + num_queries)[None]  # (1, S)
    mask = keys <= queries  # (T, S)
    if window is not None:
        mask = ops.logical_and(mask, keys > queries - window)
    return mask[None, None]  # (1, 1, T, S)


def left_padding_mask(left_padding: Any, num_keys: Any) -> Any:
    """Hides the first `left_padding` keys of each row: int `(B,)` -> boolean `(B, 1, 1, S)`."""
    return (ops.arange(num_keys)[None] >= left_padding[:, None])[:, None, None, :]


def segment_mask(segment_ids: Any) -> Any:
    """Lets tokens see their own segment only: int `(B, T)` -> boolean `(B, 1, T, T)`."""
    return (segment_ids[:, :, None] == segment_ids[:, None, :])[:, None]


def key_padding_mask(padding_mask: Any) -> Any:
    """Hides padded keys from every query: `(B, S)` -> `(B, 1, 1, S)`."""
    return ops.cast(padding_mask, "bool")[:, None, None, :]  # (B, 1, 1, S)


def combine_masks(*masks: Any) -> Any:
    """Attend where every mask says so; `None` stands for "attend everywhere".

    Returns:
        The broadcast conjunction, or `None` when every mask is `None`.
    """
    given = [mask for mask in masks if mask is not None]
    if not given:
        return None
    combined = given[0]
    for mask in given[1:]:
        combined = ops.logical_and(combined, mask)
    return combined


def attention_bias(attention_mask: Any, dtype: str) -> Any:
    """Turns a mask into what is added to the scores: 0 where True, a large negative where False.

    Adding a small broadcast tensor costs a fraction of selecting over all scores, and the graph
    optimiser computes it once however many layers ask for it.
    """
    hidden = _HIDDEN.get(keras.backend.standardize_dtype(dtype), -1e9)
    return ops.cast(ops.logical_not(attention_mask), dtype) * ops.cast(hidden, dtype)
