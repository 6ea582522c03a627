"""Text infilling, BART's pretraining: the text as it was before words were lost.

text       "Thank you <mask> me to your party <mask> week."
answer     "Thank you for inviting me to your party last week."

task = TextInfilling.from_texts("corpus/", "bart/base", vocab_size=8000)
task.compile()
task.fit("corpus/", epochs=10)
task("Thank you <mask> me to your party <mask> week.")
"""

from typing import Any, ClassVar

from tflm.data import Infilling
from tflm.data.masking import mask_of
from tflm.models import EncoderDecoder
from tflm.tasks.denoising import DenoisingTask
from tflm.tokenizers import Tokenizer
from tflm.tokenizers.pieces import Pieces
from tflm.tokenizers.spelled_out import SpelledOut

MASK = "<mask>"  # how tokenizers trained here spell it


class TextInfilling(DenoisingTask):
    """Writes a text anew, without the damage, with any encoder-decoder.

    It learns from texts, and parts of long ones, that have lost 30 % of their words, with a mask in
    the place of each span, and whose sentences have changed places, differently in every epoch; see
    `tflm.data.Infilling`.

    Args:
        model: an `EncoderDecoder`.
        tokenizer: its tokenizer, with a mask.
        **kwargs: `strategy` and `limits`, see `DenoisingTask`.

    Raises:
        TypeError: `model` is not an encoder-decoder.
        ValueError: the tokenizer has no mask, lacks another special token, or has more pieces than
            the model has embeddings.
    """

    CONTROL_SYMBOLS: ClassVar = [MASK]

    def __init__(self, model: EncoderDecoder, tokenizer: Tokenizer, **kwargs: Any):
        super().__init__(model, tokenizer, **kwargs)
        mask_id = mask_of(tokenizer)
        pieces = Pieces.of(tokenizer)
        self.mask_token = pieces.content(mask_id) or MASK
        self.spelled_out = SpelledOut(tokenizer, pieces, {self.mask_token: mask_id})

    def noise(self) -> Infilling:
        """BART's."""
        return Infilling(self.tokenizer)

    def restored(self, text: str, ids: list[int]) -> str:
        """What the model has written; of nothing, nothing."""
        return self.tokenizer.detokenize([ids]).numpy()[0].decode() if text else ""
