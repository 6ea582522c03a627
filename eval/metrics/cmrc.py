"""Exact match and F1 of CMRC 2018 (Cui et al. 2019), as its evaluation script defines them.

Chinese is compared by the character, other scripts by the word, both in lower case and without a
fixed list of punctuation marks. F1 is that of the longest run of tokens which both answers contain,
unlike SQuAD's, which compares bags of words.
"""

import difflib
import functools
import importlib.metadata
import re

from tflm.eval.metrics.answers import AnswerMetric, harmonic_f1

EXACT_SIGNATURE = "case:lc|punct:no|refs:max"
# The marks that the published script leaves out. Its list also has the two characters "……", which
# it compares with single characters and so never finds: the ellipsis counts.
_PUNCTUATION = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_IDEOGRAPH = "[\u4e00-\u9fa5]"
_PIECES = re.compile(f"{_IDEOGRAPH}|(?:(?!{_IDEOGRAPH}).)+", re.DOTALL)


def without_punctuation(text: str) -> str:
    """Return an answer as exact match compares it: lower case, without the listed marks."""
    return text.lower().strip().translate(_PUNCTUATION)


@functools.lru_cache(maxsize=4096)
def mixed_tokens(text: str) -> tuple[str, ...]:
    """Return an answer as F1 compares it: ideographs one by one, the rest as NLTK's words.

    The words are those of `nltk.word_tokenize(text, preserve_line=True)`: the published script also
    lets NLTK look for ends of sentences, which needs a downloaded model and changes a token only
    where a full stop ends a sentence in the middle of text without ideographs.
    """
    tokens: list[str] = []
    for piece in _PIECES.findall(without_punctuation(text)):
        if re.fullmatch(_IDEOGRAPH, piece):
            tokens.append(piece)
        else:
            tokens.extend(_words(piece))
    return tuple(tokens)


def _words(text: str) -> list[str]:
    from nltk.tokenize import word_tokenize  # half a second, so on first use

    return word_tokenize(text, preserve_line=True)


def exact_match(prediction: str, answer: str) -> float:
    """Return 1 when both are equal without punctuation, else 0."""
    return float(without_punctuation(prediction) == without_punctuation(answer))


def run_f1(prediction: str, answer: str) -> float:
    """Return the F1 of the longest run of tokens that both contain."""
    predicted, gold = mixed_tokens(prediction), mixed_tokens(answer)
    matcher = difflib.SequenceMatcher(None, predicted, gold, autojunk=False)
    return harmonic_f1(matcher.find_longest_match().size, len(predicted), len(gold))


def f1_signature() -> str:
    """Return how F1 compares, the version of NLTK included."""
    version = importlib.metadata.version("nltk")
    return f"case:lc|punct:no|tok:mixed-nltk-{version}|refs:max"


class CmrcExactMatch(AnswerMetric):
    """Share of questions, from 0 to 100, answered by exactly one of the gold answers.

        >>> CmrcExactMatch().score(["《红楼梦》。"], [["红楼梦", "石头记"]]).value
        100.0

    Args:
        name: Key of the scores.
    """

    def __init__(self, name: str = "exact_match") -> None:
        super().__init__(name, "EM", f"cmrc:2018|{EXACT_SIGNATURE}")

    def compare(self, prediction: str, answer: str) -> float:
        """Return 1 for answers that are equal without punctuation, else 0."""
        return exact_match(prediction, answer)


class CmrcF1(AnswerMetric):
    """Mean over questions, from 0 to 100, of the best F1 with one of the gold answers.

        >>> round(CmrcF1().score(["曹雪芹写的"], [["曹雪芹"]]).value, 2)
        75.0

    Args:
        name: Key of the scores.
    """

    def __init__(self, name: str = "f1") -> None:
        super().__init__(name, "F1", f"cmrc:2018|{f1_signature()}")

    def compare(self, prediction: str, answer: str) -> float:
        """Return the F1 of the longest run of tokens that both contain."""
        return run_f1(prediction, answer)
