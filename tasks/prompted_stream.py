"""A prompted decoder's answer as a stream, a token at a time.

text      "Anna: Shall we meet at noon? ..."      read at once, in its prompt
pieces    "Anna" " wants to" " meet" "."          each as soon as it is written
"""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tflm.export.token_ids import encode_texts, padding_id, special_ids
from tflm.generation import Greedy, Limits, Sample
from tflm.generation.stepping import Reading, Stepper
from tflm.tasks.prompted_decoder import PromptedDecoder
from tflm.tasks.string_tensors import string_tensor
from tflm.tasks.text_stream import TextStream
from tflm.tokenizers import Tokenizer


class PromptedStream:
    """Answers one text after another, as `tflm.export.TextToText` answers many.

    The source is read first, in one call; then the target is a text of its own, of which what is
    counted and blocked is the target's alone.

    Args:
        prompted: a decoder in its prompt.
        tokenizer: its tokenizer.
        strategy: `Greedy` or `Sample`.
        limits: as for the task; each text has its own `max_length`.
        max_source_length: tokens read of a text, those of the prompt included; what is too long is
            cut.

    Raises:
        ValueError: the strategy follows several texts at once.
    """

    def __init__(
        self,
        prompted: PromptedDecoder,
        tokenizer: Tokenizer,
        *,
        strategy: Greedy | Sample,
        limits: Limits,
        max_source_length: int,
    ):
        self._prompted = prompted
        self._tokenizer = tokenizer
        self._max_source_length = max_source_length
        (eos_id,) = special_ids(tokenizer, ("eos",))
        self._stepper = Stepper(
            functools.partial(prompted.decode, training=False),
            strategy=strategy,
            limits=limits,
            eos_id=eos_id,
            pad_id=padding_id(tokenizer),
        )
        self._text_stream = TextStream(tokenizer, self._detokenized)
        self._after = tf.function(
            self._step_after,
            input_signature=[tf.TensorSpec([1, None], tf.int32)],
            autograph=False,
        )

    def pieces(
        self, text: str, max_length: int, max_length_ratio: float | None, seed: int
    ) -> Iterator[str]:
        """The answer to a text, in strings of whole characters; none to a text without tokens.

        Args:
            text: a text of any length.
            max_length: most tokens of the answer, its end included.
            max_length_ratio: the same for each token read, of which there is one at least.
            seed: for `Sample`.
        """
        prompted = self._prompted
        ids, _, _ = encode_texts(
            self._tokenizer,
            string_tensor("text", [text]),
            self._max_source_length,
            prompted.SOURCE_START,
            prompted.SOURCE_END,
        )  # (1, S)
        num_read = int(ids.shape[1])
        if num_read == prompted.num_special:
            return
        if max_length_ratio is not None:
            max_length = min(max_length, max(1, most_tokens(num_read, max_length_ratio)))
        step = self._after(ids)
        start = prompted.model.start(tf.ones((1, 1), tf.bool))
        reading = Reading(lambda: {**start, "step": step, "num_read": tf.constant(num_read)})
        tokens = self._stepper.tokens(reading, prompted.TARGET_START, max_length, seed)
        yield from self._text_stream.pieces(tokens, ())

    def _step_after(self, token_ids: Any) -> Any:
        """Source ids `(1, S)` -> what the decoder's cache holds of them."""
        model = self._prompted.model
        cache = {**model.start(tf.ones_like(token_ids, tf.bool)), "last_only": True}
        _, cache = model.decode(token_ids, cache, 0, training=False)
        return cache["step"]

    def _detokenized(self, read: list[int], written: list[int]) -> str:
        texts = self._tokenizer.detokenize(tf.ragged.constant([written], tf.int32))
        return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8").numpy()[0].decode()


def most_tokens(num_read: int, max_length_ratio: float) -> int:
    """The most tokens that a text may be answered with: in float32, as the graph computes it."""
    return int(np.float32(num_read) * np.float32(max_length_ratio))
