"""What the decoding loop needs from a model, asks of a strategy and gives back.

Shapes: B sentences, N = B x beams rows in the loop, P prompt length, L generated length,
V vocabulary, n hypotheses per sentence.
"""

import dataclasses
from typing import Any, Protocol

import tensorflow as tf

Tensor = tf.Tensor
State = dict[str, tf.Tensor]


class Stop(Protocol):
    """Follows what is written, and says when a text ends; see `tflm.generation.stopping`."""

    def after(self, states: Tensor, tokens: Tensor) -> Tensor:
        """States after a token each, int32 of the same shape."""
        ...

    def is_found(self, states: Tensor) -> Tensor:
        """Whether a text ends in each state, boolean of the same shape."""
        ...


class Decode(Protocol):
    """One forward step of a decoder; a model's bound `decode` method is one."""

    def __call__(
        self, token_ids: Tensor, cache: dict[str, Any], index: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Reads `token_ids` (N, T) after `index` cached positions.

        Args:
            token_ids: (N, T) int32.
            cache: `"step"`, a nest of tensors with leading dimension N, of which those of rank 4
                are (N, H, t, K) and grow along t and all others keep their shape; and
                `"memory"`, a nest with leading dimension B that stays as it is. Row r of N
                belongs to sentence `r // (N // B)`. `"last_only"` says that the logits of the
                last token are all that is read of a prompt's: a model may leave out the others.
            index: Scalar int32, the number of positions already in the cache.

        Returns:
            Logits (N, T, V), or (N, 1, V), and the cache with the T positions added; for a
            `coverage_penalty` also `"overlap"` (N, T), how much of what each token attends to had
            been attended to before.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Request:
    """What a strategy may know about one call of `generate`.

    Attributes:
        prompt_ids: (B, P) int32.
        max_lengths: (B,) int32, the most tokens each row may generate, eos included.
        max_length: Upper bound of `max_lengths`.
        eos_id: The id that ends a text.
        pad_id: The id written after the end.
        seed: None, one integer, or (B,) integers.
        stop: What else ends a text, if anything does.
        stop_states: (B,) int32, its states before the first token.
        num_forced: How many tokens at the end of the prompt count as written in a length penalty.
        prompt_mask: (B, P) bool, False at padding; None where there is none.
    """

    prompt_ids: Tensor
    max_lengths: Tensor
    max_length: int
    eos_id: int
    pad_id: int
    seed: Tensor | int | None
    stop: Stop | None = None
    stop_states: Tensor | None = None
    num_forced: int = 0
    prompt_mask: Tensor | None = None

    @property
    def batch_size(self) -> Tensor:
        """Scalar int32, the number of sentences B."""
        return tf.shape(self.prompt_ids)[0]


@dataclasses.dataclass(frozen=True)
class Generated:
    """The answer to one call of `generate`, best hypothesis first.

    A sentence with fewer than n possible hypotheses has empty ones at the end, with `scores` and
    `log_probs` of minus infinity. `vars(generated)` is a flat dict, for a `tf.function` to return.

    Attributes:
        token_ids: (B, n, L) int32, prompt and eos excluded, `pad_id` after the end. L is the
            longest length in the batch.
        lengths: (B, n) int32, tokens before the padding, so eos is not counted.
        scores: (B, n) float32, what hypotheses are sorted by: for a beam `log_probs` divided by
            the length penalty, else `log_probs`.
        log_probs: (B, n) float32, sum of the tokens' log-probabilities, eos included. They are
            those of the model's distribution after the repetition penalty, less the coverage
            penalty, and before temperature, top-k, top-p and blocked tokens, none of which
            renormalises them.
        finished: (B, n) bool, True when ended by eos or a stop string, the tokens of which are
            there; False when cut at the length limit.
    """

    token_ids: Tensor
    lengths: Tensor
    scores: Tensor
    log_probs: Tensor
    finished: Tensor


class Strategy(Protocol):
    """Turns logits into tokens; the loop owns the model, its cache and the history.

    The state is a flat dict of tensors whose ranks and dtypes are constant; sizes may change.
    """

    @property
    def num_beams(self) -> int:
        """Rows in the loop per sentence, N / B."""
        ...

    def start(self, request: Request) -> State:
        """The state before the first token."""
        ...

    def choose(
        self,
        logits: Tensor,
        log_normalizers: Tensor,
        history: Tensor,
        step: Tensor,
        state: State,
        request: Request,
    ) -> tuple[Tensor, Tensor | None, State]:
        """Chooses token number `step` (from 1) of every row.

        Args:
            logits: (N, V) float32, minus infinity where a token is blocked.
            log_normalizers: (N,) float32; `logits - log_normalizers` are log-probabilities.
            history: (N, P + step - 1) int32, prompt and tokens so far.
            step: Scalar int32.
            state: What `start` or the last `choose` returned.
            request: The call's constants.

        Returns:
            Tokens (N,) int32; parents (N,) int32, the row each token continues, or None when
            every row continues itself; and the next state.
        """
        ...

    def is_done(self, state: State) -> Tensor:
        """Scalar bool, whether no row can change any more."""
        ...

    def finish(self, history: Tensor, state: State, request: Request) -> Generated:
        """The answer, from the whole history (N, P + steps)."""
        ...


def trimmed(
    token_ids: Tensor, lengths: Tensor, scores: Tensor, log_probs: Tensor, finished: Tensor
) -> Generated:
    """The answer without the columns that are padding in every row."""
    longest = tf.maximum(tf.reduce_max(lengths), 0)  # of nothing, the maximum is the least int32
    return Generated(token_ids[:, :, :longest], lengths, scores, log_probs, finished)
