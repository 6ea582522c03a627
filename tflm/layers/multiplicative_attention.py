"""Attention that scores by products (Luong et al. 2015), and reading a memory by any scores.

`N` rows of queries, `T` queries of a row, `B` rows of memory, `S` memory length, `Q` query width,
`M` memory width. Row `r` of `N` looks at memory row `r // (N / B)`: the beams of a sentence share
its memory, which is never repeated.
"""

from typing import Any

import keras
from keras import ops

from tflm.layers.masks import attention_bias

SCORINGS = ("dot", "general")


def read_memory(scores: Any, value: Any, padding_mask: Any = None) -> Any:
    """The average of the memory that softmax makes of the scores.

    Args:
        scores: `(B, n, S)`, `n` queries of each row of memory.
        value: `(B, S, M)`.
        padding_mask: boolean `(B, S)`, False where the memory is padding.

    Returns:
        `(B, n, M)`.
    """
    if padding_mask is not None:
        real = ops.cast(padding_mask, "bool")[:, None, :]  # (B, 1, S)
        scores = scores + attention_bias(real, scores.dtype)
    # Keras warns of a softmax over a single key.
    weights = 0.0 * scores + 1.0 if scores.shape[-1] == 1 else ops.softmax(scores, axis=-1)
    return ops.matmul(weights, value)


class MultiplicativeAttention(keras.layers.Layer):
    """Scores `q . k` ("dot") or `q . W k` ("general") (Luong et al. 2015, equation 7).

    Args:
        query_dim: `Q`.
        memory_dim: `M`.
        scoring: "dot" or "general".

    Call arguments:
        query: `(N, T, Q)`.
        memory: what `project_memory` returned.
        padding_mask: boolean `(B, S)`, or `None`.

    Returns:
        `(N, T, M)`.

    Raises:
        ValueError: `scoring` is unknown, or "dot" is asked of unequal widths.
    """

    def __init__(self, query_dim: int, memory_dim: int, scoring: str = "general", **kwargs: Any):
        super().__init__(**kwargs)
        if scoring not in SCORINGS:
            raise ValueError(
                f"`scoring` must be one of {list(SCORINGS)}. Received: scoring={scoring!r}"
            )
        if scoring == "dot" and query_dim != memory_dim:
            raise ValueError(
                "`query_dim` must equal `memory_dim` where `scoring` is 'dot'. "
                f"Received: query_dim={query_dim}, memory_dim={memory_dim}"
            )
        self.query_dim = query_dim
        self.memory_dim = memory_dim
        self.scoring = scoring
        self.key = None
        if scoring == "general":
            self.key = keras.layers.Dense(
                query_dim, use_bias=False, dtype=self.dtype_policy, name="key"
            )

    def build(self, *_: Any) -> None:
        if self.key is not None:
            self.key.build((None, None, self.memory_dim))

    def project_memory(self, memory: Any) -> dict[str, Any]:
        """`(B, S, M)` -> `{"key": (B, S, Q), "value": (B, S, M)}`."""
        return {"key": memory if self.key is None else self.key(memory), "value": memory}

    def call(self, query: Any, memory: dict[str, Any], padding_mask: Any = None) -> Any:
        queries = ops.reshape(query, (ops.shape(memory["key"])[0], -1, self.query_dim))
        scores = ops.matmul(queries, ops.swapaxes(memory["key"], 1, 2))  # (B, n * T, S)
        context = read_memory(scores, memory["value"], padding_mask)  # (B, n * T, M)
        return ops.reshape(context, (*ops.shape(query)[:2], self.memory_dim))
