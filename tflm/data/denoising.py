"""Texts to pairs of a damaged text and what restores it, for an encoder-decoder.

    text          "Thank you for inviting me to your party last week ."

    spans         source   Thank you <extra_id_0> me to your party <extra_id_1> week . </s>
    (T5)          target   <extra_id_0> for inviting <extra_id_1> last <extra_id_2> </s>

    infilling     source   <s> Thank <mask> me to your <mask> week . </s>
    (BART)        target   <s> Thank you for inviting me to your party last week . </s>

What is restored is a text by itself, or a part of one that is too long.
"""

import abc
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tflm.data.masking import mask_of
from tflm.data.rows import Batch, Plan, RowBatches, Text, cut, padded, special_id
from tflm.data.words import Words
from tflm.tokenizers import Tokenizer
from tflm.tokenizers.pieces import Pieces

Generator = np.random.Generator


class Noise(abc.ABC):
    """A way to damage rows of ids."""

    @abc.abstractmethod
    def __call__(self, ids: np.ndarray, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
        """What is read and what is to be written, without bos and eos: (n,) -> (s,), (t,)."""

    @abc.abstractmethod
    def check(self, length: int) -> None:
        """Does nothing if rows of `length` ids can be damaged.

        Raises:
            ValueError: They cannot.
        """


class SpanCorruption(Noise):
    """T5's: spans of tokens make room for a sentinel each, and are written behind theirs.

    Raffel et al. 2020, https://arxiv.org/abs/1910.10683, sections 3.1.4 and 3.3.4: 15 % of the
    tokens, in spans of 3 on average. How many tokens and spans a row loses depends on its length
    alone; where they are is random, every choice as likely. A last sentinel ends the target.

    Args:
        tokenizer: Has the sentinels `<extra_id_0>`, `<extra_id_1>`, ..., in whatever order of ids.
        rate: The share of the tokens that is lost.
        mean_span: Mean length of a span.

    Raises:
        ValueError: A number is out of its range.
    """

    def __init__(self, tokenizer: Tokenizer, rate: float = 0.15, mean_span: float = 3.0):
        _check_noise(rate, mean_span)
        self.sentinels = np.array(sentinels_of(tokenizer), np.int32)
        self.rate = rate
        self.mean_span = mean_span

    def counts(self, length: int) -> tuple[int, int]:
        """Tokens and spans that a row of `length` tokens loses."""
        tokens = max(1, round(self.rate * length))
        spans = max(1, round(tokens / self.mean_span))
        return tokens, min(spans, length - tokens + 1)  # between two spans something stays

    def __call__(self, ids: np.ndarray, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
        """What is left with sentinels in it, and what was lost behind them."""
        tokens, spans = self.counts(len(ids))
        lost = 1 + _shares(tokens - spans, spans, rng)  # (spans,), their lengths
        kept = _shares(len(ids) - tokens - (spans - 1), spans + 1, rng)  # (spans + 1,)
        kept[1:-1] += 1
        starts = np.cumsum(kept[:-1] + np.concatenate([[0], lost[:-1]]))  # (spans,)
        ends = starts + lost
        source, target, after = [], [], 0
        for sentinel, start, end in zip(self.sentinels[:spans], starts, ends, strict=True):
            source += [ids[after:start], [sentinel]]
            target += [[sentinel], ids[start:end]]
            after = end
        source.append(ids[after:])
        target.append([self.sentinels[spans]])
        return _joined(source), _joined(target)

    def check(self, length: int) -> None:
        """Does nothing if there are sentinels enough for rows of `length` ids.

        Raises:
            ValueError: There are too few.
        """
        _, spans = self.counts(length)
        if spans + 1 > len(self.sentinels):
            raise ValueError(
                f"`tokenizer` must have {spans + 1} sentinels, <extra_id_0> to "
                f"<extra_id_{spans}>, for rows of {length} tokens. "
                f"Received: {len(self.sentinels)}"
            )


class Infilling(Noise):
    """BART's: sentences change places, and spans of words make room for one mask each.

    Lewis et al. 2020, https://arxiv.org/abs/1910.13461, section 2.2: lengths of spans are drawn
    from a Poisson distribution with mean 3, those of length 0 insert a mask, and 30 % of the words
    are lost (whole words, as in the authors' code). What is to be written is the text as it was.

    Args:
        tokenizer: Has a mask.
        rate: The share of the words that is lost, rounded up.
        mean_span: Mean length of a span, in words.

    Raises:
        ValueError: A number is out of its range, or the tokenizer has no mask.
    """

    def __init__(self, tokenizer: Tokenizer, rate: float = 0.3, mean_span: float = 3.0):
        _check_noise(rate, mean_span)
        self.mask_id = mask_of(tokenizer)
        self.words = Words(Pieces.of(tokenizer))
        self.rate = rate
        self.mean_span = mean_span

    def __call__(self, ids: np.ndarray, rng: Generator) -> tuple[np.ndarray, np.ndarray]:
        """Sentences in another order with masks in them, and the ids as they were."""
        sentences = np.split(ids, np.flatnonzero(self.words.sentence_starts(ids))[1:])
        shuffled = np.concatenate([sentences[i] for i in rng.permutation(len(sentences))])
        words = np.split(shuffled, np.flatnonzero(self.words.starts(shuffled))[1:])
        lost, num_inserted = self._spans(len(words), rng)
        kept = _shares(len(words) - int(lost.sum()), len(lost) + 1, rng)
        source, at = [], 0
        for span, before in zip(lost, kept, strict=False):
            source += [*words[at : at + before], [self.mask_id]]
            at += before + span
        source += words[at:]
        room = len(ids) - sum(map(len, source))  # what is read is never longer than the text
        for _ in range(min(num_inserted, room)):
            source.insert(int(rng.integers(len(source) + 1)), [self.mask_id])
        return _joined(source), ids

    def check(self, length: int) -> None:
        """Does nothing: rows of any length can be damaged."""

    def _spans(self, num_words: int, rng: Generator) -> tuple[np.ndarray, int]:
        """Lengths of the spans that are lost, each at least 1, and how many were of length 0."""
        room = int(np.ceil(self.rate * num_words))
        lengths: list[int] = []
        num_empty = 0
        while room:
            length = min(int(rng.poisson(self.mean_span)), room)
            room -= length
            if length:
                lengths.append(length)
            else:
                num_empty += 1
        return np.array(lengths), num_empty


class DenoisingBatches(RowBatches):
    """Batches of damaged texts and what restores them: functions of (texts, seed, epoch).

    A row is a text, or a part of a longer one, and is batched with rows of about its own length. In
    training batches come in random order and rows are damaged anew in every epoch; in evaluation
    the seed alone decides. What becomes of a row does not depend on the size of a batch. The inputs
    are those of an encoder-decoder: `encoder_token_ids` and `encoder_padding_mask` (B, S),
    `decoder_token_ids` and `decoder_padding_mask` (B, T); `y` and `sample_weight` are (B, T).

    Args:
        texts: Strings, or rows of a reader of which the first column counts; re-iterable.
        tokenizer: Tokenizes them; both sides end with its `eos_id`.
        noise: What damages them.
        training: Whether to shuffle.
        sequence_length: Most tokens of a row before it is damaged.
        tokens_per_batch: Most such tokens in a batch, padding included.
        window: Tokens that are cut and shuffled together; about this many are in memory.
        seed: Any integer.
        source_start: Special ids in front of every source.
        target_start: Special ids that decoding starts with. What follows the first of them is
            learned like the target itself.

    Raises:
        ValueError: A number is out of its range, or the tokenizer has no `eos_id`.
        TypeError: `texts` is an iterator, which has no second epoch, or one string.
    """

    def __init__(
        self,
        texts: Iterable[Text],
        tokenizer: Tokenizer,
        noise: Noise,
        *,
        training: bool,
        sequence_length: int = 512,
        tokens_per_batch: int = 8192,
        window: int = 4_000_000,
        seed: int = 0,
        source_start: Sequence[int] = (),
        target_start: Sequence[int],
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
        self.end_id = special_id(tokenizer, "eos_id")
        if self.end_id is None:
            raise ValueError(
                f"`tokenizer` must have an `eos_id`. Received: {type(tokenizer).__name__} without"
            )
        noise.check(sequence_length)
        self.noise = noise
        self.source_start = tuple(source_start)
        self.target_start = tuple(target_start)

    def epoch_key(self, epoch: int) -> int:
        """Every epoch has as many batches."""
        return 0

    def plan(self, epoch: int) -> Iterator[Plan]:
        """The rows of each batch: of one eighth of `sequence_length`."""
        size = self.sequence_length
        waiting: dict[int, Plan] = {-(-size * part // 8): [] for part in range(1, 9)}
        number = 0
        for index, (texts, is_last) in enumerate(self.windows()):
            rows = [
                [text[start : start + size]]
                for text in texts
                for start in range(0, len(text), size)
            ]
            numbered = list(enumerate(rows, start=number))
            number += len(rows)
            for row in self.shuffled(numbered, epoch, index):
                length = next(length for length in waiting if length >= len(row[1][0]))
                waiting[length].append(row)
            batches = []
            for length, some in waiting.items():
                ready, waiting[length] = cut(some, self.tokens_per_batch // length, is_last)
                batches += ready
            yield from self.shuffled(batches, epoch, index)

    def batch(self, rows: Plan, epoch: int) -> Batch:
        """The arrays of a batch."""
        pad_id = special_id(self.tokenizer, "pad_id") or 0
        sources, targets = [], []
        for number, (ids,) in rows:
            source, target = self.noise(ids, self.generator(epoch, number))
            sources.append(_joined([self.source_start, source, [self.end_id]]))
            targets.append(_joined([self.target_start, target, [self.end_id]]))
        length, target_length = (_eights(max(map(len, side))) for side in (sources, targets))
        encoder_ids, encoder_mask = padded(sources, length, pad_id)  # (B, S)
        labels, mask = padded([each[1:] for each in targets], target_length, pad_id)  # (B, T)
        decoder_ids, _ = padded([each[:-1] for each in targets], target_length, pad_id)  # (B, T)
        x = {
            "encoder_token_ids": encoder_ids,
            "encoder_padding_mask": encoder_mask,
            "decoder_token_ids": decoder_ids,
            "decoder_padding_mask": mask,
        }
        return x, labels, mask.astype(np.float32)

    def signature(self) -> Any:
        """The specs of a batch."""
        ids = tf.TensorSpec((None, None), tf.int32)
        mask = tf.TensorSpec((None, None), tf.bool)
        x = {
            "encoder_token_ids": ids,  # (B, S)
            "encoder_padding_mask": mask,  # (B, S)
            "decoder_token_ids": ids,  # (B, T)
            "decoder_padding_mask": mask,  # (B, T)
        }
        return x, ids, tf.TensorSpec((None, None), tf.float32)


def sentinels_of(tokenizer: Tokenizer) -> list[int]:
    """The ids of `<extra_id_0>`, `<extra_id_1>`, ..., as far as the tokenizer has them."""
    ids = Pieces.of(tokenizer).special_ids
    found: list[int] = []
    while (sentinel := f"<extra_id_{len(found)}>") in ids:
        found.append(ids[sentinel])
    return found


def _check_noise(rate: float, mean_span: float) -> None:
    if not 0.0 < rate < 1.0:
        raise ValueError(f"`rate` must be between 0 and 1. Received: rate={rate}")
    if mean_span < 1.0:
        raise ValueError(f"`mean_span` must be at least 1. Received: mean_span={mean_span}")


def _shares(total: int, parts: int, rng: Generator) -> np.ndarray:
    """Numbers from 0 up that sum to `total`, every way to share it as likely: (parts,)."""
    cuts = np.sort(rng.choice(total + parts - 1, parts - 1, replace=False))
    return np.diff(cuts, prepend=-1, append=total + parts - 1) - 1


def _eights(length: int) -> int:
    """The next multiple of 8, so that batches have few shapes."""
    return -(-length // 8) * 8


def _joined(parts: Sequence[Any]) -> np.ndarray:
    return np.concatenate(parts).astype(np.int32)
