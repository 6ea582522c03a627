"""Texts to batches of rows of tokens: what language models of every kind learn from.

Texts are read in windows: as many as hold some millions of tokens are tokenized, cut into rows and
shuffled together. How they are cut, and what a row becomes, is a subclass's matter.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tflm.data.generated import generated
from tflm.tokenizers import Tokenizer

_CHUNK = 4096  # texts tokenized at once
_CHUNK_CHARACTERS = 1 << 20

Text = str | tuple[str, ...]
Row = list[np.ndarray]  # the pieces of texts that stand in a row
Window = tuple[list[Row], bool]  # rows, and whether they are the last
Plan = list[tuple[int, Row]]  # the rows of a batch, each with its number in the epoch
Batch = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]


class RowBatches:
    """Batches of rows of tokens, epoch after epoch, each a function of (texts, seed, epoch).

    In training rows come in random order; in evaluation nothing is random. A subclass says what
    frames a text (`frame`), how texts become rows (`rows`, or `plan` where a batch is not just some
    rows), and rows arrays (`batch`, `signature`).

    Args:
        texts: Strings, or rows of a reader of which the first column counts; re-iterable.
        tokenizer: Tokenizes them.
        training: Whether to shuffle.
        sequence_length: Tokens of a row.
        tokens_per_batch: Most tokens in a batch, padding included: rows * `sequence_length`.
        window: Tokens that are cut and shuffled together; about this many are in memory.
        seed: Any integer.

    Raises:
        ValueError: A number is out of its range.
        TypeError: `texts` is an iterator, which has no second epoch, or one string.
    """

    NEEDED = "one token"  # what texts must hold at least, for the message

    def __init__(
        self,
        texts: Iterable[Text],
        tokenizer: Tokenizer,
        *,
        training: bool,
        sequence_length: int,
        tokens_per_batch: int,
        window: int,
        seed: int,
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
        self.tokens_per_batch = tokens_per_batch
        self.rows_per_batch = tokens_per_batch // sequence_length
        self.window = window
        self.seed = seed % 2**32
        self._first_window: tuple[list[np.ndarray], bool] | None = None
        self._num_batches: dict[int, int] = {}

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> tf.data.Dataset:
        """One epoch of `(x, y, sample_weight)`, from batch `start_batch` on."""

        def batches() -> Iterator[Batch]:
            for rows in itertools.islice(self._counted(epoch), start_batch, None):
                yield self.batch(rows, epoch)

        signature = self.signature()
        return generated(batches, signature)

    def num_batches(self, epoch: int = 0) -> int:
        """Batches in `epoch`; remembered, or counted by tokenizing the texts.

        Raises:
            ValueError: The texts hold too little for a row.
        """
        key = self.epoch_key(epoch)
        if key not in self._num_batches:
            for _ in self._counted(epoch):
                pass
        return self._num_batches[key]

    def frame(self) -> tuple[list[int], list[int]]:
        """Ids in front of each text and behind it."""
        return [], []

    def rows(self, epoch: int) -> Iterator[Window]:
        """The rows of an epoch, by window."""
        raise NotImplementedError

    def batch(self, rows: Plan, epoch: int) -> Batch:
        """The arrays of a batch."""
        raise NotImplementedError

    def signature(self) -> Any:
        """The specs of a batch."""
        raise NotImplementedError

    def epoch_key(self, epoch: int) -> int:
        """A number that two epochs have in common if they have as many batches."""
        return epoch if self.training else 0

    def generator(self, epoch: int, row: int) -> np.random.Generator:
        """What is random in one row: the same whatever batch the row is in."""
        return np.random.default_rng([self.seed, epoch if self.training else 0, row, 2])

    def plan(self, epoch: int) -> Iterator[Plan]:
        """The rows of each batch of an epoch: `rows_per_batch` of them."""
        waiting: Plan = []
        number = 0
        for index, (rows, is_last) in enumerate(self.rows(epoch)):
            waiting += enumerate(self.shuffled(rows, epoch, index), start=number)
            number += len(rows)
            ready, waiting = cut(waiting, self.rows_per_batch, everything=is_last)
            yield from ready

    def shuffled(self, items: list[Any], epoch: int, window: int) -> list[Any]:
        """The items of a window in random order, in evaluation as they are."""
        if not self.training:
            return items
        rng = np.random.default_rng([self.seed, epoch, window])
        return [items[i] for i in rng.permutation(len(items))]

    def _counted(self, epoch: int) -> Iterator[Plan]:
        num_batches = 0
        for rows in self.plan(epoch):
            num_batches += 1
            yield rows
        if not num_batches:
            raise ValueError(f"`texts` must hold at least {self.NEEDED}.")
        self._num_batches[self.epoch_key(epoch)] = num_batches

    def continuous_rows(self, epoch: int, size: int, overlap: int = 0) -> Iterator[Window]:
        """The texts as one, cut every `size` tokens, in training at other places in every epoch.

        Args:
            epoch: The epoch's number.
            size: Tokens from the start of a row to the start of the next.
            overlap: Tokens of the next row that a row has too.
        """
        skip = 0
        if self.training:
            skip = int(np.random.default_rng([self.seed, epoch]).integers(size))
        rest = np.zeros(0, np.int32)
        for pieces, is_last in self.windows():
            text = np.concatenate([rest, *pieces])
            if is_last and skip >= len(text) - overlap:
                skip = 0  # a text shorter than the first row
            text, skip = text[skip:], max(skip - len(text), 0)
            end = len(text) - overlap
            end = end if is_last else end // size * size
            rows = [[text[start : start + size + overlap]] for start in range(0, end, size)]
            rest = text[max(end, 0) :]
            yield rows, is_last

    def windows(self) -> Iterator[tuple[list[np.ndarray], bool]]:
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
        """The tokens of each text in its frame, int32."""
        begin, end = self.frame()
        for texts in _chunks(self.texts):
            ids = self.tokenizer.tokenize(texts)
            flat, splits = ids.flat_values.numpy(), ids.row_splits.numpy()
            for first, last in itertools.pairwise(splits):
                if last > first:
                    yield np.concatenate([begin, flat[first:last], end]).astype(np.int32)


def cut(items: list[Any], size: int, everything: bool) -> tuple[list[list[Any]], list[Any]]:
    """Lists of `size` items, with `everything` the last one shorter; and what is left."""
    end = len(items) if everything else len(items) // size * size
    lists = [items[start : min(start + size, end)] for start in range(0, end, size)]
    return lists, items[end:]


def special_id(tokenizer: Tokenizer, *names: str) -> int | None:
    """The first of these special ids that a tokenizer has, `None` where it has none."""
    for name in names:
        value = getattr(tokenizer, name, None)
        if value is not None and value >= 0:
            return int(value)
    return None


def padded(rows: Sequence[Any], length: int, pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ids filled up with padding, and which are real; int32 and bool, `(B, length)`."""
    ids = np.full((len(rows), length), pad_id, np.int32)
    real = np.arange(length) < np.array([len(row) for row in rows])[:, None]
    ids[real] = np.concatenate(rows)
    return ids, real


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
