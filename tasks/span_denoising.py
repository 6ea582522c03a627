"""Span denoising, T5's pretraining: what stood in the places of sentinels.

text       "Thank you <extra_id_0> me to your party <extra_id_1> week."
written    "<extra_id_0> for inviting <extra_id_1> last <extra_id_2>"
answer     "Thank you for inviting me to your party last week."

task = SpanDenoising.from_texts("corpus/", "t5/small", vocab_size=8000)
task.compile()
task.fit("corpus/", epochs=10)
task("Thank you <extra_id_0> me to your party <extra_id_1> week.")
"""

from typing import Any, ClassVar

from tflm.data import SpanCorruption
from tflm.data.denoising import sentinels_of
from tflm.models import EncoderDecoder
from tflm.tasks.denoising import DenoisingTask
from tflm.tokenizers import Tokenizer
from tflm.tokenizers.pieces import Pieces
from tflm.tokenizers.spelled_out import SpelledOut


class SpanDenoising(DenoisingTask):
    """Writes the spans that a text has lost, with any encoder-decoder.

    It learns from texts, and parts of long ones, that have lost 15 % of their tokens in spans of 3
    on average, others in every epoch; see `tflm.data.SpanCorruption`.

    Args:
        model: an `EncoderDecoder`.
        tokenizer: its tokenizer, with sentinels `<extra_id_0>`, `<extra_id_1>`, ...
        **kwargs: `strategy` and `limits`, see `DenoisingTask`.

    Raises:
        TypeError: `model` is not an encoder-decoder.
        ValueError: the tokenizer has no sentinels, lacks another special token, or has more pieces
            than the model has embeddings.
    """

    CONTROL_SYMBOLS: ClassVar = [f"<extra_id_{i}>" for i in range(100)]  # T5's number of them

    def __init__(self, model: EncoderDecoder, tokenizer: Tokenizer, **kwargs: Any):
        super().__init__(model, tokenizer, **kwargs)
        sentinels = sentinels_of(tokenizer)
        if not sentinels:
            raise ValueError(
                "`tokenizer` must have sentinels <extra_id_0>, <extra_id_1>, ... (train "
                "SentencePiece's with them as control_symbols). "
                f"Received: {type(tokenizer).__name__} without"
            )
        self.sentinels = {f"<extra_id_{i}>": id_ for i, id_ in enumerate(sentinels)}
        self.spelled_out = SpelledOut(tokenizer, Pieces.of(tokenizer), self.sentinels)

    def noise(self) -> SpanCorruption:
        """T5's."""
        return SpanCorruption(self.tokenizer)

    def restored(self, text: str, ids: list[int]) -> str:
        """The text with the span that is written behind each sentinel in its place.

        Raises:
            ValueError: the text has no sentinel, or has one twice.
        """
        wanted = self.spelled_out.find(text)
        if not wanted or len(set(wanted)) < len(wanted):
            raise ValueError(
                "`texts` must hold sentinels, <extra_id_0> and so on, each once. "
                f"Received: {text!r}"
            )
        spans: dict[int, list[int]] = {}
        span: list[int] = []
        known = set(self.sentinels.values())
        for id_ in ids:
            if id_ in known:
                span = spans.setdefault(id_, [])
            else:
                span.append(id_)
        found = [spans.get(self.sentinels[sentinel], []) for sentinel in wanted]
        return self.spelled_out.fill(text, found)
