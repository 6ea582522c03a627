"""Exact match and F1 of SQuAD 1.1 (Rajpurkar et al. 2016), as its evaluation script defines them.

Answers are compared in lower case, without ASCII punctuation, without the words "a", "an" and
"the", and with white space made single. Other punctuation stays, so an answer in typographic quotes
is not equal to one without: that is the published definition. It splits at white space, hence suits
languages with spaces; Chinese has `tflm.eval.metrics.cmrc`.
"""

import re
import string

from tflm.eval.metrics.answers import AnswerMetric, harmonic_f1, num_shared

SIGNATURE = "case:lc|punct:no|articles:no|refs:max"
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalized_words(text: str) -> list[str]:
    """Return the words of an answer that count: lower case, no ASCII punctuation, no articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def exact_match(prediction: str, answer: str) -> float:
    """Return 1 when both have the same normalized words in the same order, else 0."""
    return float(normalized_words(prediction) == normalized_words(answer))


def word_f1(prediction: str, answer: str) -> float:
    """Return the F1 of the normalized words as bags; 0 when they share none, even if both are none.

    That two answers which are nothing but articles or punctuation match exactly and yet have F1 0
    is the definition of version 1.1; version 2.0 changed it.
    """
    predicted, gold = normalized_words(prediction), normalized_words(answer)
    return harmonic_f1(num_shared(predicted, gold), len(predicted), len(gold))


class SquadExactMatch(AnswerMetric):
    """Share of questions, from 0 to 100, answered by exactly one of the gold answers.

        >>> SquadExactMatch().score(["The Eiffel Tower!"], [["Eiffel tower", "tower"]]).value
        100.0

    Args:
        name: Key of the scores.
    """

    def __init__(self, name: str = "exact_match") -> None:
        super().__init__(name, "EM", f"squad:1.1|{SIGNATURE}")

    def compare(self, prediction: str, answer: str) -> float:
        """Return 1 for equal normalized answers, else 0."""
        return exact_match(prediction, answer)


class SquadF1(AnswerMetric):
    """Mean over questions, from 0 to 100, of the best word F1 with one of the gold answers.

        >>> SquadF1().score(["tower of Paris"], [["the Eiffel tower"]]).value
        40.0

    Args:
        name: Key of the scores.
    """

    def __init__(self, name: str = "f1") -> None:
        super().__init__(name, "F1", f"squad:1.1|{SIGNATURE}")

    def compare(self, prediction: str, answer: str) -> float:
        """Return the F1 of the normalized words."""
        return word_f1(prediction, answer)
