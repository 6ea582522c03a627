"""How much generated text repeats itself: distinct n-grams (Li et al. 2016) and repetition."""

from tflm.eval.metrics.example_mean import ExampleMean
from tflm.eval.metrics.words import words_and_marks


class Distinct(ExampleMean):
    """Distinct-n from 0 to 1: distinct n-grams over all n-grams of an output, mean over outputs.

        >>> Distinct(2).score(["so it goes, so it goes"]).value
        0.6666666666666666

    Distinct n-grams of a whole corpus do not add, and fall as the corpus grows; those of single
    outputs do neither, which is what `level:example` in the signature names. An output shorter than
    `n` has no n-grams and is left out. Words are those of any script, and each punctuation mark is
    a token: "!!!!" is a repetition too.

    Args:
        n: Length of the n-grams.
        name: Key of the scores. None is `"distinct"` and `n`.

    Raises:
        ValueError: When `n` is not positive.
    """

    def __init__(self, n: int = 2, *, name: str | None = None) -> None:
        self._n = _checked(n)
        super().__init__(
            name or f"distinct{n}",
            label=f"Distinct-{n}",
            signature=_signature(n),
            higher_is_better=True,
        )

    def example_value(self, hypothesis: str) -> float | None:
        """Return the share of distinct n-grams, None where there is no n-gram."""
        return _distinct_share(hypothesis, self._n)


class Repetition(ExampleMean):
    """The share of an output's n-grams that occurred in it before, mean over outputs: from 0 to 1,
    lower is better. It is seq-rep-n of Welleck et al. 2020, one minus `Distinct`.

        >>> Repetition(2).score(["so it goes, so it goes"]).value
        0.33333333333333337

    Args:
        n: Length of the n-grams; 4 is usual for continuations.
        name: Key of the scores. None is `"repetition"` and `n`.

    Raises:
        ValueError: When `n` is not positive.
    """

    def __init__(self, n: int = 4, *, name: str | None = None) -> None:
        self._n = _checked(n)
        super().__init__(name or f"repetition{n}", label=f"Repetition-{n}", signature=_signature(n))

    def example_value(self, hypothesis: str) -> float | None:
        """Return the share of repeated n-grams, None where there is no n-gram."""
        share = _distinct_share(hypothesis, self._n)
        return None if share is None else 1 - share


def _distinct_share(text: str, n: int) -> float | None:
    tokens = words_and_marks(text)
    num_ngrams = len(tokens) - n + 1
    if num_ngrams < 1:
        return None
    return len({tokens[i : i + n] for i in range(num_ngrams)}) / num_ngrams


def _checked(n: int) -> int:
    if n < 1:
        raise ValueError(f"`n` must be positive. Received: n={n}")
    return n


def _signature(n: int) -> str:
    return f"n:{n}|level:example|avg:mean|tok:unicode+marks"
