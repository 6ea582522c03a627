"""The one decoding loop: prompt in, texts out, for every model and every strategy.

It runs eagerly, in a `tf.function` and in a SavedModel on a stock server: core TensorFlow ops only,
and the cache grows by a position per step, so that short outputs cost short attention.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tflm.generation.constraints import (
    NO_TOKEN,
    Limits,
    block_repeated_ngrams,
    block_tokens,
    penalize_repetition,
)
from tflm.generation.protocol import Decode, Generated, Request, State, Stop, Strategy, Tensor


def generate(
    decode: Decode,
    cache: dict[str, Any],
    prompt_ids: Tensor,
    *,
    strategy: Strategy,
    limits: Limits,
    eos_id: int,
    pad_id: int,
    seed: Tensor | int | None = None,
    max_lengths: Tensor | None = None,
    blocked_ids: Sequence[int] = (),
    stop: Stop | None = None,
    stop_states: Tensor | None = None,
    num_forced: int = 0,
    prompt_mask: Tensor | None = None,
) -> Generated:
    """Continues every prompt until eos, what else ends a text, or the length limit.

    Rows do not influence each other: a batch answers each sentence as if it were alone.

    Args:
        decode: The model's step, `decode(token_ids, cache, index) -> (logits, cache)`.
        cache: The cache before the prompt, with B rows in `"step"`; only `"step"` is expanded to
            beams and reordered, `"memory"` stays as it is.
        prompt_ids: (B, P) int32, P at least 1; for an encoder-decoder what decoding starts with.
            Where prompts differ in length their padding is on the left, and the cache knows of it;
            `prompt_mask` says it to what limits repetition.
        strategy: `Greedy`, `Sample` or `Beam`.
        limits: Lengths and repetition.
        eos_id: The id that ends a text.
        pad_id: The id written after the end.
        seed: For `Sample`: (B,) int32, one per row; one integer, from which every row gets its
            own; or None for a new one at every call.
        max_lengths: (B,) int32, each row's own `max_length`, clipped to 1 .. `limits.max_length`.
        blocked_ids: Ids that are never chosen.
        stop: What else ends a text, a `StopStrings`; it does not heed `limits.min_length`.
        stop_states: (B,) int32, where it starts from, see `StopStrings.start`.
        num_forced: How many tokens at the end of the prompt count as written in a length penalty,
            as Hugging Face counts those that it forces (BART's `<s>`).
        prompt_mask: (B, P) bool, False at padding; by default there is none.

    Returns:
        The texts, `num_return` per sentence for a `Beam`, else one.

    Raises:
        ValueError: `prompt_ids`, `max_lengths` or `seed` has the wrong shape, or a coverage penalty
            is asked of a model that does not say what it attends to again.
    """
    prompt_ids = tf.cast(prompt_ids, tf.int32)
    if prompt_ids.shape.rank != 2 or prompt_ids.shape[1] == 0:
        raise ValueError(
            "`prompt_ids` must have shape (batch, length) with at least one token per row. "
            f"Received: shape={prompt_ids.shape}"
        )
    request = Request(
        prompt_ids=prompt_ids,
        max_lengths=_row_limits(max_lengths, tf.shape(prompt_ids)[0], limits.max_length),
        max_length=limits.max_length,
        eos_id=eos_id,
        pad_id=pad_id,
        seed=seed,
        stop=stop,
        stop_states=stop_states,
        num_forced=num_forced,
        prompt_mask=prompt_mask,
    )
    steps = Steps(decode, cache, strategy, limits, request, blocked_ids)
    history, step_cache, state = steps.first(strategy.start(request))

    def is_running(step: Tensor, history: Tensor, flat_cache: list[Tensor], state: State) -> Tensor:
        return (step < limits.max_length) & tf.logical_not(strategy.is_done(state))

    def advance(step: Tensor, history: Tensor, flat_cache: list[Tensor], state: State):
        packed = tf.nest.pack_sequence_as(step_cache, flat_cache)
        history, grown, state = steps.next(step + 1, history, packed, state)
        flat_cache = tf.nest.flatten(grown)
        return step + 1, history, list(map(tf.ensure_shape, flat_cache, invariants[2])), state

    variables = (tf.constant(1), history, tf.nest.flatten(step_cache), state)
    invariants = _shape_invariants(*variables)
    _, history, _, state = tf.while_loop(
        is_running, advance, variables, shape_invariants=invariants
    )
    return strategy.finish(history, state, request)


class Steps:
    """The steps of one decoding, each of which chooses a token of every row.

    Args:
        decode, cache, strategy, limits, blocked_ids: As for `generate`.
        request: The call's constants.
    """

    def __init__(
        self,
        decode: Decode,
        cache: dict[str, Any],
        strategy: Strategy,
        limits: Limits,
        request: Request,
        blocked_ids: Sequence[int] = (),
    ):
        self._decode = decode
        self._cache = cache
        self._strategy = strategy
        self._limits = limits
        self._request = request
        self._blocked_ids = blocked_ids

    def first(self, state: State, index: Tensor | int = 0) -> tuple[Tensor, Any, State]:
        """Reads the prompt and chooses the first token.

        Args:
            state: What the strategy's `start` returned.
            index: Scalar, how many of the prompt's tokens the cache holds already; not all.

        Returns:
            The history (N, P + 1), the cache's `"step"` of N rows, and the next state.
        """
        # The prompt runs once per sentence; beams are copies of what it left.
        prompt_ids, num_beams = self._request.prompt_ids, self._strategy.num_beams
        prompt_cache = {**self._cache, "rows_per_source": 1, "last_only": True}
        index = tf.convert_to_tensor(index)
        logits, prefilled = self._decode(prompt_ids[:, index:], prompt_cache, index)
        prefilled["rows_per_source"] = num_beams
        self._cache = prefilled
        overlap = _overlap(prefilled, self._limits)
        logits, history, step_cache = logits[:, -1:], prompt_ids, prefilled["step"]
        if num_beams > 1:
            rows = tf.repeat(tf.range(self._request.batch_size), num_beams)  # (N,)
            logits, overlap, history, step_cache = _take_rows(
                (logits, overlap, history, step_cache), rows
            )
        return self._choose(logits, overlap, history, tf.constant(1), step_cache, state)

    def next(
        self, step: Tensor, history: Tensor, step_cache: Any, state: State
    ) -> tuple[Tensor, Any, State]:
        """Reads the token chosen last and chooses number `step` (from 1); returns as `first`."""
        index = tf.shape(history)[1] - 1
        latest = history[:, -1][:, None]  # (N, 1), of static width
        logits, after = self._decode(latest, {**self._cache, "step": step_cache}, index)
        overlap = _overlap(after, self._limits)
        return self._choose(logits, overlap, history, step, after["step"], state)

    def _choose(
        self,
        logits: Tensor,
        overlap: Tensor | None,
        history: Tensor,
        step: Tensor,
        step_cache: Any,
        state: State,
    ) -> tuple[Tensor, Any, State]:
        """Appends a token to the history, and moves history and cache to the surviving rows."""
        logits = tf.cast(logits[:, -1], tf.float32)  # (N, V)
        limits, eos_id = self._limits, self._request.eos_id
        logits, log_normalizers = _constrained(logits, history, limits, self._request)
        if overlap is not None:
            log_normalizers += limits.coverage_penalty * tf.cast(overlap[:, -1], tf.float32)
        logits = block_tokens(logits, self._blocked_ids, step, limits.min_length, eos_id)
        tokens, parents, state = self._strategy.choose(
            logits, log_normalizers, history, step, state, self._request
        )
        if parents is not None:
            history, step_cache = _take_rows((history, step_cache), parents)
        return tf.concat([history, tokens[:, None]], axis=1), step_cache, state


def _row_limits(max_lengths: Tensor | None, batch_size: Tensor, max_length: int) -> Tensor:
    if max_lengths is None:
        return tf.fill(batch_size[None], max_length)
    max_lengths = tf.cast(max_lengths, tf.int32)
    if max_lengths.shape.rank != 1:
        raise ValueError(
            f"`max_lengths` must have shape (batch,). Received: shape={max_lengths.shape}"
        )
    return tf.clip_by_value(max_lengths, 1, max_length)


def _constrained(
    logits: Tensor, history: Tensor, limits: Limits, request: Request
) -> tuple[Tensor, Tensor]:
    """Logits (N, V), minus infinity where a token would repeat too much, and log-normalizers (N,).

    The repetition penalty changes the distribution; blocking only takes choices away from it, so
    what is left keeps the model's log-probabilities and hypotheses stay comparable.
    """
    exempt, counted, compared = (request.eos_id,), history, history
    limits_repetition = limits.repetition_penalty != 1.0 or limits.no_repeat_ngram_size > 0
    if request.prompt_mask is not None and limits_repetition:
        is_token = _is_token(history, request.prompt_mask)
        # Padding is counted as the newest token, which is counted once in any case.
        counted = tf.where(is_token, history, history[:, -1:])
        compared = tf.where(is_token, history, NO_TOKEN)
    logits = penalize_repetition(logits, counted, limits.repetition_penalty, exempt)
    # log(sum(exp(z))) = max(z) - log(max(softmax(z))): softmax is one op, the sum several.
    likeliest = tf.reduce_max(tf.nn.softmax(logits), axis=-1)
    log_normalizers = tf.reduce_max(logits, axis=-1) - tf.math.log(likeliest)
    logits = block_repeated_ngrams(logits, compared, limits.no_repeat_ngram_size, exempt)
    return logits, log_normalizers


def _is_token(history: Tensor, prompt_mask: Tensor) -> Tensor:
    """(N, t) bool: what of the histories of N rows is no padding of the prompts of B sentences."""
    rows, length = tf.unstack(tf.shape(history))
    sentences, width = tf.unstack(tf.shape(prompt_mask))
    mask = tf.repeat(prompt_mask, rows // tf.maximum(sentences, 1), axis=0)  # (N, P)
    return tf.pad(mask, [[0, 0], [0, length - width]], constant_values=True)


def _overlap(cache: dict[str, Any], limits: Limits) -> Tensor | None:
    """How much of what each token attends to had been before, (N, T), where it costs something."""
    if limits.coverage_penalty == 0:
        return None
    if "overlap" not in cache:
        raise ValueError(
            "`coverage_penalty` must be 0 for a model that does not copy from its source. "
            f"Received: coverage_penalty={limits.coverage_penalty}"
        )
    return cache["overlap"]


def _take_rows(nest: Any, rows: Tensor) -> Any:
    def take(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tf.gather(tensor, rows)

    return tf.nest.map_structure(take, nest)


def _shape_invariants(step: Tensor, history: Tensor, flat_cache: list[Tensor], state: State):
    """What keeps its size in the loop: of the cache all but rows and, at rank 4, positions."""

    def cached(tensor: Tensor) -> tf.TensorShape:
        sizes = [None, *tensor.shape[1:]]
        if tensor.shape.rank == 4:
            sizes[2] = None  # (N, H, t, K)
        return tf.TensorShape(sizes)

    return (
        step.shape,
        tf.TensorShape([None, None]),
        [cached(tensor) for tensor in flat_cache],
        {name: tf.TensorShape([None] * value.shape.rank) for name, value in state.items()},
    )
