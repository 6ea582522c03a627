"""QANet's encoder block: convolutions for what is near, self-attention for what is far.

`B` rows, `T` length, `D` width, `k` kernel width.
"""

from typing import Any

import keras
from keras import ops

from tflm.layers.attention import SelfAttention
from tflm.layers.dropout import Dropout
from tflm.layers.feed_forward import FeedForward
from tflm.layers.normalization import LayerNormalization
from tflm.layers.positions import sinusoidal_positions
from tflm.layers.shapes import unflatten


class SeparableConvolution(keras.layers.Layer):
    """A convolution of each column by itself, then a dense layer with a rectifier.

    Chollet 2017, https://arxiv.org/abs/1610.02357: `k D + D^2` weights instead of `k D^2`.

    Args:
        hidden_dim: `D`.
        kernel_size: `k`.

    Call arguments:
        x: `(B, T, D)`, zeros where there is no token.

    Returns:
        `(B, T, D)`.
    """

    def __init__(self, hidden_dim: int, kernel_size: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.kernel_size = kernel_size
        policy = self.dtype_policy
        self.depthwise = keras.layers.DepthwiseConv1D(
            kernel_size, padding="same", use_bias=False, dtype=policy, name="depthwise"
        )
        self.pointwise = keras.layers.Dense(hidden_dim, "relu", dtype=policy, name="pointwise")

    def build(self, *_: Any) -> None:
        self.depthwise.build((None, None, self.hidden_dim))
        self.pointwise.build((None, self.hidden_dim))
        self.built = True

    def call(self, x: Any) -> Any:
        flat = ops.reshape(self.depthwise(x), (-1, self.hidden_dim))  # (B * T, D)
        return unflatten(self.pointwise(flat), x)  # (B, T, D)


class ConvolutionBlock(keras.layers.Layer):
    """Convolutions, self-attention and feed-forward, each `x + f(norm(x))`, after position vectors.

    Yu et al. 2018, https://arxiv.org/abs/1804.09541, figure 1, right.

    Args:
        hidden_dim: `D`.
        num_heads: heads of self-attention.
        num_convolutions: convolutions.
        kernel_size: `k`.
        dropout: rate applied to what each sub-layer adds.

    Call arguments:
        x: `(B, T, D)`.
        token_mask: boolean `(B, T)`: what convolutions see.
        attention_mask: boolean, broadcasts to `(B, H, T, T)`: what self-attention sees.

    Returns:
        `(B, T, D)`.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        num_convolutions: int,
        kernel_size: int,
        dropout: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.hidden_dim = hidden_dim
        self.convolutions = [
            SeparableConvolution(hidden_dim, kernel_size, dtype=policy, name=f"convolution_{i}")
            for i in range(num_convolutions)
        ]
        self.convolution_norms = [
            LayerNormalization(hidden_dim, dtype=policy, name=f"convolution_norm_{i}")
            for i in range(num_convolutions)
        ]
        self.attention = SelfAttention(hidden_dim, num_heads, dtype=policy, name="attention")
        self.attention_norm = LayerNormalization(hidden_dim, dtype=policy, name="attention_norm")
        self.feed_forward = FeedForward(hidden_dim, hidden_dim, dtype=policy, name="feed_forward")
        self.feed_forward_norm = LayerNormalization(
            hidden_dim, dtype=policy, name="feed_forward_norm"
        )
        self.drop = Dropout(dropout, dtype=policy)

    def build(self, *_: Any) -> None:
        for part in (
            *self.convolutions,
            *self.convolution_norms,
            self.attention,
            self.attention_norm,
            self.feed_forward,
            self.feed_forward_norm,
        ):
            part.build((None, None, self.hidden_dim))
        self.built = True

    def call(
        self, x: Any, token_mask: Any, attention_mask: Any, training: bool | None = None
    ) -> Any:
        positions = sinusoidal_positions(ops.shape(x)[1], self.hidden_dim)  # (T, D)
        x = x + ops.cast(positions, x.dtype)[None]
        real = ops.cast(token_mask, x.dtype)[..., None]  # (B, T, 1)
        for norm, convolution in zip(self.convolution_norms, self.convolutions, strict=True):
            x = x + self.drop(convolution(norm(x) * real), training=training)
        y, _ = self.attention(self.attention_norm(x), attention_mask)
        x = x + self.drop(y, training=training)
        y = self.feed_forward(self.feed_forward_norm(x))
        return x + self.drop(y, training=training)
