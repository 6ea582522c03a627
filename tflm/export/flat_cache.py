"""A model's cache as flat tensors that a client keeps from one step to the next.

`N` rows, `H` heads, `t` positions, `K` head width, `S` source length. What has rank 4 is
`(N, H, t, K)` and has positions; all else does not.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf


def named(nest: Any, prefix: str = "") -> dict[str, Any]:
    """The tensors of a nest by flat names, in the order of `tf.nest.flatten`."""
    return dict(_walk(nest, prefix))


def _walk(nest: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(nest, Mapping):
        items = [(str(key), nest[key]) for key in sorted(nest)]
    elif isinstance(nest, list | tuple):
        items = [(str(number), each) for number, each in enumerate(nest)]
    else:
        yield name, nest
        return
    for key, each in items:
        yield from _walk(each, f"{name}_{key}" if name else key)


def packed(specs: Any, tensors: Mapping[str, Any]) -> Any:
    """The inverse of `named`, in the dtypes of the specs."""
    flat = [tf.cast(tensors[name], spec.dtype) for name, spec in named(specs).items()]
    return tf.nest.pack_sequence_as(specs, flat)


def carried(spec: Any) -> tf.TensorSpec:
    """The spec of a cache's tensor between client and server."""
    sizes = [None, *spec.shape[1:]]
    if grows(spec):
        sizes[2] = None  # (N, H, t, K)
    return tf.TensorSpec(sizes, tf.float32 if spec.dtype.is_floating else spec.dtype)


def sent(tensor: Any) -> Any:
    """A cache's tensor as the client gets it: REST knows no half precision."""
    return tf.cast(tensor, tf.float32) if tensor.dtype.is_floating else tensor


def grows(tensor: Any) -> bool:
    """Whether a tensor, or its spec, has positions."""
    return tensor.shape.rank == 4


def widened(tensor: Any, width: Any) -> Any:
    """A cache `(N, H, t, K)` of exactly `width` positions; what has none as it is."""
    if not grows(tensor):
        return tensor
    shape = tensor.shape
    tensor = tensor[:, :, :width]
    missing = width - tf.shape(tensor)[2]
    tensor = tf.pad(tensor, [[0, 0], [0, 0], [0, missing], [0, 0]])
    return tf.ensure_shape(tensor, [shape[0], shape[1], None, shape[3]])


def moved_left(tensor: Any, missing: Any) -> Any:
    """What has `missing` positions of padding on the left, with them on the right.

    Args:
        tensor: ids `(B, P)`, or a cache `(B, H, P, K)`.
        missing: int32 `(B,)`.
    """
    width = tf.shape(tensor)[-2 if grows(tensor) else -1]
    places = (tf.range(width)[None] + missing[:, None]) % tf.maximum(width, 1)  # (B, P)
    if not grows(tensor):
        return tf.gather(tensor, places, batch_dims=1)
    by_position = tf.transpose(tensor, [0, 2, 1, 3])  # (B, P, H, K)
    return tf.transpose(tf.gather(by_position, places, batch_dims=1), [0, 2, 1, 3])


def source_length(memory: Mapping[str, Any]) -> Any:
    """Tokens of each source, int32 `(B,)`."""
    return tf.reduce_sum(tf.cast(memory["padding_mask"], tf.int32), axis=1)


def source_mask(memory: Mapping[str, Any], lengths: Any) -> Any:
    """The source's mask `(B, S)`; positions are the last but one axis of what has three or more."""
    wide = next(each for each in tf.nest.flatten(dict(memory)) if each.shape.rank >= 3)
    return tf.sequence_mask(lengths, tf.shape(wide)[-2])
