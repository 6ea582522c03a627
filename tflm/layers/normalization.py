"""Layer normalisation (Ba et al. 2016) with its gradient written out."""

from typing import Any

import keras
from keras import ops


@ops.custom_gradient
def _normalize(x: Any, scale: Any, offset: Any, epsilon: Any) -> Any:
    """`(N, D)` -> `(N, D)`, and the gradient in closed form: half the passes of the derived one."""
    mean = ops.mean(x, axis=-1, keepdims=True)  # (N, 1)
    centred = x - mean
    inverse = ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + epsilon)
    normal = centred * inverse

    def gradient(*upstream: Any, **_: Any) -> tuple[Any, Any, Any, Any]:
        (g,) = upstream if len(upstream) == 1 else (upstream[-1],)
        g_normal = g * scale
        along = ops.mean(g_normal * normal, axis=-1, keepdims=True)
        g_x = (g_normal - ops.mean(g_normal, axis=-1, keepdims=True) - normal * along) * inverse
        return g_x, ops.sum(g * normal, axis=0), ops.sum(g, axis=0), ops.zeros_like(epsilon)

    return normal * scale + offset, gradient


class LayerNormalization(keras.layers.Layer):
    """Zero mean and unit variance along the width, then a learned scale and offset.

    Statistics are computed in float32 whatever the compute dtype.

    Args:
        dim: `D`.
        epsilon: added to the variance.

    Call arguments:
        x: `(B, T, D)`.

    Returns:
        `(B, T, D)` in the compute dtype.
    """

    def __init__(self, dim: int, epsilon: float = 1e-6, **kwargs: Any):
        super().__init__(**kwargs)
        self.dim = dim
        self.epsilon = epsilon

    def build(self, *_: Any) -> None:
        self.scale = self.add_weight(shape=(self.dim,), initializer="ones", name="scale")
        self.offset = self.add_weight(shape=(self.dim,), initializer="zeros", name="offset")

    def call(self, x: Any) -> Any:
        flat = ops.cast(ops.reshape(x, (-1, self.dim)), "float32")  # (B * T, D)
        scale = ops.cast(ops.convert_to_tensor(self.scale), "float32")
        offset = ops.cast(ops.convert_to_tensor(self.offset), "float32")
        y = _normalize(flat, scale, offset, ops.convert_to_tensor(self.epsilon, "float32"))
        return ops.reshape(ops.cast(y, self.compute_dtype), ops.shape(x))  # (B, T, D)
