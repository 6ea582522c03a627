"""Beam search whose finished hypotheses are out of the beam, and whose early stop is exact."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tflm.generation.protocol import Generated, Request, State, Tensor, trimmed
from tflm.generation.top_k import top_k

NEVER = -float("inf")

# What divides a log-probability, from the length in tokens, eos included, and alpha.
LENGTH_PENALTIES: dict[str, Callable[[Tensor, float | Tensor], Tensor]] = {
    "gnmt": lambda length, alpha: ((5.0 + length) / 6.0) ** alpha,  # Wu et al. 2016, equation 14
    "power": lambda length, alpha: length**alpha,  # Hugging Face's `length_penalty`
    "none": lambda length, alpha: tf.ones_like(length),
}


@dataclasses.dataclass(frozen=True)
class Beam:
    """Keeps the `num_beams` likeliest texts at every step and returns the best that end.

    Each step ranks the continuations of all live beams of a sentence. An eos among the first
    `num_beams` ends a hypothesis, which leaves the beam for a pool of the best finished ones; the
    `num_beams` likeliest others live on, so that an ending never costs a live beam its place
    (2 x num_beams candidates are enough: each beam has one eos). Beams still alive at the length
    limit enter the pool unfinished and compete by their score. A token with which a text holds a
    stop string ends it as an eos does; a beam may have several such, so that of the candidates
    fewer than `num_beams` may be left to live on.

    A sentence stops early only when no live beam can reach the pool any more, so the answer is
    that of the full search. A log-probability only falls, so a live beam's best future score is
    its present log-probability over the largest penalty ahead; penalties are monotonic in the
    length, so that is at the next step or at the limit, whatever the sign of `alpha`. It is
    compared with the `num_return`-th best of the pool: lower places are never returned, and the
    pool does not act on the beam, so the pool holds no more than `num_return`.

    Attributes:
        num_beams: Live texts per sentence.
        num_return: Hypotheses to return, distinct, best first.
        length_penalty: A name in `LENGTH_PENALTIES`.
        alpha: Exponent of the penalty, a number or (B,) float32, one per sentence; above 0 favours
            long texts, below 0 short ones.
    """

    num_beams: int = 4
    num_return: int = 1
    length_penalty: str = "gnmt"
    alpha: float | Tensor = 0.6

    def __post_init__(self):
        if self.num_beams < 1:
            raise ValueError(f"`num_beams` must be at least 1. Received: {self.num_beams}")
        if not 1 <= self.num_return <= self.num_beams:
            raise ValueError(
                "`num_return` must be between 1 and `num_beams`. "
                f"Received: num_return={self.num_return}, num_beams={self.num_beams}"
            )
        if self.length_penalty not in LENGTH_PENALTIES:
            raise ValueError(
                f"`length_penalty` must be one of {sorted(LENGTH_PENALTIES)}. "
                f"Received: {self.length_penalty!r}"
            )

    def start(self, request: Request) -> State:
        """One live beam per sentence, the others dead, and an empty pool."""
        shape = tf.stack([request.batch_size, self.num_return])
        live = tf.one_hot([0], self.num_beams, on_value=0.0, off_value=NEVER)  # (1, beams)
        stop = {}
        if request.stop_states is not None:
            stop = {"stop": tf.repeat(request.stop_states[:, None], self.num_beams, axis=1)}
        return {
            **stop,
            "live": tf.repeat(live, request.batch_size, axis=0),
            "scores": tf.fill(shape, NEVER),
            "log_probs": tf.fill(shape, NEVER),
            "lengths": tf.zeros(shape, tf.int32),
            "finished": tf.zeros(shape, tf.bool),
            "token_ids": tf.repeat(request.prompt_ids[:, None], self.num_return, axis=1),
        }

    def choose(
        self,
        logits: Tensor,
        log_normalizers: Tensor,
        history: Tensor,
        step: Tensor,
        state: State,
        request: Request,
    ) -> tuple[Tensor, Tensor, State]:
        """Ends what ends, keeps the likeliest others alive."""
        # Of one beam never more than its eos and `num_beams` others are wanted, unless more tokens
        # than eos end a text: rank those, not beams x vocabulary.
        width = self.num_beams + 1 if request.stop is None else 2 * self.num_beams
        log_probs, parents, tokens = self._candidates(logits, log_normalizers, state["live"], width)
        at_limit = (step >= request.max_lengths)[:, None]  # (B, 1)
        ends = is_eos = tokens == request.eos_id
        stop_states = None
        if request.stop is not None:
            stop_states = tf.gather(state["stop"], parents, batch_dims=1)  # (B, 2 x beams)
            stop_states = request.stop.after(stop_states, tokens)
            ends = is_eos | request.stop.is_found(stop_states)
        in_beam = tf.range(2 * self.num_beams) < self.num_beams
        pool = self._pool(
            tf.where(at_limit | (ends & in_beam), log_probs, NEVER),
            parents,
            tf.where(is_eos, request.pad_id, tokens),
            is_eos,
            ends,
            history,
            step,
            state,
            request,
        )
        live, chosen = tf.math.top_k(tf.where(at_limit | ends, NEVER, log_probs), self.num_beams)
        ahead = tf.maximum(
            self._penalty(step + 1, request), self._penalty(request.max_lengths, request)
        )  # (B,)
        hopeless = live[:, 0] / ahead <= pool["scores"][:, -1]
        live = tf.where(hopeless[:, None], NEVER, live)  # (B, beams)

        parents = tf.gather(parents, chosen, batch_dims=1)  # (B, beams)
        first_rows = tf.range(request.batch_size)[:, None] * self.num_beams
        tokens = tf.gather(tokens, chosen, batch_dims=1)
        state = {"live": live, **pool}
        if stop_states is not None:
            state["stop"] = tf.gather(stop_states, chosen, batch_dims=1)  # (B, beams)
        return tf.reshape(tokens, (-1,)), tf.reshape(first_rows + parents, (-1,)), state

    def is_done(self, state: State) -> Tensor:
        """Whether no beam of any sentence is alive."""
        return tf.reduce_all(state["live"] == NEVER)

    def finish(self, history: Tensor, state: State, request: Request) -> Generated:
        """The pool."""
        return trimmed(
            state["token_ids"][:, :, tf.shape(request.prompt_ids)[1] :],
            state["lengths"],
            scores=state["scores"],
            log_probs=state["log_probs"],
            finished=state["finished"],
        )

    def _penalty(self, length: Tensor, request: Request) -> Tensor:
        length = tf.cast(length + request.num_forced, tf.float32)
        return LENGTH_PENALTIES[self.length_penalty](length, self.alpha)

    def _candidates(
        self, logits: Tensor, log_normalizers: Tensor, live: Tensor, width: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The 2 x beams likeliest continuations, each (B, 2 x beams): log-prob, beam, token.

        They are looked for among the `width` likeliest of each beam.
        """
        width = min(width, logits.shape[-1] or width)
        best, tokens = top_k(logits, width)  # (N, width)
        log_probs = best - log_normalizers[:, None]
        log_probs = tf.reshape(log_probs, (-1, self.num_beams, width)) + live[:, :, None]
        flat = (-1, self.num_beams * width)
        log_probs, found = tf.math.top_k(tf.reshape(log_probs, flat), 2 * self.num_beams)
        return log_probs, found // width, tf.gather(tf.reshape(tokens, flat), found, batch_dims=1)

    def _pool(
        self,
        log_probs: Tensor,
        parents: Tensor,
        last_tokens: Tensor,
        is_eos: Tensor,
        ends: Tensor,
        history: Tensor,
        step: Tensor,
        state: State,
        request: Request,
    ) -> State:
        """The best of the pool and the candidates (B, 2 x beams) that end now.

        Of equal scores the earlier hypothesis stays, and an empty place is never better than
        another, so candidates of log-probability minus infinity do not enter.
        """
        penalty = tf.expand_dims(self._penalty(step, request), -1)  # (1,) or (B, 1)
        scores = tf.concat([state["scores"], log_probs / penalty], axis=1)
        scores, kept = tf.math.top_k(scores, self.num_return)  # (B, n)

        def take(pooled: Tensor, candidates: Tensor) -> Tensor:
            return tf.gather(tf.concat([pooled, candidates], axis=1), kept, batch_dims=1)

        # Texts are gathered without their last token, from the pool (n) or the live beams.
        places = tf.zeros_like(state["lengths"]) + tf.range(self.num_return)  # (B, n)
        sources = take(places, self.num_return + parents)
        width = tf.shape(history)[1]
        beams = tf.reshape(history, (-1, self.num_beams, width))  # (B, beams, P + step - 1)
        texts = tf.concat([state["token_ids"], beams], axis=1)
        texts = tf.gather(texts, sources, batch_dims=1)  # (B, n, P + step - 1)
        last = take(tf.fill(tf.shape(places), request.pad_id), last_tokens)
        return {
            "scores": scores,
            "log_probs": take(state["log_probs"], log_probs),
            "lengths": take(state["lengths"], step - tf.cast(is_eos, tf.int32)),
            "finished": take(state["finished"], ends),
            "token_ids": tf.concat([texts, last[:, :, None]], axis=2),
        }
