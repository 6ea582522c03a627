"""Summarization: a text, and in fewer words what it says.

text      "#Person1#: Shall we meet at noon? #Person2#: I'd rather have lunch at one. ..."
summary   "#Person1# and #Person2# will have lunch at one."

pairs = [("#Person1#: Shall we ...", "#Person1# and #Person2# will ..."), ...]
task = Summarization.from_pairs(pairs, "pointer_generator/small", vocab_size=8000)
task.compile()
task.fit(pairs, epochs=30)
task("#Person1#: Are you free on Monday? ...")
"""

from typing import Any, ClassVar

from tflm.generation import Limits
from tflm.tasks.sequence_to_sequence import SequenceToSequence


class Summarization(SequenceToSequence):
    """Summarizes with an encoder-decoder; `pointer_generator` is the one that copies.

    Trained without pretraining, copying is worth more than anything else. No three tokens are
    written twice (trigram blocking, Paulus et al. 2017, https://arxiv.org/abs/1705.04304, section
    2.5), and `Limits.coverage_penalty` keeps a beam of a model that copies from saying again what
    it has said.

    Args:
        *args: model and tokenizers, as of `SequenceToSequence`.
        max_length_ratio: most tokens written for each token read, 0.5 say; a short text gets a
            short summary. By default `limits.max_length` is the only bound.
        **kwargs: `strategy`, `limits` (`min_length`, `max_length`, ...) and `max_source_length`, as
            of `SequenceToSequence`.

    Raises:
        ValueError: `max_length_ratio` is not positive; or as `SequenceToSequence`.
    """

    PRESET = "pointer_generator/small"
    LIMITS = Limits(max_length=128, no_repeat_ngram_size=3)
    MAX_SOURCE_LENGTH = 1024
    OPTIONS: ClassVar[tuple[str, ...]] = (*SequenceToSequence.OPTIONS, "max_length_ratio")

    def __init__(self, *args: Any, max_length_ratio: float | None = None, **kwargs: Any):
        if max_length_ratio is not None and not max_length_ratio > 0:
            raise ValueError(f"`max_length_ratio` must be positive. Received: {max_length_ratio}")
        super().__init__(*args, **kwargs)
        self.max_length_ratio = max_length_ratio

    def length_cap(self) -> dict[str, Any]:
        """`max_length_ratio` of `tflm.export.TextToText`."""
        return {"max_length_ratio": self.max_length_ratio}

    def batch_limits(self, training: bool) -> dict[str, Any]:
        """Long texts are cut in training as they are in use."""
        return {
            "max_length": self.limits.max_length,
            "max_source_length": self.max_source_length,
            "tokens_per_batch": max(8192, self.max_source_length),
        }
