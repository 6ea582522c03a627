"""Multi-head attention (Vaswani et al. 2017, section 3.2): self, cross and cached, one path.

`B` batch, `T` query length, `S` key length, `D` model width, `H` heads, `K` head width, `N` rows
of queries. Keys and values are kept as `(B, H, S, K)`, so a decoding step multiplies a cache as it
lies in memory and appends along `S`.
"""

from typing import Any

import keras
from keras import ops

from tflm.layers.masks import attention_bias


def attend(query: Any, key: Any, value: Any, attention_mask: Any = None, drop: Any = None) -> Any:
    """Scaled dot-product attention (equation 1 of the paper).

    Args:
        query: `(B, H, T, K)`.
        key: `(B, H, S, K)`.
        value: `(B, H, S, K)`.
        attention_mask: boolean, broadcasts to `(B, H, T, S)`, True means attend; or `None`.
        drop: function applied to the weights (dropout), or `None`.

    Returns:
        `(B, H, T, K)`.
    """
    query = query * (query.shape[-1] ** -0.5)
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))  # (B, H, T, S)
    if attention_mask is not None:
        scores = scores + attention_bias(attention_mask, scores.dtype)
    # Keras warns of a softmax over a single key, which the first step of decoding is about.
    weights = 0.0 * scores + 1.0 if scores.shape[-1] == 1 else ops.softmax(scores, axis=-1)
    if drop is not None:
        weights = drop(weights)
    return ops.matmul(weights, value)  # (B, H, T, K)


class _Attention(keras.layers.Layer):
    """What self- and cross-attention share: sizes, output projection, dropout of the weights."""

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if hidden_dim % num_heads:
            raise ValueError(
                "`hidden_dim` must be a multiple of `num_heads`. "
                f"Received: hidden_dim={hidden_dim}, num_heads={num_heads}"
            )
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.head_dim = hidden_dim // num_heads
        self.drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy) if dropout else None
        self.out = self._dense(hidden_dim, use_bias, "out")

    def _dense(self, units: int, use_bias: bool, name: str) -> keras.layers.Dense:
        return keras.layers.Dense(units, use_bias=use_bias, dtype=self.dtype_policy, name=name)

    def _heads(self, x: Any, parts: int, batch_size: Any) -> list[Any]:
        """`(B * T, parts * D)` -> `parts` tensors `(B, H, T, K)`."""
        x = ops.reshape(x, (batch_size, -1, parts, self.num_heads, self.head_dim))
        x = ops.transpose(x, (2, 0, 3, 1, 4))  # (parts, B, H, T, K)
        return ops.unstack(x, parts, axis=0)

    def _project_out(self, context: Any, like: Any) -> Any:
        """`(B, H, T, K)` -> the shape of `like`, `(N, T, D)`."""
        x = ops.transpose(context, (0, 2, 1, 3))  # (B, T, H, K)
        x = self.out(ops.reshape(x, (-1, self.hidden_dim)))  # (N * T, D)
        return ops.reshape(x, ops.shape(like))  # (N, T, D)

    def _dropout(self, training: bool | None) -> Any:
        drop = self.drop
        if drop is None:
            return None
        return lambda weights: drop(weights, training=training)


class SelfAttention(_Attention):
    """Attention of a sequence to itself and to the keys and values cached before it.

    Args:
        hidden_dim: `D`, a multiple of `num_heads`.
        num_heads: `H`.
        dropout: rate applied to the attention weights.
        use_bias: whether the projections have biases.

    Call arguments:
        x: `(B, T, D)`.
        attention_mask: boolean, broadcasts to `(B, H, T, S)` with `S = T` plus what is cached.
        cache: `{"key", "value"}`, each `(B, H, t, K)`, or `None`.

    Returns:
        `(B, T, D)`, and the cache grown by the `T` new keys and values, `(B, H, t + T, K)`.

    Raises:
        ValueError: `hidden_dim` is not a multiple of `num_heads`.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        **kwargs: Any,
    ):
        super().__init__(hidden_dim, num_heads, dropout, use_bias, **kwargs)
        # One product for the three projections: small widths are bound by calls, not by FLOPs.
        self.query_key_value = self._dense(3 * hidden_dim, use_bias, "query_key_value")

    def build(self, input_shape: Any) -> None:
        self.query_key_value.build((None, self.hidden_dim))
        self.out.build((None, self.hidden_dim))

    def call(
        self,
        x: Any,
        attention_mask: Any = None,
        cache: dict[str, Any] | None = None,
        training: bool | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        flat = ops.reshape(x, (-1, self.hidden_dim))  # (B * T, D)
        query, key, value = self._heads(self.query_key_value(flat), 3, ops.shape(x)[0])
        if cache is not None:
            key = ops.concatenate([cache["key"], key], axis=2)  # (B, H, t + T, K)
            value = ops.concatenate([cache["value"], value], axis=2)
        context = attend(query, key, value, attention_mask, self._dropout(training))
        return self._project_out(context, x), {"key": key, "value": value}

    def empty_cache(self, batch_size: Any) -> dict[str, Any]:
        """Keys and values of no position yet, each `(B, H, 0, K)`."""
        empty = ops.zeros((batch_size, self.num_heads, 0, self.head_dim), self.compute_dtype)
        return {"key": empty, "value": empty}


class CrossAttention(_Attention):
    """Attention of a target sequence to a memory whose keys and values are projected once.

    Several rows of queries may share one row of memory: with `N = n * B` rows, row `r` looks at
    memory row `r // n`. The beams of a sentence are such rows, so memory is never repeated.

    Args:
        hidden_dim: `D`, a multiple of `num_heads`.
        num_heads: `H`.
        dropout: rate applied to the attention weights.
        use_bias: whether the projections have biases.

    Call arguments:
        x: `(N, T, D)`.
        memory: what `project_memory` returned.
        attention_mask: boolean, broadcasts to `(B, H, 1, S)`: the same for every query of a row.

    Returns:
        `(N, T, D)`.

    Raises:
        ValueError: `hidden_dim` is not a multiple of `num_heads`.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        **kwargs: Any,
    ):
        super().__init__(hidden_dim, num_heads, dropout, use_bias, **kwargs)
        self.query = self._dense(hidden_dim, use_bias, "query")
        self.key_value = self._dense(2 * hidden_dim, use_bias, "key_value")

    def build(self, *_: Any) -> None:
        for projection in (self.query, self.key_value, self.out):
            projection.build((None, self.hidden_dim))

    def project_memory(self, memory: Any) -> dict[str, Any]:
        """`(B, S, D)` -> `{"key", "value"}`, each `(B, H, S, K)`."""
        flat = ops.reshape(memory, (-1, self.hidden_dim))  # (B * S, D)
        key, value = self._heads(self.key_value(flat), 2, ops.shape(memory)[0])
        return {"key": key, "value": value}

    def call(
        self,
        x: Any,
        memory: dict[str, Any],
        attention_mask: Any = None,
        training: bool | None = None,
    ) -> Any:
        flat = ops.reshape(x, (-1, self.hidden_dim))  # (N * T, D)
        rows = ops.shape(memory["key"])[0]
        (query,) = self._heads(self.query(flat), 1, rows)  # (B, H, n * T, K)
        context = attend(
            query, memory["key"], memory["value"], attention_mask, self._dropout(training)
        )
        return self._project_out(context, x)
