"""What the accuracy of a masked language model is worth: the metric, and guesses without a model.

    counts = TokenCounts(runs, vocab_size, may_be_guessed)
    counts.most_frequent                the same token everywhere
    counts.after(left)                  the most frequent one behind the token on the left
    counts.between(left, right)         the surer of the guesses from the left and from the right

Legend: E examples, N tokens, V vocabulary, K statistics of one example.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tflm.eval.metrics.base import Metric, Score, summed


class TokenMatch(Metric):
    """Share of tokens, from 0 to 1, that are guessed right; an example is a row with several.

    An interval is that of rows drawn anew: the tokens of a row depend on each other.

    Args:
        signature: How the tokens were chosen.
        name: Key of the scores.
    """

    def __init__(self, signature: str, name: str = "masked_accuracy") -> None:
        super().__init__(name)
        self._signature = signature

    def statistics(self, hypotheses: Sequence[Any], references: Sequence[Any]) -> np.ndarray:
        """Return (E, 2): how many tokens are right, and how many there are.

        Args:
            hypotheses: The guesses of each example, ids.
            references: The tokens themselves, as many.
        """
        rows = [
            (np.equal(guesses, tokens).sum(), len(tokens))
            for guesses, tokens in zip(hypotheses, references, strict=True)
        ]
        return np.array(rows, dtype=np.float64)

    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score rows (E, 2), or their sum (2,).

        Raises:
            ValueError: When the statistics are those of no token.
        """
        right, num_tokens = summed(statistics).tolist()
        if not num_tokens:
            raise ValueError("`statistics` must be those of at least one token. Received: 0 tokens")
        return Score(
            name=self.name,
            label="Masked accuracy",
            value=right / num_tokens,
            num_examples=int(num_tokens),
            signature=self._signature,
            digits=4,
        )


class TokenCounts:
    """How often tokens stand in a text, and beside each other.

    Args:
        runs: Ids of tokens that stand in a row, (N,) each.
        vocab_size: Number of tokens, V.
        may_be_guessed: Which tokens a guess may be, boolean (V,).

    Attributes:
        most_frequent: The most frequent of the tokens that a guess may be.
        share: Its share of all tokens.

    Raises:
        ValueError: When there is no token that a guess may be.
    """

    def __init__(self, runs: Iterable[np.ndarray], vocab_size: int, may_be_guessed: np.ndarray):
        total = np.zeros(vocab_size, np.int64)
        pairs = np.zeros(0, np.int64)
        counts = np.zeros(0, np.int64)
        for run in runs:
            total += np.bincount(run, minlength=vocab_size)
            codes = run[:-1].astype(np.int64) * vocab_size + run[1:]
            pairs, counts = _merged(pairs, counts, codes)
        allowed = np.where(may_be_guessed, total, 0)
        if not allowed.any():
            raise ValueError("`runs` must hold at least one token that may be guessed.")
        self.most_frequent = int(allowed.argmax())
        self.share = float(allowed.max() / total.sum())
        left, right = np.divmod(pairs, vocab_size)
        self._after = self._best(left, right, counts, may_be_guessed)
        self._before = self._best(right, left, counts, may_be_guessed)

    def after(self, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The most frequent tokens behind others, and their shares among all behind those.

        Behind a token that was never seen, the most frequent of all.

        Args:
            left: Ids, of any shape.
        """
        return self._after[0][left], self._after[1][left]

    def before(self, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same in front of tokens."""
        return self._before[0][right], self._before[1][right]

    def between(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Of the guesses from the left and from the right the one with the larger share."""
        (first, sure), (second, surer) = self.after(left), self.before(right)
        return np.where(surer > sure, second, first)

    def _best(
        self, given: np.ndarray, guess: np.ndarray, counts: np.ndarray, may_be_guessed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best guess for each given token, (V,), and its share, (V,)."""
        size = len(may_be_guessed)
        totals = np.bincount(given, weights=counts, minlength=size)
        ids = np.full(size, self.most_frequent)
        shares = np.full(size, self.share)
        allowed = may_be_guessed[guess]
        given, guess, counts = given[allowed], guess[allowed], counts[allowed]
        order = np.lexsort((-guess, counts))  # the last one assigned stays: the most frequent
        ids[given[order]] = guess[order]
        shares[given[order]] = counts[order] / totals[given[order]]
        return ids, shares


def _merged(
    values: np.ndarray, counts: np.ndarray, more: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of values with those of `more`, each value once."""
    found, more_counts = np.unique(more, return_counts=True)
    values, where = np.unique(np.concatenate([values, found]), return_inverse=True)
    counts = np.bincount(where, weights=np.concatenate([counts, more_counts]))
    return values, counts.astype(np.int64)
