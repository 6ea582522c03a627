"""Trivial systems: what a score is worth is how far it is above theirs."""

import collections
import dataclasses
import re
from collections.abc import Callable, Sequence

from tflm.eval.differences import num_tokens
from tflm.eval.metrics.labels import Label

# A sentence ends at a full stop of its script with the quotes and brackets that close on it, or at
# a line break. Latin marks need a space or an East Asian character after them.
_CLOSING = "[\"'”’»」』）)\\]]*"
_SENTENCE_END = re.compile(
    rf"(?<=[.!?…]){_CLOSING}\s+|[!?]+{_CLOSING}(?=[\u3040-\u9fff])|[。！？；]+{_CLOSING}|\n+"
)
_LEAD = (1, 3)

System = Callable[[Sequence[str], Sequence[tuple[str, ...]]], list[str]]


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A system that needs no model.

    Args:
        name: Key in JSON, for example `"lead_3"`.
        label: The name in print.
        predict: Function from sources and references to as many strings. Only the majority class
            looks at the references.
        reads_sources: Whether the sources must be known.
    """

    name: str
    label: str
    predict: System
    reads_sources: bool = True


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text without the white space between them.

    A rule of punctuation alone, in Latin and East Asian scripts: it also splits after "Mr.".

        >>> split_sentences("He left. “Why?” 他走了。为什么？")
        ['He left.', '“Why?”', '他走了。', '为什么？']
    """
    sentences, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        sentences.append(text[start : match.end()].strip())
        start = match.end()
    sentences.append(text[start:].strip())
    return [sentence for sentence in sentences if sentence]


def lead(num_sentences: int) -> Baseline:
    """Return the system that answers with the first sentences of the source.

    Raises:
        ValueError: When `num_sentences` is not positive.
    """
    if num_sentences < 1:
        raise ValueError(
            f"`num_sentences` must be positive. Received: num_sentences={num_sentences}"
        )

    def predict(sources: Sequence[str], references: Sequence[tuple[str, ...]]) -> list[str]:
        return [_join(split_sentences(source)[:num_sentences]) for source in sources]

    noun = "sentence" if num_sentences == 1 else f"{num_sentences} sentences"
    return Baseline(f"lead_{num_sentences}", f"LEAD-{num_sentences}: the first {noun}", predict)


def _copy(sources: Sequence[str], references: Sequence[tuple[str, ...]]) -> list[str]:
    return list(sources)


def _longest(sources: Sequence[str], references: Sequence[tuple[str, ...]]) -> list[str]:
    return [max(split_sentences(source), key=num_tokens, default="") for source in sources]


def _longest_of_context(sources: Sequence[str], references: Sequence[tuple[str, ...]]) -> list[str]:
    contexts = [source.partition("\n")[2] or source for source in sources]
    return _longest(contexts, references)


def _majority(sources: Sequence[str], references: Sequence[tuple[str, ...]]) -> list[str]:
    counts = collections.Counter(reference[0] for reference in references)
    label, _ = min(counts.items(), key=lambda item: (-item[1], item[0]))
    shares = {name: count / len(references) for name, count in counts.items()}
    return [Label(label, shares)] * len(references)


def _join(sentences: list[str]) -> str:
    """Join sentences as their script does: with a space after a Latin mark, without elsewhere."""
    text = ""
    for sentence in sentences:
        text += (" " if text and text[-1].isascii() else "") + sentence
    return text


_LONGEST = Baseline("longest_sentence", "the longest sentence", _longest)
_MAJORITY = Baseline(
    "majority_class", "the most frequent class of the data", _majority, reads_sources=False
)
_BASELINES: dict[str, tuple[Baseline, ...]] = {
    "translation": (Baseline("copy_source", "the source, copied", _copy),),
    "summarization": (*map(lead, _LEAD), _LONGEST),
    "classification": (_MAJORITY,),
    "sentiment_analysis": (_MAJORITY,),
    # The source of a question is the question, a line break, the context.
    "question_answering": (
        dataclasses.replace(
            _LONGEST, label="the context's longest sentence", predict=_longest_of_context
        ),
    ),
}


def baselines_for(task: str) -> tuple[Baseline, ...]:
    """Return the trivial systems of a task.

    Args:
        task: "translation" copies the source; "summarization" takes the first sentence, the first
            three, or the longest; "classification" and "sentiment_analysis" always answer the most
            frequent class; "question_answering" answers the context's longest sentence.

    Raises:
        ValueError: For a task that has none.
    """
    if task not in _BASELINES:
        raise ValueError(
            f"`task` must be one of {', '.join(sorted(_BASELINES))} to have baselines. "
            f"Received: task={task!r}"
        )
    return _BASELINES[task]
