"""Sentence pairs to `(x, y, sample_weight)` batches for an encoder-decoder.

    source   "two dogs"       encoder_token_ids   two dogs </s>      (B, S)
    target   "deux chiens"    decoder_token_ids   <s> deux chiens    (B, T)
                              y                   deux chiens </s>   (B, T)

Masks are True, and `sample_weight` is 1, on real tokens. Batches are planned in Python over windows
of the corpus, because good batches need more than the next few pairs: `tflm.data.shapes` says how.
"""

import dataclasses
import functools
import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tflm.data.generated import generated
from tflm.data.rows import padded, special_id
from tflm.data.shapes import BatchShapes, fit_shapes

_log = logging.getLogger(__name__)

_CHUNK = 4096  # lines tokenized at once

Ids = Sequence[int] | np.ndarray
TokenizedPair = tuple[Ids, Ids]  # without bos and eos
Plan = tuple[list[TokenizedPair], int, int]  # a batch before padding: pairs, S, T
Batch = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class EpochReport:
    """What became of the pairs of one epoch.

    Args:
        num_pairs: Pairs read.
        num_dropped: Pairs left out because one side was longer than `max_length`.
        num_cut: Pairs of which a side was cut: the source at `max_source_length`, or the target
            at `max_length`, with `cut_targets`.
        num_batches: Batches made of the others.
    """

    num_pairs: int
    num_dropped: int
    num_batches: int
    num_cut: int = 0


class TranslationBatches:
    """Batches of sentence pairs, epoch after epoch, each a function of (pairs, seed, epoch).

    In training, pairs are shuffled within windows and batched with pairs of about their own
    lengths, every batch has one of a few shapes, and batches come in random order; every pair
    that is not too long is in exactly one batch per epoch. In evaluation nothing is random and no
    pair is dropped; batches go from short pairs to long ones within a window.

    Args:
        pairs: (source, target) strings, re-iterable: a list or a reader.
        source_tokenizer: Tokenizes the sources.
        target_tokenizer: Tokenizes the targets; may be the same one.
        training: Whether to shuffle, drop and sample.
        tokens_per_batch: Most target tokens in a batch, padding included: rows * T. With
            `max_source_length`, source tokens: rows * S. In evaluation a single longer pair makes a
            batch of its own.
        max_length: In training, longest source and target as tokenized, bos or eos included.
        max_source_length: Sources, which are much longer than their targets, are cut at this many
            tokens, eos included, in evaluation too, and `max_length` is the targets' alone.
        window: Pairs that are shuffled and sorted together; this many are in memory at once.
        num_shapes: Most (S, T) to fit to the first window.
        sampling_alpha: In training, above 0, tokenize by `tokenizer.sample` with this `alpha`,
            differently in every epoch.
        cut_targets: In evaluation, cut targets at `max_length` tokens, eos included: for a model
            that has no room for more.
        seed: Any integer.
        source_start: Special ids in front of every source.
        source_end: Those behind it, which a source that is cut has too; the source tokenizer's eos
            by default.
        target_start: Special ids that decoding starts with; the target tokenizer's bos by default.
            What follows the first of them is learned like the target itself.

    Attributes:
        report: `EpochReport` of the latest pass that ran to its end, None before.

    Raises:
        ValueError: A number is out of its range, or no pair in the first window is short enough.
        TypeError: `pairs` is an iterator, which has no second epoch.
    """

    def __init__(
        self,
        pairs: Iterable[tuple[str, str]],
        source_tokenizer: Any,
        target_tokenizer: Any,
        *,
        training: bool,
        tokens_per_batch: int = 4096,
        max_length: int = 256,
        max_source_length: int | None = None,
        window: int = 100_000,
        num_shapes: int = 28,
        sampling_alpha: float = 0.0,
        cut_targets: bool = False,
        seed: int = 0,
        source_start: Sequence[int] = (),
        source_end: Sequence[int] | None = None,
        target_start: Sequence[int] | None = None,
    ):
        if isinstance(pairs, Iterator):
            raise TypeError(
                "`pairs` must be re-iterable (a list, or a reader of `tflm.data`), for every "
                f"epoch reads it anew. Received: {type(pairs).__name__}"
            )
        for name, value in (
            ("max_length", max_length), ("window", window), ("num_shapes", num_shapes)
        ):  # fmt: skip
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
        counted = "max_length" if max_source_length is None else "max_source_length"
        longest = max_length if max_source_length is None else max_source_length
        self.source_start = tuple(source_start)
        self.source_end = (source_tokenizer.eos_id,) if source_end is None else tuple(source_end)
        least = 1 + len(self.source_start) + len(self.source_end)
        if longest < least:
            raise ValueError(
                f"`{counted}` must be at least {least}: a token and the special ones. "
                f"Received: {counted}={longest}"
            )
        if training and tokens_per_batch < longest:
            raise ValueError(
                f"`tokens_per_batch` must be at least `{counted}`, so that a batch has room for "
                f"one pair. Received: tokens_per_batch={tokens_per_batch}, {counted}={longest}"
            )
        if not 0.0 <= sampling_alpha <= 1.0:
            raise ValueError(
                f"`sampling_alpha` must be from 0 to 1. Received: sampling_alpha={sampling_alpha}"
            )
        self.pairs = pairs
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.training = training
        self.tokens_per_batch = tokens_per_batch
        self.max_length = max_length
        self.max_source_length = max_source_length
        self._counted = 1 if max_source_length is None else 0  # the side of `tokens_per_batch`
        self.window = window
        self.num_shapes = num_shapes
        self.sampling_alpha = sampling_alpha if training else 0.0
        self.cut_targets = cut_targets and not training
        self.seed = seed % 2**32
        self.target_start = tuple(target_start or (target_tokenizer.bos_id,))
        self.report: EpochReport | None = None
        self._first_window: list[TokenizedPair] | None = None
        self._num_batches: dict[int, int] = {}

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> tf.data.Dataset:
        """One epoch of `(x, y, sample_weight)`, from batch `start_batch` on."""
        if self.training:
            _ = self.shapes  # here rather than in tf.data, where an error loses its type

        def batches() -> Iterator[Batch]:
            for pairs, source_length, target_length in itertools.islice(
                self._plan(epoch), start_batch, None
            ):
                yield self._batch(pairs, source_length, target_length)

        ids = tf.TensorSpec((None, None), tf.int32)
        mask = tf.TensorSpec((None, None), tf.bool)
        x = {
            "encoder_token_ids": ids,  # (B, S)
            "encoder_padding_mask": mask,  # (B, S)
            "decoder_token_ids": ids,  # (B, T)
            "decoder_padding_mask": mask,  # (B, T)
        }
        weight = tf.TensorSpec((None, None), tf.float32)  # (B, T)
        signature = (x, ids, weight)
        return generated(batches, signature)

    def num_batches(self, epoch: int = 0) -> int:
        """Batches in `epoch`; remembered, or counted by tokenizing the corpus without batching it.

        Without sampling every epoch has as many.
        """
        key = epoch if self.sampling_alpha else 0
        if key not in self._num_batches:
            for _ in self._plan(epoch):
                pass
        return self._num_batches[key]

    @functools.cached_property
    def shapes(self) -> BatchShapes:
        """The shapes of training batches, fitted to the first window of epoch 0."""
        pairs = self._tokenized(next(self._windows(), ([], True))[0], epoch=0, window_index=0)
        lengths, _ = self._lengths(pairs)  # (n, 2)
        lengths = lengths[self._fits(lengths)]
        if not len(lengths):
            raise ValueError(
                f"`pairs` must hold a pair of at most `max_length` tokens a side among its first "
                f"{self.window}. Received: {len(pairs)} pairs, max_length={self.max_length}"
            )
        return fit_shapes(
            lengths[:, 0],
            lengths[:, 1],
            num_shapes=self.num_shapes,
            max_lengths=(self.max_source_length or self.max_length, self.max_length),
            min_saving=self.tokens_per_batch // 4,
        )

    def _windows(self) -> Iterator[tuple[list[tuple[str, str]], bool]]:
        """The corpus in windows, each with whether it is the last."""
        pairs = iter(self.pairs)
        window = list(itertools.islice(pairs, self.window))
        while window:
            following = list(itertools.islice(pairs, 1))
            yield window, not following
            window = following and following + list(itertools.islice(pairs, self.window - 1))

    def _tokenized(
        self, window: list[tuple[str, str]], epoch: int, window_index: int
    ) -> list[TokenizedPair]:
        if window_index == 0 and self._first_window is not None:
            return self._first_window
        sides = []
        for side, tokenizer in enumerate((self.source_tokenizer, self.target_tokenizer)):
            rows: list[Ids] = []
            for start in range(0, len(window), _CHUNK):
                texts = [pair[side] for pair in window[start : start + _CHUNK]]
                if self.sampling_alpha:
                    key = [self.seed, epoch, window_index, start, side]
                    seed = int(np.random.SeedSequence(key).generate_state(1)[0])
                    rows += tokenizer.sample(texts, self.sampling_alpha, seed)
                else:
                    ids = tokenizer.tokenize(texts)
                    rows += np.split(ids.flat_values.numpy(), ids.row_splits.numpy()[1:-1])
            start = self.target_start[1:] if side else self.source_start
            sides.append([[*start, *row] for row in rows] if start else rows)
        pairs = list(zip(*sides, strict=True))
        if window_index == 0 and not self.sampling_alpha:
            self._first_window = pairs
        return pairs

    def _lengths(self, pairs: list[TokenizedPair]) -> tuple[np.ndarray, int]:
        """Lengths with bos or eos, (n, 2): source, target; and how many pairs are cut to them."""
        end = len(self.source_end)
        rows = [(len(source) + end, len(target) + 1) for source, target in pairs]
        lengths = np.array(rows, np.int64).reshape(-1, 2)
        longest = self._longest()
        return np.minimum(lengths, longest), int((lengths > longest).any(axis=1).sum())

    def _longest(self) -> tuple[int, int]:
        """Tokens at which sources and targets are cut."""
        anything = int(np.iinfo(np.int64).max)
        return self.max_source_length or anything, self.max_length if self.cut_targets else anything

    def _fits(self, lengths: np.ndarray) -> np.ndarray:
        """Which pairs a training batch may hold; (n, 2) -> boolean (n,)."""
        longest = np.array([self.max_source_length or self.max_length, self.max_length])
        return np.all(lengths <= longest, axis=1)

    def _plan(self, epoch: int) -> Iterator[Plan]:
        """The batches of an epoch, not yet padded."""
        num_pairs = num_dropped = num_batches = num_cut = 0
        waiting: list[list[TokenizedPair]] = []  # per shape, too few for a batch
        for index, (window, is_last) in enumerate(self._windows()):
            pairs = self._tokenized(window, epoch, index)
            lengths, longer = self._lengths(pairs)  # (n, 2)
            num_pairs += len(pairs)
            num_cut += longer
            if self.training:
                waiting = waiting or [[] for _ in self.shapes.lengths]
                kept = np.flatnonzero(self._fits(lengths))
                num_dropped += len(pairs) - len(kept)
                rng = np.random.default_rng([self.seed, epoch, index])
                kept = rng.permutation(kept)
                assigned = self.shapes.assign(lengths[kept, 0], lengths[kept, 1])
                for i, shape in zip(kept.tolist(), assigned.tolist(), strict=True):
                    waiting[shape].append(pairs[i])
                ready = self._take_ready(waiting, everything=is_last)
                batches = [ready[i] for i in rng.permutation(len(ready))]
            else:
                batches = self._by_length(pairs, lengths)
            num_batches += len(batches)
            yield from batches
        if num_dropped:
            _log.warning(
                "Epoch %d: dropped %d of %d pairs, longer than max_length=%d tokens.",
                epoch, num_dropped, num_pairs, self.max_length,
            )  # fmt: skip
        if num_cut:
            _log.info(
                "Epoch %d: cut %d of %d pairs at max_source_length=%s tokens%s.",
                epoch, num_cut, num_pairs, self.max_source_length,
                f", or at max_length={self.max_length}" if self.cut_targets else "",
            )  # fmt: skip
        self.report = EpochReport(num_pairs, num_dropped, num_batches, num_cut)
        self._num_batches[epoch if self.sampling_alpha else 0] = num_batches

    def _take_ready(self, waiting: list[list[TokenizedPair]], everything: bool) -> list[Plan]:
        """Full batches out of `waiting`, and with `everything` the partial ones."""
        ready = []
        rows = self.shapes.rows(self.tokens_per_batch, self._counted)
        for index, (source_length, target_length) in enumerate(self.shapes.lengths):
            pairs, num = waiting[index], rows[index]
            end = len(pairs) if everything else len(pairs) // num * num
            ready += [
                (pairs[start : start + num], source_length, target_length)
                for start in range(0, end, num)
            ]
            # Copies, because a row is a view that would keep its whole chunk in memory.
            waiting[index] = [
                (np.array(source), np.array(target)) for source, target in pairs[end:]
            ]
        return ready

    def _by_length(self, pairs: list[TokenizedPair], lengths: np.ndarray) -> list[Plan]:
        """Batches of pairs sorted by length, padded to one of the lengths 8, 12, 16, 20, ..."""
        order = np.lexsort((lengths[:, 1], lengths.sum(axis=1)))
        counted = self._counted
        batches = []
        while len(order):
            # The smallest length that holds as many pairs as it leaves room for.
            length = 8
            while True:
                chosen = order[: max(1, self.tokens_per_batch // length)]
                longest = lengths[chosen].max(axis=0)
                if longest[counted] <= length:
                    break
                length = _next_length(length)
            sizes = [8, 8]
            sizes[counted] = length
            while sizes[1 - counted] < longest[1 - counted]:
                sizes[1 - counted] = _next_length(sizes[1 - counted])
            if self.cut_targets:  # there is no room for padding either
                sizes = list(map(min, sizes, self._longest()))
            batches.append(([pairs[i] for i in chosen], *sizes))
            order = order[len(chosen) :]
        return batches

    def _batch(self, pairs: list[TokenizedPair], source_length: int, target_length: int) -> Batch:
        """The padded arrays: S = source_length, T = target_length."""
        sources, targets = zip(*pairs, strict=True)
        most = self._longest()
        sources = _ended(sources, self.source_end, most[0])
        targets = _ended(targets, (self.target_tokenizer.eos_id,), most[1])
        pad_id = special_id(self.source_tokenizer, "pad_id", "eos_id") or 0
        encoder_ids, encoder_mask = padded(sources, source_length, pad_id)  # (B, S)
        pad_id = special_id(self.target_tokenizer, "pad_id", "eos_id") or 0
        labels, mask = padded(targets, target_length, pad_id)  # (B, T)
        decoder_ids = np.roll(labels, 1, axis=1)  # (B, T)
        decoder_ids[:, 0] = self.target_start[0]
        decoder_ids[~mask] = pad_id  # where eos has moved to
        x = {
            "encoder_token_ids": encoder_ids,
            "encoder_padding_mask": encoder_mask,
            "decoder_token_ids": decoder_ids,
            "decoder_padding_mask": mask,
        }
        return x, labels, mask.astype(np.float32)


def translation_batches(
    pairs: Iterable[tuple[str, str]],
    source_tokenizer: Any,
    target_tokenizer: Any,
    *,
    training: bool,
    epoch: int = 0,
    start_batch: int = 0,
    **options: Any,
) -> tf.data.Dataset:
    """One epoch of `TranslationBatches`, which takes the same arguments and `options`."""
    batches = TranslationBatches(
        pairs, source_tokenizer, target_tokenizer, training=training, **options
    )
    return batches.epoch(epoch, start_batch)


def _next_length(length: int) -> int:
    """8, 12, 16, 20, 24, 28, 32, 40, ...: four steps from a power of two to the next."""
    return length + max(4, 2 ** (length.bit_length() - 3))


def _ended(rows: Sequence[Ids], end: Sequence[int], longest: int) -> list[np.ndarray]:
    """Ids with those at the end, `longest` at most."""
    last = np.array(end, np.int32)
    return [np.concatenate([row[: longest - len(end)], last]) for row in rows]
