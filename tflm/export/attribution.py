"""What an answer owes to each token: by how much its score falls where the token is hidden.

Every token of a text is hidden in turn, by the padding mask, and the text is read again (Li et al.
2016, "Understanding Neural Networks through Representation Erasure", arXiv 1612.08220). That works
for every encoder and needs no gradient in the graph; it costs as many readings as the longest text
of the batch has tokens. What a token has done through others is in it too: the numbers of a text do
not add up to its score.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

_TOKENS_AT_ONCE = 1 << 14  # that the encoder reads


def attributions(
    score: Callable[[dict[str, Any], Any], Any], inputs: dict[str, Any], counted: Any
) -> Any:
    """Attributions float32 `(B, T)`, 0 where `counted` is false.

    Args:
        score: the network's inputs and the rows of the batch that they belong to, `(n,)` -> the
            score of each row's answer, float32 `(n,)`.
        inputs: by name, `(B, T)` or `(B, T, F)` each, "padding_mask" among them.
        counted: which tokens are hidden, boolean `(B, T)`.
    """
    before = score(inputs, tf.range(tf.shape(counted)[0]))  # (B,)
    hidden = tf.cast(tf.where(counted), tf.int32)  # (H, 2): row and place
    number, length = tf.shape(hidden)[0], tf.shape(counted)[1]
    # One group at least: `map_fn` wants something, if only to be cut off again.
    at_once = tf.minimum(_TOKENS_AT_ONCE // tf.maximum(length, 1), number)
    at_once = tf.maximum(at_once, 1)
    groups = tf.maximum((number + at_once - 1) // at_once, 1)
    rest: Any = [[0, groups * at_once - number], [0, 0]]
    padded = tf.pad(hidden, rest)

    def without(group: Any) -> Any:
        rows, places = tf.unstack(group, axis=1)  # (G,)
        one = {name: tf.gather(value, rows) for name, value in inputs.items()}
        seen = tf.range(length)[None] != places[:, None]  # (G, T)
        one["padding_mask"] &= seen
        if "word_features" in one:
            one["word_features"] &= seen[..., None]
        return score(one, rows)

    after = tf.map_fn(
        without,
        tf.reshape(padded, [groups, at_once, 2]),
        fn_output_signature=tf.TensorSpec([None], tf.float32),
    )
    after = tf.reshape(after, [-1])[:number]  # (H,)
    fall = tf.gather(before, hidden[:, 0]) - after
    return tf.scatter_nd(hidden, fall, tf.shape(counted))
