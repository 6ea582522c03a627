"""Layer and root-mean-square normalisation, in float32 whatever the compute dtype."""

from typing import Any

import keras
from keras import ops

from tflm.layers.shapes import unflatten


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

    Ba et al. 2016, https://arxiv.org/abs/1607.06450. Scale and offset stay in float32 under every
    dtype policy: rounded to bfloat16 they would lose what fine-tuning changes.

    Args:
        dim: `D`.
        epsilon: added to the variance.

    Call arguments:
        x: `(..., D)`.

    Returns:
        The same shape, in the compute dtype.
    """

    def __init__(self, dim: int, epsilon: float = 1e-6, **kwargs: Any):
        super().__init__(**kwargs)
        self.dim = dim
        self.epsilon = epsilon

    def build(self, *_: Any) -> None:
        self.scale = _float32_weight(self, "scale", "ones")
        self.offset = _float32_weight(self, "offset", "zeros")

    def call(self, x: Any) -> Any:
        flat = ops.cast(ops.reshape(x, (-1, self.dim)), "float32")  # (N, D)
        # Tensors: a gradient written out must not see variables, which is what Keras hands on here.
        scale = ops.cast(ops.convert_to_tensor(self.scale), "float32")
        offset = ops.cast(ops.convert_to_tensor(self.offset), "float32")
        y = _normalize(flat, scale, offset, ops.convert_to_tensor(self.epsilon, "float32"))
        y = ops.cast(y, self.compute_dtype)
        return unflatten(y, x) if len(x.shape) == 3 else ops.reshape(y, ops.shape(x))


class RMSNormalization(keras.layers.Layer):
    """Unit root mean square along the width, then a learned scale.

    Zhang & Sennrich 2019, https://arxiv.org/abs/1910.07467, equation 4.

    Args:
        dim: `D`.
        epsilon: added to the mean square.

    Call arguments:
        x: `(..., D)`.

    Returns:
        The same shape, in the compute dtype.
    """

    def __init__(self, dim: int, epsilon: float = 1e-6, **kwargs: Any):
        super().__init__(**kwargs)
        self.dim = dim
        self.epsilon = epsilon

    def build(self, *_: Any) -> None:
        self.scale = _float32_weight(self, "scale", "ones")

    def call(self, x: Any) -> Any:
        wide = ops.cast(x, "float32")
        inverse = ops.rsqrt(ops.mean(ops.square(wide), axis=-1, keepdims=True) + self.epsilon)
        return ops.cast(wide * inverse * ops.convert_to_tensor(self.scale), self.compute_dtype)


def _float32_weight(layer: Any, name: str, initializer: str) -> Any:
    return layer.add_weight(
        shape=(layer.dim,), initializer=initializer, dtype="float32", autocast=False, name=name
    )
