"""One hypothesis per sentence: the likeliest token, or one drawn at random."""

import abc
import dataclasses

import tensorflow as tf

from tflm.generation.protocol import Generated, Request, State, Tensor, trimmed
from tflm.generation.top_k import top_k

# A nucleus is looked for among this many likeliest tokens before the whole vocabulary is sorted.
NUCLEUS_HEAD = 1024


class _SingleRow(abc.ABC):
    """What Greedy and Sample share: all but the choice of the token."""

    @property
    def num_beams(self) -> int:
        """One row per sentence."""
        return 1

    def start(self, request: Request) -> State:
        """Nothing generated, nobody done."""
        shape = request.batch_size[None]
        stop = {} if request.stop_states is None else {"stop": request.stop_states}
        return {
            **stop,
            "done": tf.zeros(shape, tf.bool),
            "finished": tf.zeros(shape, tf.bool),
            "lengths": tf.zeros(shape, tf.int32),
            "log_probs": tf.zeros(shape, tf.float32),
        }

    def choose(
        self,
        logits: Tensor,
        log_normalizers: Tensor,
        history: Tensor,
        step: Tensor,
        state: State,
        request: Request,
    ) -> tuple[Tensor, None, State]:
        """One token per row; rows that are done get padding."""
        tokens = self.pick(logits, step, state)  # (B,)
        log_probs = tf.gather(logits, tokens, batch_dims=1) - log_normalizers
        # A row with every token blocked has no continuation: it ends where it is.
        stuck = tf.math.is_inf(log_probs)
        is_open = tf.logical_not(state["done"])
        ends = is_open & (tokens == request.eos_id)
        extends = is_open & tf.logical_not(stuck) & (tokens != request.eos_id)
        if request.stop is not None:
            state = {**state, "stop": request.stop.after(state["stop"], tokens)}
            ends |= extends & request.stop.is_found(state["stop"])
        state = {
            **state,
            "done": state["done"] | ends | stuck | (step >= request.max_lengths),
            "finished": state["finished"] | (ends & tf.logical_not(stuck)),
            "lengths": state["lengths"] + tf.cast(extends, tf.int32),
            "log_probs": state["log_probs"] + tf.where(is_open, log_probs, 0.0),
        }
        return tf.where(extends, tokens, request.pad_id), None, state

    @abc.abstractmethod
    def pick(self, logits: Tensor, step: Tensor, state: State) -> Tensor:
        """Tokens (B,) int32 from logits (B, V)."""

    def is_done(self, state: State) -> Tensor:
        """Whether every row is done."""
        return tf.reduce_all(state["done"])

    def finish(self, history: Tensor, state: State, request: Request) -> Generated:
        """The history after the prompt, one hypothesis per sentence."""
        token_ids = history[:, tf.shape(request.prompt_ids)[1] :]  # (B, L)
        log_probs = state["log_probs"][:, None]  # (B, 1)
        return trimmed(
            token_ids[:, None],
            state["lengths"][:, None],
            scores=log_probs,
            log_probs=log_probs,
            finished=state["finished"][:, None],
        )


@dataclasses.dataclass(frozen=True)
class Greedy(_SingleRow):
    """Takes the likeliest token at every step; of equals, the lowest id."""

    def pick(self, logits: Tensor, step: Tensor, state: State) -> Tensor:
        """The argmax of every row."""
        return tf.argmax(logits, axis=-1, output_type=tf.int32)


class RandomRow(_SingleRow):
    """What draws its tokens: random numbers, one for each row and step.

    A draw depends on the row's seed, the step and the row's logits, on nothing else.
    """

    def start(self, request: Request) -> State:
        """Draws the call's random numbers."""
        # Philox counts: number i of a row is the same however many are drawn after it.
        uniforms = tf.map_fn(
            lambda key: tf.random.stateless_uniform((request.max_length,), key, alg="philox"),
            row_seeds(request.seed, request.batch_size),
            fn_output_signature=tf.TensorSpec((request.max_length,), tf.float32),
        )  # (B, max_length)
        return {**super().start(request), "uniforms": uniforms}


@dataclasses.dataclass(frozen=True)
class Sample(RandomRow):
    """Draws every token at random from the model's distribution, sharpened and cut.

    The draw depends on the row's seed, the step and the row's logits, on nothing else: a row with
    the same seed gives the same text whatever the batch around it. Filters apply in the order of
    the arguments, each to the distribution that the one before it left.

    Attributes:
        temperature: Divides the logits; below 1 sharpens.
        top_k: Keep this many likeliest tokens; 0 keeps all.
        top_p: Keep the smallest set of likeliest tokens whose probabilities sum to at least this
            (nucleus sampling, Holtzman et al. 2020); 1 keeps all.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self):
        if not self.temperature > 0:
            raise ValueError(f"`temperature` must be positive. Received: {self.temperature}")
        if self.top_k < 0:
            raise ValueError(f"`top_k` must be 0 (off) or more. Received: {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"`top_p` must be above 0 and at most 1. Received: {self.top_p}")

    def pick(self, logits: Tensor, step: Tensor, state: State) -> Tensor:
        """Draws by the inverse of the cumulative distribution, one random number per row."""
        cumulative, mass, token_ids = self._distribution(logits)  # (B, k), (B, 1), (B, k) or None
        uniform = state["uniforms"][:, step - 1, None]  # (B, 1)
        # uniform < 1, so the point lies below `mass` and hits a token of positive probability.
        choice = tf.searchsorted(cumulative, uniform * mass, side="right")  # (B, 1)
        choice = tf.minimum(choice, tf.shape(cumulative)[1] - 1)  # NaN where all are blocked
        if token_ids is not None:
            choice = tf.gather(token_ids, choice, batch_dims=1)
        return choice[:, 0]

    def _distribution(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Cumulative probabilities, the mass to draw from, and the ids unless in vocabulary order.

        The kept tokens are a prefix of the cumulative probabilities, of probability `mass`.
        """
        logits = logits / self.temperature
        if self.top_k:
            vocab_size = logits.shape[-1] or self.top_k
            logits, token_ids = top_k(logits, min(self.top_k, vocab_size))
            cumulative = tf.cumsum(tf.nn.softmax(logits), axis=-1)
        elif self.top_p < 1:
            cumulative, token_ids = self._sorted(tf.nn.softmax(logits))
        else:
            cumulative, token_ids = tf.cumsum(tf.nn.softmax(logits), axis=-1), None
        if self.top_p < 1:
            return cumulative, self._nucleus_mass(cumulative), token_ids
        return cumulative, cumulative[:, -1:], token_ids

    def _nucleus_mass(self, cumulative: Tensor) -> Tensor:
        """(B, 1), the first cumulative probability that reaches `top_p`."""
        reached = tf.where(cumulative >= self.top_p, cumulative, float("inf"))
        return tf.minimum(tf.reduce_min(reached, axis=-1, keepdims=True), cumulative[:, -1:])

    def _sorted(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Cumulative probabilities and ids, likeliest first, at least as far as the nucleus.

        Sorting a vocabulary takes longer than all else here, and a nucleus rarely needs it.
        """

        def cumulated(width: int | Tensor) -> tuple[Tensor, Tensor]:
            values, token_ids = top_k(probabilities, width)
            return tf.cumsum(values, axis=-1), token_ids

        vocab_size = tf.shape(probabilities)[-1]
        head, head_ids = cumulated(tf.minimum(vocab_size, NUCLEUS_HEAD))
        return tf.cond(
            tf.reduce_all(head[:, -1] >= self.top_p),
            lambda: (head, head_ids),
            lambda: cumulated(vocab_size),
        )


def row_seeds(seed: Tensor | int | None, batch_size: Tensor) -> Tensor:
    """The two-number seed of every row, (B, 2) int64.

    Args:
        seed: (B,) integers, one per row; one integer, to which the row number is added as the
            second number; or None, which draws it from TensorFlow's global generator, anew at
            every call of a graph.
        batch_size: Scalar int32, B.

    Raises:
        ValueError: `seed` is of another shape.
    """
    if seed is None:
        seed = tf.random.uniform((), maxval=2**62, dtype=tf.int64)
    seed = tf.cast(seed, tf.int64)
    rows = tf.range(tf.cast(batch_size, tf.int64))
    if seed.shape.rank == 0:
        return tf.stack([tf.broadcast_to(seed, tf.shape(rows)), rows], axis=-1)
    if seed.shape.rank == 1:
        return tf.stack([seed, tf.zeros_like(seed)], axis=-1)
    raise ValueError(f"`seed` must be one integer or one per row. Received: shape={seed.shape}")
