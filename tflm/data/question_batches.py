"""Questions with their contexts to `(x, y, sample_weight)` batches for an encoder with a span head.

`x` is what `tflm.tokenizers.passages` makes of them, `y` the places of the answer's first and last
word, `(B, 2)`, 0 and 0 in a window of a context that does not hold it; `sample_weight` is 1,
`(B, 1)`.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tflm.data.generated import generated
from tflm.data.question_windows import IS_ANSWER, QuestionWindows
from tflm.tokenizers.word_features import FEATURES

_LENGTH_STEP = 16  # batches have few lengths: a processor prepares for each

Batch = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]


class QuestionBatches:
    """Batches of windows, epoch after epoch, each a function of (windows, seed, epoch).

    Windows of about the same length stand in a batch. In training their order is another in every
    epoch; in evaluation nothing is random, and batches go from short windows to long ones.

    Args:
        windows: The windows of the questions.
        training: Whether to shuffle.
        tokens_per_batch: Most tokens in a batch, padding included: rows * T.
        seed: Any integer.

    Raises:
        ValueError: `tokens_per_batch` has no room for a window; or, from reading, there is no
            question to learn from.
    """

    def __init__(
        self,
        windows: QuestionWindows,
        *,
        training: bool,
        tokens_per_batch: int = 8192,
        seed: int = 0,
    ):
        least = _rounded(windows.reader.sequence_length)
        if tokens_per_batch < least:
            raise ValueError(
                f"`tokens_per_batch` must be at least {least}, so that a batch has room for one "
                f"window. Received: tokens_per_batch={tokens_per_batch}"
            )
        self.windows = windows
        self.training = training
        self.tokens_per_batch = tokens_per_batch
        self.seed = seed % 2**32

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> tf.data.Dataset:
        """One epoch of `(x, y, sample_weight)`, from batch `start_batch` on."""
        plan = self._plan(epoch)[start_batch:]  # here, where an error keeps its type

        def batches() -> Iterator[Batch]:
            for windows, length in plan:
                yield self._batch(windows, length)

        ids = tf.TensorSpec((None, None), tf.int32)  # (B, T)
        mask = tf.TensorSpec((None, None), tf.bool)  # (B, T)
        x = {
            "token_ids": ids,
            "padding_mask": mask,
            "segment_ids": ids,
            "word_features": tf.TensorSpec((None, None, len(FEATURES)), tf.bool),
            "answer_mask": mask,
        }
        y = tf.TensorSpec((None, 2), tf.int32)
        signature = (x, y, tf.TensorSpec((None, 1), tf.float32))
        return generated(batches, signature)

    def num_batches(self, epoch: int = 0) -> int:
        """Batches in `epoch`; a few more or less in another."""
        return len(self._plan(epoch))

    def _plan(self, epoch: int) -> list[tuple[np.ndarray, int]]:
        """The batches of an epoch, not yet padded: windows, T."""
        lengths = self.windows.arrays.lengths
        order = np.argsort(lengths, kind="stable")
        rng = np.random.default_rng([self.seed, epoch])
        if self.training:
            order = rng.permutation(len(lengths))
            # Who stands with whom changes; a step's difference costs no padding on average.
            noise = rng.uniform(0, _LENGTH_STEP, len(order))
            order = order[np.argsort(lengths[order] + noise, kind="stable")]
        batches = []
        start = longest = 0
        for place, window in enumerate(order):
            longest = max(longest, _rounded(int(lengths[window])))
            if (place + 1 - start) * longest > self.tokens_per_batch:
                batches.append(order[start:place])
                start, longest = place, _rounded(int(lengths[window]))
        batches.append(order[start:])
        batches = [(batch, _rounded(int(lengths[batch].max()))) for batch in batches]
        return [batches[i] for i in rng.permutation(len(batches))] if self.training else batches

    def _batch(self, windows: np.ndarray, length: int) -> Batch:
        """The padded arrays: T = length."""
        found = self.windows.arrays
        begin, sizes = found.splits[windows], found.lengths[windows]  # (B,)
        place = np.arange(length)[None]  # (1, T)
        mask = place < sizes[:, None]  # (B, T)
        flat = np.where(mask, begin[:, None] + place, 0)
        flags = np.where(mask, found.flags[flat], 0)
        bits = flags[..., None] >> np.arange(len(FEATURES)) & 1
        x = {
            "token_ids": np.where(mask, found.token_ids[flat], self.windows.reader.pad_id),
            "padding_mask": mask,
            "segment_ids": (mask & (place >= found.second[windows][:, None])).astype(np.int32),
            "word_features": bits.astype(bool),
            "answer_mask": flags >= IS_ANSWER,
        }
        return x, found.places[windows], np.ones((len(windows), 1), np.float32)


def _rounded(length: int) -> int:
    return -(-length // _LENGTH_STEP) * _LENGTH_STEP
