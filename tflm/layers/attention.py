"""Multi-head attention (Vaswani et al. 2017, section 3.2): self, cross and cached, one path.

`B` batch, `T` query length, `S` key length, `D` model width, `H` heads, `G` heads of keys and
values, `K` head width, `N` rows of queries. Keys and values are kept as `(B, G, S, K)`, so a
decoding step multiplies a cache as it lies in memory and appends along `S`.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tflm.layers.dropout import Dropout
from tflm.layers.masks import attention_bias
from tflm.layers.normalization import RMSNormalization
from tflm.layers.positions import rotate
from tflm.layers.shapes import unflatten


def attend(
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any = None,
    *,
    bias: Any = None,
    scale: float | None = None,
    drop: Callable[[Any], Any] | None = None,
) -> Any:
    """Scaled dot-product attention (equation 1 of the paper).

    Several heads of queries may share a head of keys and values (Ainslie et al. 2023, grouped-query
    attention): query head `h` uses key head `h // (H / G)`.

    Args:
        query: `(B, H, T, K)`.
        key: `(B, G, S, K)`, `H` a multiple of `G`.
        value: `(B, G, S, K)`.
        attention_mask: boolean, broadcasts to `(B, H, T, S)`, True means attend; or `None`.
        bias: added to the scaled scores, broadcasts to `(B, H, T, S)`; or `None`.
        scale: what scores are multiplied by, `1 / sqrt(K)` by default.
        drop: function applied to the weights (dropout), or `None`.

    Returns:
        `(B, H, T, K)`.
    """
    heads, groups, width = query.shape[1], key.shape[1], query.shape[-1]
    scale = width**-0.5 if scale is None else scale
    query = query * scale if scale != 1.0 else query
    shape = ops.shape(query)
    if groups != heads:  # the queries of a group are rows of one product
        query = ops.reshape(query, (shape[0], groups, -1, width))
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))  # (B, G, H / G * T, S)
    if groups != heads:
        scores = ops.reshape(scores, (*shape[:3], ops.shape(key)[2]))  # (B, H, T, S)
    if bias is not None:
        scores = scores + ops.cast(bias, scores.dtype)
    if attention_mask is not None:
        scores = scores + attention_bias(attention_mask, scores.dtype)
    # Keras warns of a softmax over a single key, which the first step of decoding is about.
    weights = 0.0 * scores + 1.0 if scores.shape[-1] == 1 else ops.softmax(scores, axis=-1)
    if drop is not None:
        weights = drop(weights)
    if groups != heads:
        weights = ops.reshape(weights, (shape[0], groups, -1, ops.shape(key)[2]))
        return ops.reshape(ops.matmul(weights, value), shape)  # (B, H, T, K)
    return ops.matmul(weights, value)


class _Attention(keras.layers.Layer):
    """What self- and cross-attention share: sizes, projections, dropout of the weights."""

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        head_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        scale: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if head_dim is None and hidden_dim % num_heads:
            raise ValueError(
                "`hidden_dim` must be a multiple of `num_heads`. "
                f"Received: hidden_dim={hidden_dim}, num_heads={num_heads}"
            )
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.head_dim = hidden_dim // num_heads if head_dim is None else head_dim
        self.scale = scale
        self.drop = Dropout(dropout, dtype=self.dtype_policy) if dropout else None
        self.out = self._dense(hidden_dim, use_bias, "out")

    def _dense(self, units: int, use_bias: bool, name: str) -> keras.layers.Dense:
        return keras.layers.Dense(units, use_bias=use_bias, dtype=self.dtype_policy, name=name)

    def _heads(self, x: Any, batch_size: Any, length: int | None) -> Any:
        """`(B * T, h * K)` -> `(B, h, T, K)`; `length` is `T` where the graph knows it."""
        heads = x.shape[-1] // self.head_dim
        if length == 1:  # a decoding step: nothing to move
            return ops.reshape(x, (-1, heads, 1, self.head_dim))
        x = ops.reshape(x, (batch_size, -1, heads, self.head_dim))
        return ops.transpose(x, (0, 2, 1, 3))

    def _project_out(self, context: Any, like: Any) -> Any:
        """`(B, H, T, K)` -> the shape of `like`, `(N, T, D)`."""
        if context.shape[2] != 1:
            context = ops.transpose(context, (0, 2, 1, 3))  # (B, T, H, K)
        x = self.out(ops.reshape(context, (-1, self.num_heads * self.head_dim)))  # (N * T, D)
        return unflatten(x, like)  # (N, T, D)

    def _attend(
        self,
        query: Any,
        key: Any,
        value: Any,
        mask: Any,
        bias: Any,
        training: bool | None,
        show: Callable[[Any], None] | None = None,
    ) -> Any:
        """`attend`; `show` is given the weights."""

        def dropped(weights: Any) -> Any:
            if show is not None:
                show(weights)
            return weights if self.drop is None else self.drop(weights, training=training)

        return attend(query, key, value, mask, bias=bias, scale=self.scale, drop=dropped)


class SelfAttention(_Attention):
    """Attention of a sequence to itself and to the keys and values cached before it.

    Args:
        hidden_dim: `D`, a multiple of `num_heads` unless `head_dim` is given.
        num_heads: `H`.
        num_kv_heads: `G`, heads of keys and values, a divisor of `num_heads`; `H` by default
            (Ainslie et al. 2023, https://arxiv.org/abs/2305.13245).
        head_dim: `K`, `hidden_dim / num_heads` by default.
        dropout: rate applied to the attention weights.
        use_bias: whether the output projection has a bias.
        query_key_value_bias: whether the other projections have, as `use_bias` by default.
        scale: what scores are multiplied by, `1 / sqrt(K)` by default.
        query_key_norm: epsilon of a root-mean-square normalisation of each query and key
            (Henry et al. 2020, as in Qwen3), or `None` for none.

    Call arguments:
        x: `(B, T, D)`.
        attention_mask: boolean, broadcasts to `(B, H, T, S)` with `S = T` plus what is cached.
        cache: `{"key", "value"}`, each `(B, G, t, K)`, or `None`.
        bias: added to the scores, broadcasts to `(B, H, T, S)`, or `None`.
        rotary: cosines and sines of the queries' positions, each `(B or 1, 1, T, K)`, or `None`.

    Returns:
        `(B, T, D)`, and the cache grown by the `T` new keys and values, `(B, G, t + T, K)`.

    Raises:
        ValueError: `hidden_dim` is not a multiple of `num_heads`, or `num_heads` not one of
            `num_kv_heads`.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        query_key_value_bias: bool | None = None,
        scale: float | None = None,
        query_key_norm: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(hidden_dim, num_heads, head_dim, dropout, use_bias, scale, **kwargs)
        self.num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        if num_heads % self.num_kv_heads:
            raise ValueError(
                "`num_heads` must be a multiple of `num_kv_heads`. "
                f"Received: num_heads={num_heads}, num_kv_heads={num_kv_heads}"
            )
        if query_key_value_bias is None:
            query_key_value_bias = use_bias
        # One product for the three projections: small widths are bound by calls, not by FLOPs.
        self.query_key_value = self._dense(
            (num_heads + 2 * self.num_kv_heads) * self.head_dim,
            query_key_value_bias,
            "query_key_value",
        )
        self.query_norm = self._norm(query_key_norm, "query_norm")
        self.key_norm = self._norm(query_key_norm, "key_norm")

    def _norm(self, epsilon: float | None, name: str) -> RMSNormalization | None:
        if epsilon is None:
            return None
        return RMSNormalization(self.head_dim, epsilon, dtype=self.dtype_policy, name=name)

    def build(self, *_: Any) -> None:
        self.query_key_value.build((None, self.hidden_dim))
        self.out.build((None, self.num_heads * self.head_dim))
        for norm in (self.query_norm, self.key_norm):
            if norm is not None:
                norm.build(None)

    def call(
        self,
        x: Any,
        attention_mask: Any = None,
        cache: dict[str, Any] | None = None,
        bias: Any = None,
        rotary: tuple[Any, Any] | None = None,
        training: bool | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        flat = ops.reshape(x, (-1, self.hidden_dim))  # (B * T, D)
        widths = [self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim]
        parts = ops.split(self.query_key_value(flat), [widths[0], sum(widths)], axis=-1)
        query, key, value = (self._heads(part, ops.shape(x)[0], x.shape[1]) for part in parts)
        if self.query_norm is not None and self.key_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        if rotary is not None:
            query, key = rotate(query, *rotary), rotate(key, *rotary)
        if cache is not None:
            key = ops.concatenate([cache["key"], key], axis=2)  # (B, G, t + T, K)
            value = ops.concatenate([cache["value"], value], axis=2)
        context = self._attend(query, key, value, attention_mask, bias, training)
        return self._project_out(context, x), {"key": key, "value": value}

    def empty_cache(self, batch_size: Any) -> dict[str, Any]:
        """Keys and values of no position yet, each `(B, G, 0, K)`."""
        empty = ops.zeros((batch_size, self.num_kv_heads, 0, self.head_dim), self.compute_dtype)
        return {"key": empty, "value": empty}


class CrossAttention(_Attention):
    """Attention of a target sequence to a memory whose keys and values are projected once.

    Several rows of queries may share one row of memory: with `N = n * B` rows, row `r` looks at
    memory row `r // n`. The beams of a sentence are such rows, so memory is never repeated. Where
    `n` is known to be 1, saying so saves moving the heads.

    Args:
        hidden_dim: `D`, a multiple of `num_heads` unless `head_dim` is given.
        num_heads: `H`.
        head_dim: `K`, `hidden_dim / num_heads` by default.
        dropout: rate applied to the attention weights.
        use_bias: whether the projections have biases.
        scale: what scores are multiplied by, `1 / sqrt(K)` by default.

    Call arguments:
        x: `(N, T, D)`.
        memory: what `project_memory` returned.
        attention_mask: boolean, broadcasts to `(B, H, 1, S)`: the same for every query of a row.
        rows_per_source: `n`, or `None` where it is not known.
        return_weights: whether the attention weights are wanted too.

    Returns:
        `(N, T, D)`; with `return_weights` also the mean of the heads' weights, `(N, T, S)`.

    Raises:
        ValueError: `hidden_dim` is not a multiple of `num_heads`.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        head_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        scale: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(hidden_dim, num_heads, head_dim, dropout, use_bias, scale, **kwargs)
        width = num_heads * self.head_dim
        self.query = self._dense(width, use_bias, "query")
        self.key_value = self._dense(2 * width, use_bias, "key_value")

    def build(self, *_: Any) -> None:
        for projection in (self.query, self.key_value):
            projection.build((None, self.hidden_dim))
        self.out.build((None, self.num_heads * self.head_dim))

    def project_memory(self, memory: Any) -> dict[str, Any]:
        """`(B, S, D)` -> `{"key", "value"}`, each `(B, H, S, K)`."""
        flat = ops.reshape(memory, (-1, self.hidden_dim))  # (B * S, D)
        key, value = ops.split(self.key_value(flat), 2, axis=-1)
        batch_size, length = ops.shape(memory)[0], memory.shape[1]
        return {
            "key": self._heads(key, batch_size, length),
            "value": self._heads(value, batch_size, length),
        }

    def call(
        self,
        x: Any,
        memory: dict[str, Any],
        attention_mask: Any = None,
        rows_per_source: int | None = None,
        return_weights: bool = False,
        training: bool | None = None,
    ) -> Any:
        flat = ops.reshape(x, (-1, self.hidden_dim))  # (N * T, D)
        rows, size = ops.shape(memory["key"])[0], ops.shape(memory["key"])[2]
        length = x.shape[1] if rows_per_source == 1 else None
        query = self._heads(self.query(flat), rows, length)  # (B, H, n * T, K)
        seen: list[Any] = []
        context = self._attend(
            query, memory["key"], memory["value"], attention_mask, None, training, seen.append
        )
        context = self._project_out(context, x)
        if not return_weights:
            return context
        weights = ops.mean(seen[0], axis=1)  # (B, n * T, S)
        return context, ops.reshape(weights, (*ops.shape(x)[:2], size))
