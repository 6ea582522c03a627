"""A decoder that answers texts as an encoder-decoder does: it goes on writing after a prompt.

prompt    "{text} TL;DR:"
read      <s> Anna: Shall we meet at noon? ... TL;DR:     what is too long is cut before TL;DR:
written   Anna wants to meet at noon. </s>                what is learned
"""

from collections.abc import Sequence
from typing import Any

from keras import ops

from tflm.data.rows import special_id
from tflm.export import special_ids
from tflm.models.base import Decoder
from tflm.tokenizers import Tokenizer

PLACE = "{text}"


class PromptedDecoder:
    """A decoder in the place of an encoder-decoder, for `TranslationBatches` and `TextToText`.

    The source is the text in its prompt but for the prompt's last token, with which the target
    starts. Encoding does nothing: source and target are read in one call of the decoder's `decode`,
    so that training and prefilling are one path, and only the target's logits come of it. What is
    counted and blocked of what is written, n-grams say, is the target's alone.

    Args:
        model: a decoder.
        tokenizer: its tokenizer, which has an end token.
        prompt: a text with `{text}` once, and something after it.

    Attributes:
        SOURCE_START, SOURCE_END, TARGET_START: ids around the text, see
            `tflm.models.EncoderDecoder`.

    Raises:
        ValueError: `prompt` is something else, or the tokenizer has no end token.
    """

    NEVER_WRITTEN: Sequence[str] = ()

    def __init__(self, model: Decoder, tokenizer: Tokenizer, prompt: str):
        self.model = model
        before, _, after = prompt.partition(PLACE)
        first, last = tokenizer.tokenize([before, after]).to_list()
        if prompt.count(PLACE) != 1 or not last:
            raise ValueError(
                f"`prompt` must have {PLACE} once, and something after it. Received: {prompt!r}"
            )
        (end_id,) = special_ids(tokenizer, ("eos",))
        begin_id = special_id(tokenizer, "bos_id")
        self.SOURCE_START = (end_id if begin_id is None else begin_id, *first)
        self.SOURCE_END = tuple(last[:-1])
        self.TARGET_START = (last[-1],)

    @property
    def weights(self) -> Any:
        """The decoder's."""
        return self.model.weights

    @property
    def num_special(self) -> int:
        """Tokens of a source that are not its text's."""
        return len(self.SOURCE_START) + len(self.SOURCE_END)

    def encode(self, token_ids: Any, padding_mask: Any, training: bool | None = None) -> Any:
        """Token ids `(B, S)` -> themselves: they are read with the target's first."""
        return token_ids

    def start(
        self,
        memory: Any,
        padding_mask: Any,
        max_length: int | None = None,
        token_ids: Any = None,
    ) -> dict:
        """The decoder's empty cache, and the source that it has yet to read.

        Args:
            memory: what `encode` gave, ids `(B, S)`.
            padding_mask: boolean `(B, S)`, its padding on the right.
            max_length: not needed: the task sees to it that there is room.
            token_ids: not needed.
        """
        source, mask = _moved_right(memory, padding_mask)
        return {**self.model.start(mask), "source": source}

    def decode(
        self, token_ids: Any, cache: dict, index: Any = 0, training: bool | None = None
    ) -> tuple[Any, dict]:
        """Target token ids `(N, T)` at the positions `index …` -> logits `(N, T, V)`, cache.

        Where the cache says "last_only", the logits may be those of the last token.
        """
        cache = dict(cache)
        source = cache.pop("source", None)
        if source is None:
            index = index + cache["num_read"]
            return self.model.decode(token_ids, cache, index, training=training)
        num_read, length = ops.shape(source)[1], ops.shape(token_ids)[1]
        token_ids = ops.concatenate([source, token_ids], axis=1)  # (B, S + T)
        cache["unread"] = num_read
        logits, cache = self.model.decode(token_ids, cache, 0, training=training)
        del cache["unread"]
        return logits[:, -length:], {**cache, "num_read": num_read}

    def __call__(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Logits `(B, T, V)` of the token after each target token, all positions at once.

        Args:
            inputs: as `tflm.models.EncoderDecoder.call` takes them.
            training: whether dropout is on.
        """
        cache = self.start(inputs["encoder_token_ids"], inputs["encoder_padding_mask"])
        cache = {**cache, "step": {**cache["step"], "layers": None}}
        logits, _ = self.decode(inputs["decoder_token_ids"], cache, 0, training=training)
        return logits


def _moved_right(token_ids: Any, padding_mask: Any) -> tuple[Any, Any]:
    """Ids and mask `(B, S)` with the padding on the right -> the same with it on the left."""
    length = ops.shape(token_ids)[1]
    missing = length - ops.sum(ops.cast(padding_mask, "int32"), axis=1)  # (B,)
    places = ops.arange(length, dtype="int32")[None] - missing[:, None]  # (B, S)
    moved = ops.take_along_axis(token_ids, ops.maximum(places, 0), axis=1)
    return moved, places >= 0
