"""Encoder and decoder blocks (Vaswani et al. 2017, figure 1), post-norm or pre-norm.

Post-norm is the published order, `norm(x + sublayer(x))`. Pre-norm, `x + sublayer(norm(x))`
(Xiong et al. 2020, https://arxiv.org/abs/2002.04745), trains deep stacks without warm-up and
needs one more normalisation after the last block.
"""

from collections.abc import Callable
from typing import Any

import keras

from tflm.layers.attention import CrossAttention, SelfAttention
from tflm.layers.feed_forward import FeedForward
from tflm.layers.normalization import LayerNormalization


class _Block(keras.layers.Layer):
    """Residual connection, dropout and normalisation around a sub-layer."""

    def __init__(self, hidden_dim: int, dropout: float, pre_norm: bool, **kwargs: Any):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.pre_norm = pre_norm
        self.drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def _residual(
        self,
        x: Any,
        norm: LayerNormalization,
        sublayer: Callable[[Any], Any],
        training: bool | None,
    ) -> Any:
        if self.pre_norm:
            return x + self.drop(sublayer(norm(x)), training=training)
        return norm(x + self.drop(sublayer(x), training=training))

    def _norm(self, name: str) -> LayerNormalization:
        return LayerNormalization(self.hidden_dim, dtype=self.dtype_policy, name=name)


class EncoderBlock(_Block):
    """Self-attention, then feed-forward.

    Args:
        hidden_dim: `D`.
        num_heads: `H`.
        ffn_dim: `F`.
        dropout: rate applied to the output of each sub-layer.
        attention_dropout: rate applied to the attention weights.
        activation: name of the feed-forward activation.
        pre_norm: normalise before each sub-layer instead of after it.

    Call arguments:
        x: `(B, T, D)`.
        attention_mask: boolean, broadcasts to `(B, H, T, T)`.

    Returns:
        `(B, T, D)`.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        ffn_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation: str = "relu",
        pre_norm: bool = False,
        **kwargs: Any,
    ):
        super().__init__(hidden_dim, dropout, pre_norm, **kwargs)
        policy = self.dtype_policy
        self.attention = SelfAttention(
            hidden_dim, num_heads, attention_dropout, dtype=policy, name="attention"
        )
        self.feed_forward = FeedForward(
            hidden_dim, ffn_dim, activation, dtype=policy, name="feed_forward"
        )
        self.attention_norm = self._norm("attention_norm")
        self.feed_forward_norm = self._norm("feed_forward_norm")

    def build(self, *_: Any) -> None:
        shape = (None, None, self.hidden_dim)
        for part in (
            self.attention,
            self.attention_norm,
            self.feed_forward,
            self.feed_forward_norm,
        ):
            part.build(shape)

    def call(self, x: Any, attention_mask: Any = None, training: bool | None = None) -> Any:
        def attention(y: Any) -> Any:
            return self.attention(y, attention_mask=attention_mask, training=training)[0]

        def feed_forward(y: Any) -> Any:
            return self.feed_forward(y, training=training)

        x = self._residual(x, self.attention_norm, attention, training)
        return self._residual(x, self.feed_forward_norm, feed_forward, training)


class DecoderBlock(_Block):
    """Self-attention, attention to the memory, then feed-forward.

    Args:
        hidden_dim: `D`.
        num_heads: `H`.
        ffn_dim: `F`.
        dropout: rate applied to the output of each sub-layer.
        attention_dropout: rate applied to the attention weights.
        activation: name of the feed-forward activation.
        pre_norm: normalise before each sub-layer instead of after it.

    Call arguments:
        x: `(N, T, D)`.
        memory: keys and values from `cross_attention.project_memory`, `(B, H, S, K)` each.
        attention_mask: boolean, broadcasts to `(N, H, T, t + T)`.
        cross_attention_mask: boolean, broadcasts to `(B, H, 1, S)`.
        cache: `{"key", "value"}` of the positions before, `(N, H, t, K)` each, or `None`.

    Returns:
        `(N, T, D)`, and the cache grown by `T`.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        ffn_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation: str = "relu",
        pre_norm: bool = False,
        **kwargs: Any,
    ):
        super().__init__(hidden_dim, dropout, pre_norm, **kwargs)
        policy = self.dtype_policy
        self.attention = SelfAttention(
            hidden_dim, num_heads, attention_dropout, dtype=policy, name="attention"
        )
        self.cross_attention = CrossAttention(
            hidden_dim, num_heads, attention_dropout, dtype=policy, name="cross_attention"
        )
        self.feed_forward = FeedForward(
            hidden_dim, ffn_dim, activation, dtype=policy, name="feed_forward"
        )
        self.attention_norm = self._norm("attention_norm")
        self.cross_attention_norm = self._norm("cross_attention_norm")
        self.feed_forward_norm = self._norm("feed_forward_norm")

    def build(self, *_: Any) -> None:
        shape = (None, None, self.hidden_dim)
        for part in (
            self.attention,
            self.attention_norm,
            self.cross_attention,
            self.cross_attention_norm,
            self.feed_forward,
            self.feed_forward_norm,
        ):
            part.build(shape)

    def call(
        self,
        x: Any,
        memory: dict[str, Any],
        attention_mask: Any = None,
        cross_attention_mask: Any = None,
        cache: dict[str, Any] | None = None,
        training: bool | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        grown: dict[str, Any] = {}

        def attention(y: Any) -> Any:
            y, kept = self.attention(y, attention_mask, cache, training=training)
            grown.update(kept)
            return y

        def cross_attention(y: Any) -> Any:
            return self.cross_attention(y, memory, cross_attention_mask, training=training)

        def feed_forward(y: Any) -> Any:
            return self.feed_forward(y, training=training)

        x = self._residual(x, self.attention_norm, attention, training)
        x = self._residual(x, self.cross_attention_norm, cross_attention, training)
        return self._residual(x, self.feed_forward_norm, feed_forward, training), grown
