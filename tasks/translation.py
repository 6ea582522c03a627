"""Translation: a sentence in one language, the same sentence in another.

source   "Two dogs are playing in the snow."
target   "Zwei Hunde spielen im Schnee."

pairs = [("Two dogs are playing in the snow.", "Zwei Hunde spielen im Schnee."), ...]
task = Translation.from_pairs(pairs, "transformer/tiny", vocab_size=8000)
task.compile()
task.fit(pairs, epochs=30)
task("Two dogs are playing.")
"""

from typing import Any

from tflm.tasks.sequence_to_sequence import SequenceToSequence


class Translation(SequenceToSequence):
    """Translates with an encoder-decoder.

    What is written is limited to three tokens per token read, and 20: a translation is about as
    long as its source. Arguments and errors are `SequenceToSequence`'s.
    """

    def length_cap(self) -> dict[str, Any]:
        """`max_length_ratio` and `extra_length` of `tflm.export.TextToText`."""
        return {"max_length_ratio": 3.0, "extra_length": 20}
