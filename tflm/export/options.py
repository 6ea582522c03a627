"""The signature `options`: how each row is decoded, without another export.

    max_length      int32    most tokens written; below 1, or above the model's own: the model's
    length_penalty  float32  exponent of a beam's length penalty, from -10 to 10; NaN: the model's
    temperature     float32  0 or less, or NaN: the likeliest text, by the model's own beam, or
                             greedily; above: drawn at random, at 0.001 to 1000
    top_k           int32    when drawn, from so many likeliest tokens; below 1: from all
    top_p           float32  then from the likeliest that have this probability together; 0 or
                             less, from 1 on, or NaN: from all
    seed            int64    when drawn: the same seed gives the same text

All of them are vectors `(B,)`, and zeros are what most want. What is out of its range is moved to
the nearest end of it: a server can only fail a whole batch, with the rows of others in it. A row is
answered as if it were alone.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tflm.generation import Beam, Greedy, Sample
from tflm.generation.row_sampling import SampleRows

OPTIONS = {
    "max_length": tf.int32,
    "length_penalty": tf.float32,
    "temperature": tf.float32,
    "top_k": tf.int32,
    "top_p": tf.float32,
    "seed": tf.int64,
}
_COLDEST, _HOTTEST = 1e-3, 1e3
_STEEPEST = 10.0

# What decodes rows: their numbers, a strategy, the most tokens and the seed of each.
Write = Callable[[Any, Any, Any, Any], dict[str, Any]]


def write_by_options(
    write: Write, options: Mapping[str, Any], own: Beam | Greedy | Sample, max_length: int
) -> dict[str, Any]:
    """Decodes rows as each of them asks.

    Args:
        write: gives tensors `(R,)` by name for the rows numbered `(R,)`, one at least.
        options: vectors `(B,)` by name.
        own: the model's strategy.
        max_length: the model's own.

    Returns:
        What `write` gives, `(B,)`.
    """
    lengths = options["max_length"]
    lengths = tf.where(lengths < 1, max_length, tf.minimum(lengths, max_length))
    temperature = options["temperature"]
    is_drawn = temperature > 0.0  # NaN is not

    def searched(rows: Any) -> dict[str, Any]:
        strategy: Any = Greedy()
        if isinstance(own, Beam):
            alpha = tf.gather(options["length_penalty"], rows)
            alpha = tf.where(tf.math.is_nan(alpha), own.alpha, alpha)
            alpha = tf.clip_by_value(alpha, -_STEEPEST, _STEEPEST)
            strategy = dataclasses.replace(own, alpha=alpha, num_return=1)
        return write(rows, strategy, tf.gather(lengths, rows), None)

    def drawn(rows: Any) -> dict[str, Any]:
        top_p = tf.gather(options["top_p"], rows)
        strategy = SampleRows(
            tf.clip_by_value(tf.gather(temperature, rows), _COLDEST, _HOTTEST),
            tf.gather(options["top_k"], rows),
            tf.where(top_p > 0.0, top_p, 1.0),
        )
        return write(rows, strategy, tf.gather(lengths, rows), tf.gather(options["seed"], rows))

    parts = [
        _some(tf.cast(tf.where(mask)[:, 0], tf.int32), run)
        for mask, run in ((~is_drawn, searched), (is_drawn, drawn))
    ]
    rows = tf.concat([rows for rows, _ in parts], axis=0)
    places = tf.math.invert_permutation(rows)  # (B,)
    names = {name for _, found in parts for name in found}
    return {
        name: tf.gather(tf.concat([each[name] for _, each in parts if each], axis=0), places)
        for name in sorted(names)
    }


def _some(rows: Any, run: Callable[[Any], dict[str, Any]]) -> tuple[Any, dict[str, Any]]:
    """What is found for some rows; of none nothing is asked."""
    kinds: dict[str, Any] = {}

    def asked() -> dict[str, Any]:
        found = run(rows)
        kinds.update({name: value.dtype for name, value in found.items()})
        return found

    def nothing() -> dict[str, Any]:
        return {name: tf.zeros([0], dtype) for name, dtype in kinds.items()}

    # In a graph both are traced, this one first, and says what the other has to give; eagerly, with
    # no rows, nothing is known of that.
    return rows, tf.cond(tf.size(rows) > 0, asked, nothing)
