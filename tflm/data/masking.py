"""Texts to rows with masked words for an encoder, which learns what stood there.

    text     "the river froze . ..."    token_ids         <s> the [MASK] [MASK] .   (B, T)
                                        masked_positions  2 3                       (B, M)
                                        y                 riv er                    (B, M)

Devlin et al. 2019, section 3.1 (https://arxiv.org/abs/1810.04805): 15 % of the tokens are chosen;
of those 80 % are masked, 10 % become a random token and 10 % stay. Whole words are chosen, as in
the later release (https://github.com/google-research/bert, May 2019); `tflm.data.words` says what a
word is. Words are chosen anew in every epoch (Liu et al. 2019, section 4.1,
https://arxiv.org/abs/1907.11692). Rows are cut from the texts one after another, with the end token
between two (their section 4.2, "full sentences").
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tflm.data.rows import Batch, Plan, RowBatches, Text, Window, padded, special_id
from tflm.data.words import Words
from tflm.tokenizers import Tokenizer
from tflm.tokenizers.framing import Frame
from tflm.tokenizers.pieces import Pieces

_MASKED, _RANDOM = 0.8, 0.9  # shares of the chosen tokens, the second with the first


class MaskedBatches(RowBatches):
    """Batches of rows with masked words, each epoch a function of (texts, seed, epoch).

    Special tokens are never chosen. In evaluation nothing is shuffled, words are chosen by the seed
    alone, and every chosen token is masked, as it is where a user asks for it: a token that stays
    would be right for nothing. What is chosen in a row does not depend on the size of a batch.

    `padding_mask` is True on real tokens; `sample_weight` is 1 on the chosen ones, of which a row
    has at most M, the same in every row.

    Args:
        texts: Strings, or rows of a reader of which the first column counts; re-iterable.
        tokenizer: Tokenizes them; rows begin with its `cls_id`, texts end with its `sep_id`; where
            it has none, `bos_id` and `eos_id`.
        training: Whether to shuffle.
        sequence_length: Tokens in a row, T.
        tokens_per_batch: Most tokens in a batch, padding included: rows * T.
        rate: The share of the tokens that is chosen.
        window: Tokens that are cut and shuffled together; about this many are in memory.
        seed: Any integer.

    Raises:
        ValueError: A number is out of its range, or the tokenizer has no mask.
        TypeError: `texts` is an iterator, which has no second epoch, or one string.
    """

    def __init__(
        self,
        texts: Iterable[Text],
        tokenizer: Tokenizer,
        *,
        training: bool,
        sequence_length: int = 128,
        tokens_per_batch: int = 4096,
        rate: float = 0.15,
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
        if not 0.0 < rate < 1.0:
            raise ValueError(f"`rate` must be between 0 and 1. Received: rate={rate}")
        self.rate = rate
        self.mask_id = mask_of(tokenizer)
        frame = Frame(tokenizer)
        self.start, self.end = list(frame.start), list(frame.end)
        if sequence_length <= len(self.start):
            raise ValueError(
                f"`sequence_length` must be at least {len(self.start) + 1}, the first token and "
                f"one of the text. Received: sequence_length={sequence_length}"
            )
        pieces = Pieces.of(tokenizer)
        self.words = Words(pieces)
        self.special = pieces.special
        self._ordinary = np.flatnonzero(~pieces.special).astype(np.int32)
        self.num_masked = max(1, round(rate * (sequence_length - len(self.start))))  # M

    def frame(self) -> tuple[list[int], list[int]]:
        """Nothing in front of a text; the end token behind it."""
        return [], self.end

    def rows(self, epoch: int) -> Iterator[Window]:
        """Rows of one piece of the texts each."""
        return self.continuous_rows(epoch, self.sequence_length - len(self.start))

    def batch(self, rows: Plan, epoch: int) -> Batch:
        """The arrays of a batch."""
        pad_id = special_id(self.tokenizer, "pad_id") or 0
        ids = [np.concatenate([self.start, row]).astype(np.int32) for _, (row,) in rows]
        token_ids, padding_mask = padded(ids, self.sequence_length, pad_id)  # (B, T), (B, T)
        starts = self.words.starts(token_ids)  # (B, T)
        may_be_chosen = padding_mask & ~self.special[token_ids]
        chosen = []
        for row, (number, _) in enumerate(rows):
            rng = self.generator(epoch, number)
            positions = choose_words(starts[row], may_be_chosen[row], self.rate, rng)
            chosen.append((positions, token_ids[row, positions]))
            token_ids[row, positions] = self._corrupted(token_ids[row, positions], rng)
        positions, is_chosen = padded([each for each, _ in chosen], self.num_masked, 0)  # (B, M)
        labels, _ = padded([each for _, each in chosen], self.num_masked, pad_id)  # (B, M)
        x = {
            "token_ids": token_ids,
            "padding_mask": padding_mask,
            "masked_positions": positions,
        }
        return x, labels, is_chosen.astype(np.float32)

    def _corrupted(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What is read in the place of chosen tokens."""
        masked = np.full_like(ids, self.mask_id)
        if not self.training:
            return masked
        draw = rng.random(len(ids))
        other = self._ordinary[rng.integers(len(self._ordinary), size=len(ids))]
        return np.where(draw < _MASKED, masked, np.where(draw < _RANDOM, other, ids))

    def signature(self) -> Any:
        """The specs of a batch."""
        ids = tf.TensorSpec((None, self.sequence_length), tf.int32)  # (B, T)
        positions = tf.TensorSpec((None, self.num_masked), tf.int32)  # (B, M)
        x = {
            "token_ids": ids,
            "padding_mask": tf.TensorSpec(ids.shape, tf.bool),
            "masked_positions": positions,
        }
        return x, positions, tf.TensorSpec(positions.shape, tf.float32)


def choose_words(
    starts: np.ndarray, may_be_chosen: np.ndarray, rate: float, rng: np.random.Generator
) -> np.ndarray:
    """Positions of whole words in random order, as many as stay within a share of the tokens.

    A word that would be too much is passed over, as in BERT's own code.

    Args:
        starts: Which tokens begin a word, boolean (T,).
        may_be_chosen: Which tokens may be chosen, (T,); all tokens of a word or none.
        rate: The share of the tokens that may be chosen, one token at least.
        rng: What is random.

    Returns:
        Increasing positions, (k,).
    """
    word = np.cumsum(starts) - 1  # (T,)
    sizes = np.bincount(word[may_be_chosen])
    words = np.flatnonzero(sizes)
    room = max(1, round(rate * int(may_be_chosen.sum())))
    chosen = np.zeros(len(word) + 1, bool)  # by word
    for each in rng.permutation(words).tolist():
        if sizes[each] <= room:
            chosen[each] = True
            room -= sizes[each]
        if not room:
            break
    return np.flatnonzero(chosen[word] & may_be_chosen)


def mask_of(tokenizer: Tokenizer) -> int:
    """The id that stands for a masked token.

    Raises:
        ValueError: The tokenizer has none.
    """
    if (found := special_id(tokenizer, "mask_id")) is None:
        raise ValueError(
            "`tokenizer` must have a `mask_id` (train SentencePiece's with "
            f'control_symbols=["[MASK]"]). Received: {type(tokenizer).__name__} without'
        )
    return found
