"""Perplexity, and bits per byte, character or word, from summed log-probabilities.

The sum runs over all tokens of all texts and is divided once, so batches of different sizes weigh
what they hold: a mean of the perplexities of batches is another, lower or higher, number.

    likelihoods = Likelihood.from_batch(log_probabilities, mask)       # for each batch
    Perplexity().score(all_likelihoods, texts)

Perplexity by the token depends on the tokenizer. By the word, character or byte of the original
text it does not, and so compares models with different tokenizers. Legend: B batch, T tokens.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tflm.eval.metrics.base import Metric, Score, check_count, summed
from tflm.eval.metrics.examples import as_list, check_lengths, check_texts

_UNITS = ("token", "word", "character", "byte")


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """What a language model says of one text.

    Args:
        log_probability: Sum of the natural logarithms of the probabilities of its tokens.
        num_tokens: How many tokens that is, an end-of-text token included when it was scored.

    Raises:
        ValueError: When the logarithm is positive or not a number, or a number of tokens negative.
    """

    log_probability: float
    num_tokens: int

    def __post_init__(self) -> None:
        if not self.log_probability <= 0:
            raise ValueError(
                "`log_probability` must be 0 or less, the logarithm of a probability. "
                f"Received: log_probability={self.log_probability}"
            )
        if self.num_tokens < 0:
            raise ValueError(
                f"`num_tokens` must be 0 or more. Received: num_tokens={self.num_tokens}"
            )

    @classmethod
    def from_batch(cls, log_probabilities: Any, mask: Any) -> list["Likelihood"]:
        """Return one likelihood per row of a padded batch.

        Args:
            log_probabilities: Natural logarithm of the probability of each token, (B, T). Padding
                may hold anything.
            mask: True, or not 0, where there is a token to count, (B, T).

        Raises:
            ValueError: When the shapes differ or are not (B, T).
        """
        values = np.asarray(log_probabilities, dtype=np.float64)
        mask = np.asarray(mask) != 0
        if values.ndim != 2 or values.shape != mask.shape:
            raise ValueError(
                "`mask` must have the shape of `log_probabilities`, (batch, tokens). "
                f"Received: log_probabilities of {values.shape}, mask of {mask.shape}"
            )
        sums = np.where(mask, np.minimum(values, 0.0), 0.0).sum(axis=1)  # rounding can end above 0
        return [cls(float(total), int(row.sum())) for total, row in zip(sums, mask, strict=True)]


@dataclasses.dataclass(frozen=True)
class ScoredText:
    """A likelihood and how long its text is: all that a metric of likelihoods reads of both.

    Args:
        log_probability: As of `Likelihood`.
        num_tokens: As of `Likelihood`.
        num_words: What stands between white space in the text.
        num_characters: Its code points.
        num_bytes: Its bytes in UTF-8.
    """

    log_probability: float
    num_tokens: int
    num_words: int
    num_characters: int
    num_bytes: int

    @classmethod
    def of(cls, likelihood: Likelihood, text: str) -> "ScoredText":
        """Return the likelihood of a text with the text's lengths."""
        lengths = len(text.split()), len(text), len(text.encode("utf-8"))
        return cls(likelihood.log_probability, likelihood.num_tokens, *lengths)

    @property
    def lengths(self) -> tuple[int, int, int]:
        """Numbers of words, characters and bytes, which no model has a part in."""
        return self.num_words, self.num_characters, self.num_bytes


def likelihood_statistics(texts: Sequence[ScoredText]) -> np.ndarray:
    """Return the statistics (E, 6) of every metric of likelihoods."""
    rows = [[text.log_probability, text.num_tokens, *text.lengths, 1] for text in texts]
    return np.array(rows, dtype=np.float64)


class _LikelihoodMetric(Metric):
    """A function of the log-probability of a corpus per unit of its text."""

    def __init__(self, unit: str, name: str, label: str) -> None:
        if unit not in _UNITS:
            raise ValueError(f"`unit` must be one of {', '.join(_UNITS)}. Received: unit={unit!r}")
        super().__init__(name, higher_is_better=False)
        self.unit = unit
        self._label = label

    def check_references(self, references: Sequence[str]) -> list[str]:
        """Return the texts after checking that they are strings.

        Raises:
            TypeError: When one is not a string.
            ValueError: When there is none.
        """
        return check_texts("references", references)

    def statistics(self, hypotheses: Sequence[Likelihood], references: Sequence[str]) -> np.ndarray:
        """Return (E, 6): log-probability, numbers of tokens, words, characters and bytes, and 1.

        Args:
            hypotheses: The likelihood of each text.
            references: The texts, as they were before any tokenizer. Words are what stands between
                white space, characters are code points, bytes are those of UTF-8.

        Raises:
            TypeError: When an example is of another type.
            ValueError: When there is no example, or the numbers differ.
        """
        likelihoods = as_list("hypotheses", hypotheses, "`Likelihood`")
        for index, value in enumerate(likelihoods):
            if not isinstance(value, Likelihood):
                raise TypeError(
                    "`hypotheses` must be a list of `Likelihood`s. "
                    f"Received: hypotheses[{index}]={value!r} of type {type(value).__name__}"
                )
        texts = self.check_references(references)
        check_lengths("hypotheses", likelihoods, texts)
        return likelihood_statistics(list(map(ScoredText.of, likelihoods, texts)))

    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score rows (E, 6), or their sum (6,); components are the log-probability and the counts.

        Raises:
            ValueError: When the statistics are those of no example, or hold none of the unit.
        """
        log_probability, *counts, num_examples = summed(statistics).tolist()
        check_count(num_examples)
        number: dict[str, float] = dict(zip(_UNITS, counts, strict=True))
        if not number[self.unit]:
            raise ValueError(
                f"`references` must hold at least one {self.unit}. "
                f"Received: {int(num_examples)} texts without any"
            )
        return Score(
            name=self.name,
            label=self._label,
            value=self._value(-log_probability / number[self.unit]),
            num_examples=int(num_examples),
            signature=f"unit:{self.unit}" + ("|words:split" if self.unit == "word" else ""),
            higher_is_better=False,
            components={
                "log_probability": log_probability,
                **{f"num_{unit}s": count for unit, count in number.items()},
            },
            digits=2 if isinstance(self, Perplexity) else 4,
        )

    def _value(self, nats: float) -> float:
        raise NotImplementedError


class Perplexity(_LikelihoodMetric):
    """exp of the mean negative log-probability of a unit of text; lower is better.

        >>> round(Perplexity().score([Likelihood(-6.9, 3)], ["a b c"]).value, 2)
        9.97

    Args:
        unit: "token", the model's own, or "word", "character" or "byte" of the original text. Use
            characters or bytes where words are not separated by spaces.
        name: Key of the scores. None is `"perplexity"`, for another unit `"word_perplexity"`.

    Raises:
        ValueError: For an unknown `unit`.
    """

    def __init__(self, *, unit: str = "token", name: str | None = None) -> None:
        default = "perplexity" if unit == "token" else f"{unit}_perplexity"
        label = "Perplexity" if unit == "token" else f"Perplexity by {unit}"
        super().__init__(unit, name or default, label)

    def _value(self, nats: float) -> float:
        return math.exp(nats) if nats < math.log(np.finfo(np.float64).max) else math.inf


class BitsPer(_LikelihoodMetric):
    """Bits of information per unit of text (cross-entropy to the base 2); lower is better.

        >>> round(BitsPer("byte").score([Likelihood(-6.9, 2)], ["公园"]).value, 4)
        1.6591

    Args:
        unit: "byte", "character", "word" of the original text, or the model's own "token".
        name: Key of the scores. None is `"bits_per_byte"` with the unit's name.

    Raises:
        ValueError: For an unknown `unit`.
    """

    def __init__(self, unit: str = "byte", *, name: str | None = None) -> None:
        super().__init__(unit, name or f"bits_per_{unit}", f"Bits per {unit}")

    def _value(self, nats: float) -> float:
        return nats / math.log(2)
