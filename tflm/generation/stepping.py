"""Decoding one text a token at a time, for who wants each token when it is there.

The arithmetic is the loop's. Two functions are traced, one that reads a prompt and one that reads
a token, whatever the prompt, and however many tokens are asked for. What was read is kept, so that
a text which goes on is not read again from its beginning.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from tflm.generation.constraints import Limits
from tflm.generation.loop import Steps
from tflm.generation.protocol import Decode, Request, State, Strategy, Tensor


class Reading:
    """What a decoder has read of one text.

    Args:
        start: Gives the model's cache before the first token, of one row.

    Attributes:
        ids: The tokens.
        cache: What the model keeps of them.
        num_read: Tokens read in all, those forgotten included.
    """

    def __init__(self, start: Callable[[], dict[str, Any]]):
        self._start = start
        self.ids: list[int] = []
        self.cache = start()
        self.num_read = 0

    def keep_prefix(self, ids: Sequence[int]) -> int:
        """Forgets what `ids` do not begin with; of a state that only goes on, all or nothing.

        Returns:
            How many tokens are left.
        """
        pairs = enumerate(zip(self.ids, ids))  # noqa: B905 - the shorter ends it
        count = min(len(self.ids), len(ids))
        count = next((i for i, (ours, theirs) in pairs if ours != theirs), count)
        step = self.cache["step"]
        if count < len(self.ids) and any(t.shape.rank in (2, 3) for t in tf.nest.flatten(step)):
            self.cache, count = self._start(), 0
        elif count < len(self.ids):
            step = tf.nest.map_structure(
                lambda t: t[:, :, :count] if t.shape.rank == 4 else t, step
            )
            self.cache = {**self.cache, "step": step}
        self.ids = self.ids[:count]
        return count

    def extend(self, ids: Sequence[int], step: Any) -> None:
        """Notes that `ids` were read, and what the model keeps now."""
        self.num_read += len(ids)
        self.ids = [*self.ids, *ids]
        self.cache = {**self.cache, "step": step}


class Stepper:
    """Continues one text after another, a token at a time.

    Args:
        decode: The model's step, as for `generate`.
        strategy: `Greedy` or `Sample`; what a beam has found is not known before its end.
        limits: Its `max_length` is not looked at: each text has its own.
        eos_id: The id that ends a text.
        pad_id: The id of no token.

    Raises:
        ValueError: `strategy` follows several texts at once.
    """

    def __init__(
        self, decode: Decode, *, strategy: Strategy, limits: Limits, eos_id: int, pad_id: int
    ):
        if strategy.num_beams > 1:
            raise ValueError(
                "`strategy` must be Greedy or Sample: what a beam has found is not known before "
                f"its end. Received: strategy={strategy}"
            )
        self._decode = decode
        self._strategy = strategy
        self._limits = limits
        self._eos_id, self._pad_id = eos_id, pad_id
        self._functions: tuple[Any, Any] | None = None

    def tokens(
        self, reading: Reading, prompt_ids: Sequence[int], max_length: int, seed: int
    ) -> Iterator[int]:
        """Continues a prompt, of which only what `reading` does not hold is read.

        Args:
            reading: What was read before; each token is in it when the next one is given.
            prompt_ids: One at least.
            max_length: Most tokens to give, eos included.
            seed: For `Sample`; gives what `generate` gives for `seed=[seed]`.

        Yields:
            The tokens as they are chosen, without eos.
        """
        # The last token is read in any case: its logits are asked for.
        known = reading.keep_prefix(prompt_ids[:-1])
        prompt = tf.constant([prompt_ids], tf.int32)  # (1, P)
        limit = tf.constant([max_length])  # (1,)
        request = self._request(prompt, limit, max_length, tf.constant([seed], tf.int64))
        state = self._strategy.start(request)
        first, following = self._functions or self._trace(reading.cache, state)
        cache = reading.cache
        others = {name: value for name, value in cache.items() if name != "step"}
        history, step, state = first(
            prompt, tf.constant(known), cache["step"], others, state, limit
        )
        reading.extend(prompt_ids[known:], step)
        for number in itertools.count(1):
            if int(state["lengths"][0]) < number:  # it was eos
                return
            token = int(history[0, -1])
            yield token
            if bool(state["done"][0]):
                return
            history, step, state = following(
                tf.constant(number + 1), history, step, others, state, limit
            )
            reading.extend([token], step)

    def _trace(self, cache: dict[str, Any], state: State) -> tuple[Any, Any]:
        """The two functions, for tensors like these of any number of positions."""

        def spec(tensor: Tensor) -> tf.TensorSpec:
            sizes = list(tensor.shape)
            if len(sizes) == 4:
                sizes[2] = None  # (1, H, t, K)
            return tf.TensorSpec(sizes, tensor.dtype)

        others = {name: value for name, value in cache.items() if name != "step"}
        text, number = tf.TensorSpec((1, None), tf.int32), tf.TensorSpec((), tf.int32)
        shared = [
            tf.nest.map_structure(spec, cache["step"]),
            tf.nest.map_structure(spec, others),
            {
                name: tf.TensorSpec([1, *[None] * (value.shape.rank - 1)], value.dtype)
                for name, value in state.items()
            },
            tf.TensorSpec((1,), tf.int32),
        ]

        @tf.function(input_signature=[text, number, *shared], autograph=False)
        def first(
            prompt: Tensor, index: Tensor, step_cache: Any, others: Any, state: State, limit: Tensor
        ) -> Any:
            return self._steps(prompt, {**others, "step": step_cache}, limit).first(state, index)

        @tf.function(input_signature=[number, text, *shared], autograph=False)
        def following(
            step: Tensor, history: Tensor, step_cache: Any, others: Any, state: State, limit: Tensor
        ) -> Any:
            steps = self._steps(history, {**others, "step": step_cache}, limit)
            return steps.next(step, history, step_cache, state)

        self._functions = first, following
        return first, following

    def _steps(self, text: Tensor, cache: dict[str, Any], limit: Tensor) -> Steps:
        # Random numbers are drawn when a text is begun: neither their number nor the seed is read.
        request = self._request(text, limit, 0, None)
        return Steps(self._decode, cache, self._strategy, self._limits, request)

    def _request(self, text: Tensor, limit: Tensor, count: int, seed: Any) -> Request:
        return Request(text, limit, count, self._eos_id, self._pad_id, seed)
