"""Two dimensions in, three out: dense layers are one fused op on matrices."""

from typing import Any

from keras import ops


def unflatten(x: Any, like: Any) -> Any:
    """`(N * T, D)` -> `(N, T, D)`, where `like` is `(N, T, ...)`.

    With `T` known, the graph needs no op to compute a shape.
    """
    length = like.shape[1]
    if length is not None:
        return ops.reshape(x, (-1, length, x.shape[-1]))
    return ops.reshape(x, (*ops.shape(like)[:2], x.shape[-1]))
