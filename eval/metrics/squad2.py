"""Exact match and F1 of SQuAD 2.0 (Rajpurkar et al. 2018), where a question may have no answer.

The right answer to such a question is the empty string. In Chinese the others are compared as
CMRC 2018 compares them, for SQuAD's words are what stands between spaces. A system that also gives
a probability that there is no answer is scored twice: with the probability cut at a fixed
threshold, and at the best threshold there is, which is found by trying every one of them on the
examples.
"""

import abc
from collections.abc import Sequence

import numpy as np

from tflm.eval.metrics import cmrc
from tflm.eval.metrics.answers import best
from tflm.eval.metrics.base import Metric, Score, check_rows
from tflm.eval.metrics.examples import as_list, check_lengths, check_texts
from tflm.eval.metrics.languages import base_language
from tflm.eval.metrics.squad import SIGNATURE, exact_match, normalized_words, word_f1

_NUM_COLUMNS = 4  # of a row: agreement, answered, probability of no answer, has an answer


class Answer(str):
    """A predicted answer that knows the probability that there is none: a string in every other
    respect.

        >>> Answer("in 1066", 0.25).no_answer_probability
        0.25

    Args:
        text: The answer; empty when the system says there is none.
        no_answer_probability: Any number that grows with the belief that there is no answer.
    """

    no_answer_probability: float

    def __new__(cls, text: str, no_answer_probability: float = 0.0) -> "Answer":
        """Make a string with its probability."""
        answer = super().__new__(cls, text)
        answer.no_answer_probability = no_answer_probability
        return answer

    def __getnewargs__(self) -> tuple[str, float]:  # type: ignore[override]
        return str(self), self.no_answer_probability


class _Squad2Metric(Metric):
    """Mean agreement over answerable and unanswerable questions; its rows do not sum."""

    def __init__(self, name: str, label: str, threshold: float, language: str) -> None:
        super().__init__(name, adds=False)
        self._label = label
        self.threshold = threshold
        self.is_chinese = base_language(language) == "zh"

    @property
    @abc.abstractmethod
    def compared(self) -> str:
        """How answers are compared, for the signature."""

    def has_words(self, text: str) -> bool:
        """Whether anything of an answer is left to compare."""
        return bool(cmrc.without_punctuation(text) if self.is_chinese else normalized_words(text))

    @abc.abstractmethod
    def compare(self, prediction: str, answer: str) -> float:
        """Return the agreement of a prediction with one gold answer, 0 to 1."""

    def check_references(self, references: Sequence[Sequence[str] | str]) -> list[tuple[str, ...]]:
        """Return the gold answers of each question; none for a question that has no answer.

        Raises:
            TypeError: When an entry is neither a string nor a list of strings.
            ValueError: When there is no entry.
        """
        checked = []
        for index, entry in enumerate(as_list("references", references)):
            texts = [entry] if isinstance(entry, str) else entry
            if texts in ([], ()):
                checked.append(())
            else:
                texts = check_texts(f"references[{index}]", texts)
                checked.append(tuple(text for text in texts if text))
        return checked

    def statistics(
        self, hypotheses: Sequence[str | Answer], references: Sequence[Sequence[str] | str]
    ) -> np.ndarray:
        """Return one row per question: the agreement of the answer as it is, whether there is one,
        the probability of no answer, and whether the question has an answer.

        Args:
            hypotheses: An `Answer`, or a string, which is an answer with probability 0 of none.
            references: The gold answers of each question, none or the empty string where it has no
                answer.

        Raises:
            TypeError: When an example is of another type.
            ValueError: When there is no example, or the numbers differ.
        """
        answers = [_as_answer(*pair) for pair in enumerate(as_list("hypotheses", hypotheses))]
        checked = self.check_references(references)
        check_lengths("hypotheses", answers, checked)
        rows = []
        for answer, gold in zip(answers, checked, strict=True):
            # Gold answers of which nothing is left count as the empty answer, as in the script.
            texts = [text for text in gold if self.has_words(text)] or [""]
            agreement = best(self.compare, answer, texts)
            rows.append([agreement, bool(answer), answer.no_answer_probability, bool(gold)])
        return np.array(rows, dtype=np.float64)  # (E, 4)

    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score rows (E, 4).

        Components are the scores of the questions with (`has_answer`) and without (`no_answer`) an
        answer, their numbers, and, when the system gave probabilities, the best score and the
        threshold that reaches it: a question is answered when its probability is at most that.

        Raises:
            ValueError: When the statistics are a sum, or those of no example.
        """
        agreement, _, probability, has_answer = check_rows(statistics)[:, :_NUM_COLUMNS].T  # (E,)
        refused = probability > self.threshold
        values = np.where(refused, 1.0 - has_answer, agreement)  # (E,)
        components = {}
        for part, chosen in (("has_answer", has_answer == 1), ("no_answer", has_answer == 0)):
            components[f"{part}_examples"] = float(chosen.sum())
            if chosen.any():
                components[part] = 100 * float(values[chosen].mean())
        if probability.any():
            components["best"], components["best_threshold"] = _best_threshold(statistics)
        return Score(
            name=self.name,
            label=self._label,
            value=100 * float(values.mean()),
            num_examples=len(values),
            signature=f"squad:2.0|{self.compared}|no_answer>{self.threshold:g}",
            components=components,
        )


class Squad2ExactMatch(_Squad2Metric):
    """Share of questions, from 0 to 100, answered exactly, or rightly left without an answer.

        >>> Squad2ExactMatch().score(["in 1066", ""], [["1066"], []]).components["no_answer"]
        100.0

    Args:
        threshold: A question is left without an answer when its `no_answer_probability` is above
            this; 1 keeps every answer, as the evaluation script does by default.
        language: Code of the language of the answers.
        name: Key of the scores.
    """

    def __init__(
        self, *, threshold: float = 1.0, language: str = "en", name: str = "exact_match"
    ) -> None:
        super().__init__(name, "EM", threshold, language)

    @property
    def compared(self) -> str:
        """How answers are compared, for the signature."""
        return f"cmrc:2018|{cmrc.EXACT_SIGNATURE}" if self.is_chinese else SIGNATURE

    def compare(self, prediction: str, answer: str) -> float:
        """Return 1 for equal normalized answers, else 0."""
        same = cmrc.exact_match if self.is_chinese else exact_match
        return same(prediction, answer)


class Squad2F1(_Squad2Metric):
    """Mean over questions, from 0 to 100, of the best F1; where either answer is empty, 1 if both
    are.

    Args:
        threshold: A question is left without an answer when its `no_answer_probability` is above
            this; 1 keeps every answer, as the evaluation script does by default.
        language: Code of the language of the answers.
        name: Key of the scores.
    """

    def __init__(self, *, threshold: float = 1.0, language: str = "en", name: str = "f1") -> None:
        super().__init__(name, "F1", threshold, language)

    @property
    def compared(self) -> str:
        """How answers are compared, for the signature."""
        return f"cmrc:2018|{cmrc.f1_signature()}" if self.is_chinese else SIGNATURE

    def compare(self, prediction: str, answer: str) -> float:
        """Return the F1 of the normalized words, or of CMRC's tokens; 1 when neither has any."""
        has_words = self.has_words(prediction), self.has_words(answer)
        if not all(has_words):
            return float(not any(has_words))
        return cmrc.run_f1(prediction, answer) if self.is_chinese else word_f1(prediction, answer)


def _best_threshold(statistics: np.ndarray) -> tuple[float, float]:
    """Return the best score, 0 to 100, and the lowest threshold that reaches it.

    Questions of equal probability are answered together or not at all. The published script puts a
    threshold between them too, so with ties its result depends on their order in the file.
    """
    agreement, answered, probability, has_answer = statistics.T
    # What answering adds to a system that answers nothing and so has every unanswerable question
    # right.
    gain = np.where(has_answer == 1, agreement, -answered)  # (E,)
    order = np.argsort(probability, kind="stable")
    ordered = probability[order]
    totals = (1 - has_answer).sum() + np.cumsum(gain[order])  # (E,)
    is_last = np.append(ordered[1:] != ordered[:-1], True)  # of its probability
    totals, thresholds = totals[is_last], ordered[is_last]
    nothing = (1 - has_answer).sum()
    index = int(np.argmax(totals))
    if totals[index] <= nothing:
        return 100 * float(nothing) / len(statistics), 0.0
    return 100 * float(totals[index]) / len(statistics), float(thresholds[index])


def _as_answer(index: int, value: str | Answer) -> Answer:
    if not isinstance(value, str):
        raise TypeError(
            "`hypotheses` must be a list of strings or `Answer`s. "
            f"Received: hypotheses[{index}]={value!r} of type {type(value).__name__}"
        )
    answer = value if isinstance(value, Answer) else Answer(value)
    if not np.isfinite(answer.no_answer_probability):
        raise ValueError(
            "`no_answer_probability` must be a finite number. Received: "
            f"hypotheses[{index}]={value!r}, no_answer_probability={answer.no_answer_probability}"
        )
    return answer
