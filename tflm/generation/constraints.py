"""Which tokens may come next: pure functions of the logits and the tokens so far.

The history is the prompt and what was generated after it, as in Hugging Face. Padding in a prompt
never counts, and eos is never penalized or blocked for being repeated: it can only repeat where a
prompt holds one, and a text must be able to end.
"""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tflm.generation.protocol import Tensor

NO_TOKEN = -1


@dataclasses.dataclass(frozen=True)
class Limits:
    """How long a text may be, and what it may repeat.

    Attributes:
        max_length: Most tokens to generate, eos included; the prompt does not count.
        min_length: Fewest tokens to generate, eos included: eos is blocked until it would be
            token number `min_length`. A row whose own cap is lower stops at its cap.
        no_repeat_ngram_size: No run of this many tokens occurs twice in prompt and text; 0 is off.
        repetition_penalty: Logits of tokens already in prompt or text are divided by this when
            positive and multiplied by it when negative (Keskar et al. 2019, CTRL, section 4.1, in
            the form of Hugging Face); 1 is off.
        coverage_penalty: What a token costs in log-probability for each part of the source that it
            attends to again: times the coverage loss of See et al. 2017, equation 12, of the tokens
            before it. Beams that repeat themselves fall behind; what a single row writes does not
            change. It needs a model that copies, and says how much is attended to again; 0 is off.
    """

    max_length: int
    min_length: int = 0
    no_repeat_ngram_size: int = 0
    repetition_penalty: float = 1.0
    coverage_penalty: float = 0.0

    def __post_init__(self):
        if self.max_length < 1:
            raise ValueError(f"`max_length` must be at least 1. Received: {self.max_length}")
        if not 0 <= self.min_length <= self.max_length:
            raise ValueError(
                "`min_length` must be between 0 and `max_length`. "
                f"Received: min_length={self.min_length}, max_length={self.max_length}"
            )
        if self.no_repeat_ngram_size < 0:
            raise ValueError(
                "`no_repeat_ngram_size` must be 0 (off) or more. "
                f"Received: {self.no_repeat_ngram_size}"
            )
        if not self.repetition_penalty > 0:
            raise ValueError(
                f"`repetition_penalty` must be positive. Received: {self.repetition_penalty}"
            )
        if not self.coverage_penalty >= 0:
            raise ValueError(
                f"`coverage_penalty` must be 0 (off) or positive. Received: {self.coverage_penalty}"
            )


def penalize_repetition(
    logits: Tensor, history: Tensor, penalty: float, exempt: tuple[int, ...] = ()
) -> Tensor:
    """Makes every token in the history less likely, once however often it occurs.

    Args:
        logits: (N, V) float32.
        history: (N, t) int32.
        penalty: Positive; above 1 discourages repetition.
        exempt: Ids that are left as they are.

    Returns:
        Logits (N, V).
    """
    if penalty == 1.0:
        return logits
    seen = tf.gather(logits, history, batch_dims=1)  # (N, t)
    penalized = tf.where(seen > 0, seen / penalty, seen * penalty)
    updates = tf.where(_is_any_of(history, exempt), seen, penalized)
    return tf.tensor_scatter_nd_update(logits, _row_and(history), updates)


def block_repeated_ngrams(
    logits: Tensor, history: Tensor, size: int, exempt: tuple[int, ...] = ()
) -> Tensor:
    """Blocks every token that would complete an n-gram that the history already holds.

    Args:
        logits: (N, V) float32.
        history: (N, t) int32; `NO_TOKEN` in the place of padding.
        size: n; 0 blocks nothing, 1 blocks every token of the history.
        exempt: Ids that are never blocked.

    Returns:
        Logits (N, V), minus infinity where blocked.
    """
    if size == 0:
        return logits
    length = tf.shape(history)[1]
    num_grams = tf.maximum(length - size + 1, 0)
    last = history[:, tf.maximum(length - size + 1, 0) :]  # (N, n - 1), what the token would follow
    completes = history[:, length - num_grams :]  # (N, g), the last token of every n-gram
    repeats = tf.logical_not(_is_any_of(completes, (*exempt, NO_TOKEN)))
    for offset in range(size - 1):
        gram = history[:, offset : offset + num_grams]  # (N, g)
        repeats &= gram == last[:, offset : offset + 1]
    updates = tf.where(repeats, -float("inf"), float("inf"))
    # A scatter over the g positions; a (N, g, V) mask would be as large as g steps' logits.
    return tf.tensor_scatter_nd_min(logits, _row_and(tf.maximum(completes, 0)), updates)


def block_tokens(
    logits: Tensor,
    token_ids: Sequence[int],
    step: Tensor | int = 1,
    min_length: int = 0,
    eos_id: int = 0,
) -> Tensor:
    """Blocks tokens whatever came before, and eos while a text is too short.

    Args:
        logits: (N, V) float32.
        token_ids: The ids to block.
        step: Scalar int32, which token comes next, from 1.
        min_length: Fewest tokens, eos included: eos is blocked below it.
        eos_id: The id of eos; negative where there is none.

    Returns:
        Logits (N, V), minus infinity where blocked.
    """
    blocked = list(token_ids)
    values: list[Tensor | float] = [-float("inf")] * len(blocked)
    if min_length > 1 and eos_id >= 0:
        blocked.append(eos_id)
        values.append(tf.where(step < min_length, -float("inf"), 0.0))
    if not blocked:
        return logits
    # One row, added in one pass over the logits: selecting from a matrix takes three times as long.
    places = tf.constant(blocked)[:, None]
    return logits + tf.scatter_nd(places, tf.stack(values), tf.shape(logits)[1:])


def _is_any_of(token_ids: Tensor, ids: tuple[int, ...]) -> Tensor:
    found = tf.zeros_like(token_ids, tf.bool)
    for token_id in ids:
        found |= token_ids == token_id
    return found


def _row_and(columns: Tensor) -> Tensor:
    """(N, t) column numbers -> (N, t, 2) indices into a matrix of N rows."""
    rows = tf.broadcast_to(tf.range(tf.shape(columns)[0])[:, None], tf.shape(columns))
    return tf.stack([rows, columns], axis=-1)
