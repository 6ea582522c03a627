"""Labelled texts, or pairs of texts, to `(x, y, sample_weight)` batches for an encoder.

    text    "a fine film"    token_ids    [CLS] a fine film [SEP]    (B, T)
    label   "positive"       y            1                          (B,)

One label a text gives `y` integers `(B,)`; any number of labels gives 0s and 1s `(B, L)`.
`sample_weight` has the shape of `y`: 1, or the weight of a class. Masks are True on real tokens.
Batches are planned over windows of the data, as in `tflm.data.batching`.
"""

import dataclasses
import functools
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tflm.data.generated import generated
from tflm.data.rows import padded, special_id
from tflm.data.shapes import BatchShapes, fit_shapes
from tflm.tokenizers.framing import Frame

_log = logging.getLogger(__name__)

_CHUNK = 4096  # texts tokenized at once

Row = tuple[str, ...]
Batch = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class CutReport:
    """What became of the examples of one epoch.

    Args:
        num_examples: Examples read.
        num_cut: Examples of which the model did not see the end: they were longer than
            `max_length`.
        num_batches: Batches made of them.
    """

    num_examples: int
    num_cut: int
    num_batches: int


@dataclasses.dataclass(frozen=True)
class _Example:
    ids: np.ndarray  # (T,)
    own: int  # tokens of the first segment
    labels: tuple[int, ...]


class LabelledBatches:
    """Batches of labelled texts, epoch after epoch, each a function of (rows, seed, epoch).

    In training, texts are shuffled within windows and batched with texts of about their own length,
    every batch has one of a few lengths, and batches come in random order. In evaluation nothing is
    random: batches go from short texts to long ones within a window. A text that is too long loses
    its end; how many did is in `report`, and a warning once an epoch.

    Args:
        rows: Tuples of strings, re-iterable: one text, or two, then the labels.
        tokenizer: Tokenizes the texts.
        labels: The labels' names; a label's place is its number.
        training: Whether to shuffle, weight and sample.
        pairs: Whether an example is two texts.
        multi_label: Whether a text has any number of labels instead of one.
        segments: Whether `x` has `segment_ids` too, for pairs.
        class_weight: In training, weight of the examples that have a label, by its name; 1 for
            those that are not named.
        tokens_per_batch: Most tokens in a batch, padding included: rows * T. In evaluation a
            single longer text makes a batch of its own.
        max_length: Tokens read of an example, special tokens included.
        window: Examples that are shuffled and sorted together; this many are in memory at once.
        num_shapes: Most lengths to fit to the first window.
        sampling_alpha: In training, above 0, tokenize by `tokenizer.sample` with this `alpha`,
            differently in every epoch.
        seed: Any integer.

    Attributes:
        report: `CutReport` of the latest pass that ran to its end, None before.

    Raises:
        ValueError: A number is out of its range, or `class_weight` names an unknown label.
        TypeError: `rows` is an iterator, which has no second epoch.
    """

    def __init__(
        self,
        rows: Iterable[Row],
        tokenizer: Any,
        labels: Sequence[str],
        *,
        training: bool,
        pairs: bool = False,
        multi_label: bool = False,
        segments: bool = False,
        class_weight: Mapping[str, float] | None = None,
        tokens_per_batch: int = 4096,
        max_length: int = 512,
        window: int = 100_000,
        num_shapes: int = 16,
        sampling_alpha: float = 0.0,
        seed: int = 0,
    ):
        if isinstance(rows, Iterator):
            raise TypeError(
                "`rows` must be re-iterable (a list, or a reader of `tflm.data`), for every "
                f"epoch reads it anew. Received: {type(rows).__name__}"
            )
        self.frame = Frame(tokenizer)
        least = 1 + self.frame.num_special(pairs)
        for name, value, low in (
            ("max_length", max_length, least), ("window", window, 1), ("num_shapes", num_shapes, 1)
        ):  # fmt: skip
            if value < low:
                raise ValueError(f"`{name}` must be at least {low}. Received: {name}={value}")
        if training and tokens_per_batch < max_length:
            raise ValueError(
                "`tokens_per_batch` must be at least `max_length`, so that a batch has room for "
                f"one text. Received: tokens_per_batch={tokens_per_batch}, max_length={max_length}"
            )
        if not 0.0 <= sampling_alpha <= 1.0:
            raise ValueError(
                f"`sampling_alpha` must be from 0 to 1. Received: sampling_alpha={sampling_alpha}"
            )
        self.rows = rows
        self.tokenizer = tokenizer
        self.numbers = {label: number for number, label in enumerate(labels)}
        self.training = training
        self.num_texts = 2 if pairs else 1
        self.multi_label = multi_label
        self.segments = segments
        self.weights = self._class_weights(class_weight if training else None)
        self.tokens_per_batch = tokens_per_batch
        self.max_length = max_length
        self.window = window
        self.num_shapes = num_shapes
        self.sampling_alpha = sampling_alpha if training else 0.0
        self.seed = seed % 2**32
        self.report: CutReport | None = None
        self._first_window: tuple[list[_Example], int] | None = None
        self._num_batches: dict[int, int] = {}

    def _class_weights(self, given: Mapping[str, float] | None) -> np.ndarray:
        weights = np.ones(len(self.numbers), np.float32)
        for label, weight in (given or {}).items():
            if label not in self.numbers:
                raise ValueError(
                    f"`class_weight` must be of labels, which are {', '.join(self.numbers)}. "
                    f"Received: {label!r}"
                )
            weights[self.numbers[label]] = weight
        return weights

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> tf.data.Dataset:
        """One epoch of `(x, y, sample_weight)`, from batch `start_batch` on."""
        if self.training:
            _ = self.shapes  # here rather than in tf.data, where an error loses its type

        def batches() -> Iterator[Batch]:
            for examples, length in itertools.islice(self._plan(epoch), start_batch, None):
                yield self._batch(examples, length)

        ids = tf.TensorSpec((None, None), tf.int32)  # (B, T)
        x = {"token_ids": ids, "padding_mask": tf.TensorSpec((None, None), tf.bool)}
        if self.segments:
            x["segment_ids"] = ids
        shape = (None, len(self.numbers)) if self.multi_label else (None,)
        y = tf.TensorSpec(shape, tf.float32 if self.multi_label else tf.int32)
        signature = (x, y, tf.TensorSpec(shape, tf.float32))
        return generated(batches, signature)

    def num_batches(self, epoch: int = 0) -> int:
        """Batches in `epoch`; remembered, or counted by tokenizing the texts.

        Without sampling every epoch has as many.
        """
        key = epoch if self.sampling_alpha else 0
        if key not in self._num_batches:
            for _ in self._plan(epoch):
                pass
        return self._num_batches[key]

    @functools.cached_property
    def shapes(self) -> BatchShapes:
        """The lengths of training batches, `(T, T)` each, fitted to the first window of epoch 0.

        Raises:
            ValueError: There are no rows.
        """
        window = next(self._windows(), ([], True))[0]
        if not window:
            raise ValueError("`rows` must hold at least one example.")
        lengths = np.array([len(example.ids) for example in self._examples(window, 0, 0)[0]])
        return fit_shapes(
            lengths,
            lengths,
            num_shapes=self.num_shapes,
            max_lengths=(self.max_length, self.max_length),
            min_saving=self.tokens_per_batch // 4,
        )

    def _windows(self) -> Iterator[tuple[list[Row], bool]]:
        """The rows in windows, each with whether it is the last."""
        rows = iter(self.rows)
        window = list(itertools.islice(rows, self.window))
        while window:
            following = list(itertools.islice(rows, 1))
            yield window, not following
            window = following and following + list(itertools.islice(rows, self.window - 1))

    def _examples(self, window: list[Row], epoch: int, index: int) -> tuple[list[_Example], int]:
        """The examples of a window, and how many of them were cut."""
        if index == 0 and self._first_window is not None:
            return self._first_window
        examples: list[_Example] = []
        num_cut = 0
        for start in range(0, len(window), _CHUNK):
            rows = window[start : start + _CHUNK]
            labels = [self._labels(row) for row in rows]
            sides = [
                self._ids([row[side] for row in rows], [self.seed, epoch, index, start, side])
                for side in range(self.num_texts)
            ]
            second = sides[1] if self.num_texts == 2 else None
            ids, own, cut = self.frame.join(sides[0], second, self.max_length)
            split = np.split(ids.flat_values.numpy(), ids.row_splits.numpy()[1:-1])
            examples += map(_Example, split, own.numpy().tolist(), labels)
            num_cut += int(cut.numpy().sum())
        if index == 0 and not self.sampling_alpha:
            self._first_window = examples, num_cut
        return examples, num_cut

    def _ids(self, texts: list[str], key: list[int]) -> Any:
        """The ids of texts, ragged `(B, None)`."""
        if not self.sampling_alpha:
            return self.tokenizer.tokenize(texts)
        seed = int(np.random.SeedSequence(key).generate_state(1)[0])
        rows = self.tokenizer.sample(texts, self.sampling_alpha, seed)
        ragged: Any = tf.RaggedTensor  # its constructors are unknown to type checkers
        flat = np.fromiter(itertools.chain.from_iterable(rows), np.int32)
        return ragged.from_row_lengths(flat, [len(row) for row in rows])

    def _labels(self, row: Row) -> tuple[int, ...]:
        """The numbers of a row's labels."""
        labels = row[self.num_texts :]
        if not self.multi_label and len(labels) != 1:
            texts = "two texts" if self.num_texts == 2 else "a text"
            raise ValueError(f"`rows` must be {texts} and a label. Received: {row!r:.200}")
        for label in labels:
            if label not in self.numbers:
                raise ValueError(
                    f"`rows` must have labels among {', '.join(self.numbers)}. Received: {label!r}"
                )
        return tuple(self.numbers[label] for label in labels)

    def _plan(self, epoch: int) -> Iterator[tuple[list[_Example], int]]:
        """The batches of an epoch, not yet padded: examples, T."""
        num_examples = num_cut = num_batches = 0
        waiting: list[list[_Example]] = []  # per shape, too few for a batch
        for index, (window, is_last) in enumerate(self._windows()):
            examples, cut = self._examples(window, epoch, index)
            lengths = np.array([len(example.ids) for example in examples])
            if self.training:
                waiting = waiting or [[] for _ in self.shapes.lengths]
                rng = np.random.default_rng([self.seed, epoch, index])
                order = rng.permutation(len(examples))
                assigned = self.shapes.assign(lengths[order], lengths[order])
                for i, shape in zip(order.tolist(), assigned.tolist(), strict=True):
                    waiting[shape].append(examples[i])
                ready = self._take_ready(waiting, everything=is_last)
                batches = [ready[i] for i in rng.permutation(len(ready))]
            else:
                batches = self._by_length(examples, lengths)
            num_examples += len(examples)
            num_cut += cut
            num_batches += len(batches)
            yield from batches
        if num_cut:
            _log.warning(
                "Epoch %d: of %d of %d texts the end was not read, beyond max_length=%d tokens.",
                epoch, num_cut, num_examples, self.max_length,
            )  # fmt: skip
        self.report = CutReport(num_examples, num_cut, num_batches)
        self._num_batches[epoch if self.sampling_alpha else 0] = num_batches

    def _take_ready(
        self, waiting: list[list[_Example]], everything: bool
    ) -> list[tuple[list[_Example], int]]:
        """Full batches out of `waiting`, and with `everything` the partial ones."""
        ready = []
        rows = self.shapes.rows(self.tokens_per_batch)
        for index, (length, _) in enumerate(self.shapes.lengths):
            examples, num = waiting[index], rows[index]
            end = len(examples) if everything else len(examples) // num * num
            ready += [(examples[i : min(i + num, end)], length) for i in range(0, end, num)]
            # Copies, because a row is a view that would keep its whole chunk in memory.
            waiting[index] = [
                dataclasses.replace(example, ids=np.array(example.ids))
                for example in examples[end:]
            ]
        return ready

    def _by_length(
        self, examples: list[_Example], lengths: np.ndarray
    ) -> list[tuple[list[_Example], int]]:
        """Batches of examples sorted by length, padded to the longest of each."""
        batches: list[tuple[list[_Example], int]] = []
        chosen: list[_Example] = []
        for i in np.argsort(lengths, kind="stable").tolist():
            if chosen and (len(chosen) + 1) * lengths[i] > self.tokens_per_batch:
                batches.append((chosen, len(chosen[-1].ids)))
                chosen = []
            chosen.append(examples[i])
        return [*batches, (chosen, len(chosen[-1].ids))] if chosen else batches

    def _batch(self, examples: list[_Example], length: int) -> Batch:
        """The padded arrays: T = length."""
        pad_id = special_id(self.tokenizer, "pad_id") or 0
        ids, mask = padded([example.ids for example in examples], length, pad_id)  # (B, T)
        x = {"token_ids": ids, "padding_mask": mask}
        if self.segments:
            own = np.array([example.own for example in examples])[:, None]
            x["segment_ids"] = (mask & (np.arange(length) >= own)).astype(np.int32)
        if not self.multi_label:
            y = np.array([example.labels[0] for example in examples], np.int32)  # (B,)
            return x, y, self.weights[y]
        y = np.zeros((len(examples), len(self.numbers)), np.float32)  # (B, L)
        for row, example in enumerate(examples):
            y[row, list(example.labels)] = 1.0
        return x, y, np.where(y > 0, self.weights, 1.0).astype(np.float32)
