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


def causal_mask(num_queries: Any, index: Any = 0) -> Any:
    """Lets the query at position `index + t` see the keys at positions `0 … index + t`.

    Args:
        num_queries: `T`, integer or scalar tensor.
        index: number of key positions before the first query (those held in a cache).

    Returns:
        Boolean `(1, 1, T, index + T)`.
    """
    queries = index + ops.arange(num_queries)  # (T,)
    keys = ops.arange(index + num_queries)  # (S,)
    return (keys[None, :] <= queries[:, None])[None, None]  # (1, 1, T, S)


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
