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

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from tflm.tokenizers import Tokenizer

_CHUNK = 4096  # texts tokenized at once
_CHUNK_CHARACTERS = 1 << 20

Text = str | tuple[str, ...]
Row = list[np.ndarray]  # what stands in a row: each k + 1 tokens for k positions
Batch = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]


class PackedBatches:
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
        if isinstance(texts, Iterator | str):
            raise TypeError(
                "`texts` must be re-iterable (a list, or a reader of `tflm.data`), for every "
                f"epoch reads it anew. Received: {type(texts).__name__}"
            )
        for name, value in (("sequence_length", sequence_length), ("window", window)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
        if tokens_per_batch < sequence_length:
            raise ValueError(
                "`tokens_per_batch` must be at least `sequence_length`, so that a batch has room "
                f"for one row. Received: tokens_per_batch={tokens_per_batch}, "
                f"sequence_length={sequence_length}"
            )
        self.texts = texts
        self.tokenizer = tokenizer
        self.training = training
        self.sequence_length = sequence_length
        self.rows_per_batch = tokens_per_batch // sequence_length
        self.continuous = continuous
        self.window = window
        self.seed = seed % 2**32
        self._first_window: tuple[list[np.ndarray], bool] | None = None
        self._num_batches: dict[int, int] = {}

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> tf.data.Dataset:
        """One epoch of `(x, y, sample_weight)`, from batch `start_batch` on."""

        def batches() -> Iterator[Batch]:
            for rows in itertools.islice(self._plan(epoch), start_batch, None):
                yield self._batch(rows)

        shape = (None, self.sequence_length)  # (B, T)
        ids = tf.TensorSpec(shape, tf.int32)
        x = {"token_ids": ids, "padding_mask": tf.TensorSpec(shape, tf.bool)}
        if not self.continuous:
            x["segment_ids"] = ids
        signature = (x, ids, tf.TensorSpec(shape, tf.float32))
        return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(8)

    def num_batches(self, epoch: int = 0) -> int:
        """Batches in `epoch`; remembered, or counted by tokenizing the texts.

        Packed, every epoch has as many.

        Raises:
            ValueError: The texts hold no token that follows another.
        """
        key = self._key(epoch)
        if key not in self._num_batches:
            for _ in self._plan(epoch):
                pass
        return self._num_batches[key]

    def _key(self, epoch: int) -> int:
        return epoch if self.training and self.continuous else 0

    def _plan(self, epoch: int) -> Iterator[list[Row]]:
        """The rows of each batch of an epoch."""
        waiting: list[Row] = []
        num_batches = 0
        windows = self._continuous_rows(epoch) if self.continuous else self._packed_rows(epoch)
        for index, (rows, is_last) in enumerate(windows):
            if self.training:
                rng = np.random.default_rng([self.seed, epoch, index])
                rows = [rows[i] for i in rng.permutation(len(rows))]
            waiting += rows
            size = self.rows_per_batch
            end = len(waiting) if is_last else len(waiting) // size * size
            for start in range(0, end, size):
                num_batches += 1
                yield waiting[start : min(start + size, end)]
            waiting = waiting[end:]
        if not num_batches:
            raise ValueError("`texts` must hold at least one token that follows another.")
        self._num_batches[self._key(epoch)] = num_batches

    def _packed_rows(self, epoch: int) -> Iterator[tuple[list[Row], bool]]:
        """Rows of documents, by window, and whether the window is the last."""
        size = self.sequence_length
        for index, (documents, is_last) in enumerate(self._windows()):
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

    def _continuous_rows(self, epoch: int) -> Iterator[tuple[list[Row], bool]]:
        """Rows of the one text, by window, and whether the window is the last."""
        size = self.sequence_length
        skip = 0
        if self.training:
            skip = int(np.random.default_rng([self.seed, epoch]).integers(size))
        rest = np.zeros(0, np.int32)
        for pieces, is_last in self._windows():
            text = np.concatenate([rest, *pieces])
            if is_last and skip > len(text) - 2:
                skip = 0  # a text shorter than the first row
            text, skip = text[skip:], max(skip - len(text), 0)
            end = len(text) - 1 if is_last else (len(text) - 1) // size * size
            rows = [[text[start : start + size + 1]] for start in range(0, end, size)]
            rest = text[max(end, 0) :]
            yield rows, is_last

    def _windows(self) -> Iterator[tuple[list[np.ndarray], bool]]:
        """The tokens of the texts in windows, each with whether it is the last."""
        if self._first_window is not None and self._first_window[1]:
            yield self._first_window
            return
        texts = self._tokenized()
        window = _up_to(texts, self.window)
        while window:
            following = list(itertools.islice(texts, 1))
            if self._first_window is None:
                self._first_window = window, not following
            yield window, not following
            window = following and following + _up_to(texts, self.window)

    def _tokenized(self) -> Iterator[np.ndarray]:
        """The tokens of each text, int32; of a document with begin and end."""
        ends = [special_id(self.tokenizer, name) for name in ("bos_id", "eos_id")]
        begin, end = ([] if self.continuous or id_ is None else [id_] for id_ in ends)
        for texts in _chunks(self.texts):
            ids = self.tokenizer.tokenize(texts)
            flat, splits = ids.flat_values.numpy(), ids.row_splits.numpy()
            for first, last in itertools.pairwise(splits):
                if last > first:
                    yield np.concatenate([begin, flat[first:last], end]).astype(np.int32)

    def _batch(self, rows: list[Row]) -> Batch:
        shape = (len(rows), self.sequence_length)  # (B, T)
        token_ids = np.full(shape, special_id(self.tokenizer, "pad_id") or 0, np.int32)
        labels = token_ids.copy()
        segment_ids = np.zeros(shape, np.int32)
        for row, pieces in enumerate(rows):
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


def special_id(tokenizer: Tokenizer, name: str) -> int | None:
    """A special id of a tokenizer, `None` where it has none."""
    value = getattr(tokenizer, name, None)
    return None if value is None or value < 0 else int(value)


def _chunks(texts: Iterable[Text]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for row in texts:
        text = row if isinstance(row, str) else row[0]
        chunk.append(text)
        size += len(text)
        if len(chunk) == _CHUNK or size >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _up_to(texts: Iterator[np.ndarray], num_tokens: int) -> list[np.ndarray]:
    """The next texts, until they are `num_tokens` or more."""
    window = []
    while num_tokens > 0 and (text := next(texts, None)) is not None:
        window.append(text)
        num_tokens -= len(text)
    return window
