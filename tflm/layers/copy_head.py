"""Writing a word of the vocabulary or copying one of the source (See et al. 2017).

https://arxiv.org/abs/1704.04368. `N` rows of targets, `T` tokens of a row, `B` sources, `S` source
length, `D` model width, `V` vocabulary. Row `r` of `N` copies from source `r // (N / B)`.
"""

from typing import Any

import keras
from keras import ops

from tflm.layers.masks import attention_bias

# Below every probability that matters, and above 0 in float32, whose logarithm is finite.
_TINY = 1e-20


class CopyHead(keras.layers.Layer):
    """Mixes the vocabulary's distribution with one over the source's tokens (equation 9).

    `P(w) = p_gen P_vocab(w) + (1 - p_gen) sum of a_s over the places s where w stands`. Source and
    target share one vocabulary of subwords, so no word is outside of it and no ids are made up for
    one source, as the paper's are. Attention is a product of the decoder's output with the memory,
    `p_gen` a sigmoid of both (equation 8, without the decoder's input, which a Transformer's output
    holds).

    Args:
        hidden_dim: `D`.

    Call arguments:
        x: what the decoder gives, `(N, T, D)`.
        logits: `(N, T, V)`.
        memory: what `project_memory` returned.
        token_ids: the source's, integer `(B, S)`.
        padding_mask: boolean `(B, S)`.

    Returns:
        Log-probabilities `(N, T, V)`, and the attention `(N, T, S)`; both in the compute dtype.
    """

    def __init__(self, hidden_dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        policy = self.dtype_policy
        self.query = keras.layers.Dense(hidden_dim, use_bias=False, dtype=policy, name="query")
        self.key = keras.layers.Dense(hidden_dim, use_bias=False, dtype=policy, name="key")
        self.gate = keras.layers.Dense(1, dtype=policy, name="gate")

    def build(self, *_: Any) -> None:
        self.query.build((None, None, self.hidden_dim))
        self.key.build((None, None, self.hidden_dim))
        self.gate.build((None, None, 2 * self.hidden_dim))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "hidden_dim": self.hidden_dim}

    def project_memory(self, memory: Any) -> dict[str, Any]:
        """`(B, S, D)` -> `{"key": (B, S, D), "value": (B, S, D)}`."""
        return {"key": self.key(memory), "value": memory}

    def call(
        self, x: Any, logits: Any, memory: dict[str, Any], token_ids: Any, padding_mask: Any
    ) -> tuple[Any, Any]:
        sources, length = ops.shape(token_ids)
        query = ops.reshape(self.query(x), (sources, -1, self.hidden_dim))  # (B, n * T, D)
        scores = ops.matmul(query, ops.swapaxes(memory["key"], 1, 2)) * self.hidden_dim**-0.5
        scores = ops.cast(scores, "float32")
        real = ops.cast(padding_mask, "bool")[:, None, :]  # (B, 1, S)
        attention = _softmax(scores + attention_bias(real, "float32"))  # (B, n * T, S)
        context = ops.matmul(ops.cast(attention, self.compute_dtype), memory["value"])
        rows, steps = ops.shape(x)[:2]
        context = ops.reshape(context, (rows, steps, self.hidden_dim))
        gate = self.gate(ops.concatenate([x, context], axis=-1))  # (N, T, 1)
        gate = ops.sigmoid(ops.cast(gate, "float32"))
        size = logits.shape[-1]
        copied = ops.reshape(copy_distribution(attention, token_ids, size), (rows, steps, size))
        written = ops.softmax(ops.cast(logits, "float32"), axis=-1)
        mixed = gate * written + (1.0 - gate) * copied  # (N, T, V)
        attention = ops.reshape(attention, (rows, steps, length))
        return (
            ops.cast(ops.log(ops.maximum(mixed, _TINY)), self.compute_dtype),
            ops.cast(attention, self.compute_dtype),
        )


def copy_distribution(attention: Any, token_ids: Any, vocab_size: int) -> Any:
    """Sums attention on the same token: `(B, Q, S)` and integer `(B, S)` -> `(B, Q, V)`."""
    sources, queries, length = ops.shape(attention)
    cells = ops.reshape(ops.arange(sources * queries), (sources, queries, 1)) * vocab_size
    cells = cells + ops.cast(token_ids, cells.dtype)[:, None, :]  # (B, Q, S)
    summed = ops.segment_sum(
        ops.reshape(attention, (-1,)),
        ops.reshape(cells, (-1,)),
        num_segments=sources * queries * vocab_size,
    )
    return ops.reshape(summed, (sources, queries, vocab_size))


def overlap(attention: Any, covered: Any) -> tuple[Any, Any]:
    """What is attended to again, the coverage loss of equation 12, token by token.

    Args:
        attention: `(N, T, S)`.
        covered: sum of the attention before, `(N, S)`.

    Returns:
        `(N, T)`, the sum over the source of the smaller of attention and coverage; and the coverage
        after the last token `(N, S)`.
    """
    after = ops.cumsum(attention, axis=1) + covered[:, None]  # (N, T, S)
    before = after - attention
    return ops.sum(ops.minimum(attention, before), axis=-1), after[:, -1]


def _softmax(scores: Any) -> Any:
    # Keras warns of a softmax over a single key.
    return 0.0 * scores + 1.0 if scores.shape[-1] == 1 else ops.softmax(scores, axis=-1)
