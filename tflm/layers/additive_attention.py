"""Attention that scores by a small network (Bahdanau et al. 2015, section 3.1 and appendix A.1.2).

`N` rows of queries, `T` queries of a row, `B` rows of memory, `S` memory length, `Q` query width,
`M` memory width, `A` width of the network. Row `r` of `N` looks at memory row `r // (N / B)`.
"""

from typing import Any

import keras
from keras import ops

from tflm.layers.multiplicative_attention import read_memory


class AdditiveAttention(keras.layers.Layer):
    """Scores `v . tanh(W q + U k)`; the memory's part `U k` is computed once.

    Args:
        query_dim: `Q`.
        memory_dim: `M`.
        units: `A`.

    Call arguments:
        query: `(N, T, Q)`.
        memory: what `project_memory` returned.
        padding_mask: boolean `(B, S)`, or `None`.

    Returns:
        `(N, T, M)`.
    """

    def __init__(self, query_dim: int, memory_dim: int, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.query_dim = query_dim
        self.memory_dim = memory_dim
        self.units = units
        policy = self.dtype_policy
        self.query = keras.layers.Dense(units, use_bias=False, dtype=policy, name="query")
        self.key = keras.layers.Dense(units, use_bias=False, dtype=policy, name="key")
        self.score = keras.layers.Dense(1, use_bias=False, dtype=policy, name="score")

    def build(self, *_: Any) -> None:
        self.query.build((None, None, self.query_dim))
        self.key.build((None, None, self.memory_dim))
        self.score.build((None, self.units))

    def project_memory(self, memory: Any) -> dict[str, Any]:
        """`(B, S, M)` -> `{"key": (B, S, A), "value": (B, S, M)}`."""
        return {"key": self.key(memory), "value": memory}

    def call(self, query: Any, memory: dict[str, Any], padding_mask: Any = None) -> Any:
        rows, length = ops.shape(memory["key"])[:2]
        queries = ops.reshape(self.query(query), (rows, -1, 1, self.units))  # (B, n * T, 1, A)
        hidden = ops.tanh(queries + memory["key"][:, None])  # (B, n * T, S, A)
        scores = ops.reshape(self.score(ops.reshape(hidden, (-1, self.units))), (rows, -1, length))
        context = read_memory(scores, memory["value"], padding_mask)  # (B, n * T, M)
        return ops.reshape(context, (*ops.shape(query)[:2], self.memory_dim))
