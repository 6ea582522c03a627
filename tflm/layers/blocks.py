"""The Transformer block (Vaswani et al. 2017, figure 1), of every encoder and decoder of the zoo.

Post-norm is the published order, `norm(x + sublayer(x))`. Pre-norm, `x + sublayer(norm(x))`
(Xiong et al. 2020, https://arxiv.org/abs/2002.04745), trains deep stacks without warm-up and
needs one more normalisation after the last block.
"""

from collections.abc import Callable
from typing import Any

import keras

from tflm.layers.attention import CrossAttention, SelfAttention
from tflm.layers.dropout import Dropout
from tflm.layers.feed_forward import FeedForward
from tflm.layers.normalization import LayerNormalization, RMSNormalization

NORMALIZATIONS = {"layer": LayerNormalization, "rms": RMSNormalization}


class TransformerBlock(keras.layers.Layer):
    """Self-attention, in a decoder attention to the encoder's output, then feed-forward.

    Args:
        hidden_dim: `D`.
        num_heads: `H`.
        ffn_dim: `F`.
        cross_attention: whether the block attends to a memory.
        dropout: rate applied to the output of each sub-layer.
        attention_dropout: rate applied to the attention weights.
        ffn_dropout: rate applied inside the feed-forward network, after the activation.
        activation: name of the feed-forward activation.
        gated: whether the feed-forward network has a gate.
        pre_norm: normalise before each sub-layer instead of after it.
        norm: "layer" or "rms".
        norm_epsilon: added to the variance or the mean square.
        use_bias: whether the dense layers have biases.
        num_kv_heads, head_dim, query_key_value_bias, query_key_norm: see `SelfAttention`.
        attention_scale: what the scores of both attentions are multiplied by, `1 / sqrt(K)` by
            default.

    Call arguments:
        x: `(N, T, D)`.
        memory: keys and values from `cross_attention.project_memory`, `(B, H, S, K)` each.
        attention_mask: boolean, broadcasts to `(N, H, T, t + T)`.
        cross_attention_mask: boolean, broadcasts to `(B, H, 1, S)`.
        cache: `{"key", "value"}` of the positions before, `(N, G, t, K)` each, or `None`.
        bias: added to the scores of self-attention, broadcasts to `(N, H, T, t + T)`, or `None`.
        rotary: cosines and sines for self-attention, each `(N or 1, 1, T, K)`, or `None`.
        rows_per_source: `N / B`, or `None` where it is not known.
        return_attention: whether the weights of the attention to the memory are wanted too.

    Returns:
        `(N, T, D)`, and the cache grown by `T`; with `return_attention` there is also "attention"
        in it, the mean of the heads' weights, `(N, T, S)`.

    Raises:
        ValueError: `norm` is not a known one, or see `SelfAttention`.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        ffn_dim: int,
        *,
        cross_attention: bool = False,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        ffn_dropout: float = 0.0,
        activation: str = "relu",
        gated: bool = False,
        pre_norm: bool = False,
        norm: str = "layer",
        norm_epsilon: float = 1e-6,
        use_bias: bool = True,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        query_key_value_bias: bool | None = None,
        query_key_norm: float | None = None,
        attention_scale: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if norm not in NORMALIZATIONS:
            raise ValueError(
                f"`norm` must be one of {sorted(NORMALIZATIONS)}. Received: norm={norm!r}"
            )
        self.hidden_dim = hidden_dim
        self.pre_norm = pre_norm
        policy = self.dtype_policy
        attention = {
            "head_dim": head_dim,
            "dropout": attention_dropout,
            "use_bias": use_bias,
            "scale": attention_scale,
            "dtype": policy,
        }
        self.attention = SelfAttention(
            hidden_dim,
            num_heads,
            num_kv_heads,
            query_key_value_bias=query_key_value_bias,
            query_key_norm=query_key_norm,
            name="attention",
            **attention,
        )
        self.feed_forward = FeedForward(
            hidden_dim,
            ffn_dim,
            activation,
            ffn_dropout,
            use_bias,
            gated,
            dtype=policy,
            name="feed_forward",
        )

        def normalization(name: str) -> keras.layers.Layer:
            return NORMALIZATIONS[norm](hidden_dim, norm_epsilon, dtype=policy, name=name)

        self.attention_norm = normalization("attention_norm")
        self.feed_forward_norm = normalization("feed_forward_norm")
        self.cross_attention: Any = None
        self.cross_attention_norm: Any = None
        if cross_attention:
            self.cross_attention = CrossAttention(
                hidden_dim, num_heads, name="cross_attention", **attention
            )
            self.cross_attention_norm = normalization("cross_attention_norm")
        self.drop = Dropout(dropout, dtype=policy)

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
            if part is not None:
                part.build(shape)

    def call(
        self,
        x: Any,
        memory: dict[str, Any] | None = None,
        attention_mask: Any = None,
        cross_attention_mask: Any = None,
        cache: dict[str, Any] | None = None,
        bias: Any = None,
        rotary: tuple[Any, Any] | None = None,
        rows_per_source: int | None = None,
        return_attention: bool = False,
        training: bool | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        grown: dict[str, Any] = {}

        def attention(y: Any) -> Any:
            y, kept = self.attention(
                y, attention_mask, cache, bias=bias, rotary=rotary, training=training
            )
            grown.update(kept)
            return y

        def cross_attention(y: Any) -> Any:
            found = self.cross_attention(
                y,
                memory,
                cross_attention_mask,
                rows_per_source=rows_per_source,
                return_weights=return_attention,
                training=training,
            )
            if not return_attention:
                return found
            y, grown["attention"] = found
            return y

        def feed_forward(y: Any) -> Any:
            return self.feed_forward(y, training=training)

        x = self._residual(x, self.attention_norm, attention, training)
        if self.cross_attention is not None:
            x = self._residual(x, self.cross_attention_norm, cross_attention, training)
        return self._residual(x, self.feed_forward_norm, feed_forward, training), grown

    def _residual(
        self, x: Any, norm: Any, sublayer: Callable[[Any], Any], training: bool | None
    ) -> Any:
        if self.pre_norm:
            return x + self.drop(sublayer(norm(x)), training=training)
        return norm(x + self.drop(sublayer(x), training=training))
