"""Texts to rows of one length for a language model: each token's label is the token after it.

    documents, packed    "a b c", "d e"      token_ids    <s> a b c    <s> d e           (B, T)
                                             y            a b c </s>   d e </s>          (B, T)
                                             segment_ids  1 1 1 1      2 2 2             (B, T)
    one continuous text  "a b c d e f g"     token_ids    a b c        d e f             (B, T)
                                             y            b c d        e f g             (B, T)

`padding_mask` is True, and `sample_weight` is 1, on real tokens. Segments are the documents of a
row: attention stays inside them and positions start again with each. A document longer than a row
goes on in another row without what came before; every token of it is a label once.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tflm.data.rows import Batch, Plan, RowBatches, Text, Window, special_id
from tflm.tokenizers import Tokenizer


class PackedBatches(RowBatches):
    """Batches of rows of tokens, epoch after epoch, each a function of (texts, seed, epoch).

    Documents are packed into rows by best-fit decreasing, so that few are cut and little is
    padding (Ding et al. 2024, https://arxiv.org/abs/2404.10830). A continuous text is cut into rows
    that follow each other, in training at other places in every epoch. In training rows come in
    random order; in evaluation nothing is random and every token but the first is a label once.

    Args:
        texts: Strings, or rows of a reader of which the first column counts; re-iterable.
        tokenizer: Tokenizes them; documents begin with its `bos_id` and end with its `eos_id`,
            where it has them.
        training: Whether to shuffle.
        sequence_length: Tokens in a row, T.
        tokens_per_batch: Most tokens in a batch, padding included: rows * T.
        continuous: Whether the texts are pieces of one long text rather than documents.
        window: Tokens that are packed and shuffled together; about this many are in memory.
        seed: Any integer.

    Raises:
        ValueError: A number is out of its range.
        TypeError: `texts` is an iterator, which has no second epoch, or one string.
    """

    NEEDED = "one token that follows another"

    def __init__(
        self,
        texts: Iterable[Text],
        tokenizer: Tokenizer,
        *,
        training: bool,
        sequence_length: int = 512,
        tokens_per_batch: int = 8192,
        continuous: bool = False,
        window: int = 4_000_000,
        seed: int = 0,
    ):
        super().__init__(
            texts,
            tokenizer,
            training=training,
            sequence_length=sequence_length,
            tokens_per_batch=tokens_per_batch,
            window=window,
            seed=seed,
        )
        self.continuous = continuous

    def frame(self) -> tuple[list[int], list[int]]:
        """The tokenizer's bos and eos around a document."""
        if self.continuous:
            return [], []
        begin, end = (special_id(self.tokenizer, name) for name in ("bos_id", "eos_id"))
        return [] if begin is None else [begin], [] if end is None else [end]

    def epoch_key(self, epoch: int) -> int:
        """Packed, every epoch has as many batches."""
        return super().epoch_key(epoch) if self.continuous else 0

    def rows(self, epoch: int) -> Iterator[Window]:
        """Rows whose pieces are each k + 1 tokens for k positions."""
        if self.continuous:
            return self.continuous_rows(epoch, self.sequence_length, overlap=1)
        return self._packed_rows(epoch)

    def _packed_rows(self, epoch: int) -> Iterator[Window]:
        size = self.sequence_length
        for index, (documents, is_last) in enumerate(self.windows()):
            pieces = [
                document[start : start + size + 1]
                for document in documents
                for start in range(0, len(document) - 1, size)
            ]
            lengths = np.array([len(piece) - 1 for piece in pieces], np.int64)
            order = np.arange(len(pieces))
            if self.training:  # who shares a row with whom is another matter in every epoch
                order = np.random.default_rng([self.seed, epoch, index, 1]).permutation(order)
            rows = best_fit(lengths[order], size)
            yield [[pieces[order[i]] for i in row] for row in rows], is_last

    def batch(self, rows: Plan, epoch: int) -> Batch:
        """The arrays of a batch."""
        shape = (len(rows), self.sequence_length)  # (B, T)
        token_ids = np.full(shape, special_id(self.tokenizer, "pad_id") or 0, np.int32)
        labels = token_ids.copy()
        segment_ids = np.zeros(shape, np.int32)
        for row, (_, pieces) in enumerate(rows):
            start = 0
            for number, piece in enumerate(pieces, start=1):
                end = start + len(piece) - 1
                token_ids[row, start:end] = piece[:-1]
                labels[row, start:end] = piece[1:]
                segment_ids[row, start:end] = number
                start = end
        mask = segment_ids > 0
        x = {"token_ids": token_ids, "padding_mask": mask}
        if not self.continuous:
            x["segment_ids"] = segment_ids
        return x, labels, mask.astype(np.float32)

    def signature(self) -> Any:
        """The specs of a batch."""
        shape = (None, self.sequence_length)  # (B, T)
        ids = tf.TensorSpec(shape, tf.int32)
        x = {"token_ids": ids, "padding_mask": tf.TensorSpec(shape, tf.bool)}
        if not self.continuous:
            x["segment_ids"] = ids
        return x, ids, tf.TensorSpec(shape, tf.float32)


def best_fit(lengths: np.ndarray, capacity: int) -> list[list[int]]:
    """Puts each item into the fullest row that has room for it, the longest items first.

    Args:
        lengths: (n,) sizes from 1 to `capacity`.
        capacity: Room in a row.

    Returns:
        The items of each row, as indices of `lengths`; of equals, the earlier one first.
    """
    rows: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(capacity + 1)]  # rows by the room they have
    open_rooms = np.zeros(capacity + 1, bool)
    for item in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[item])
        room = length + int(np.argmax(open_rooms[length:]))  # the least that is enough
        if open_rooms[room]:
            row = with_room[room].pop()
            open_rooms[room] = bool(with_room[room])
        else:
            row, room = len(rows), capacity
            rows.append([])
        rows[row].append(item)
        left = room - length
        with_room[left].append(row)
        open_rooms[left] = left > 0
    return rows
