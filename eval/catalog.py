"""Metrics by name: what `--metric` and `--require` accept, and what each task has by default."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tflm.eval.metrics.base import Metric
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.calibration import AUROC, BrierScore, CalibrationError
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.classification import Accuracy, MatthewsCorrelation
from tflm.eval.metrics.cmrc import CmrcExactMatch, CmrcF1
from tflm.eval.metrics.diversity import Distinct, Repetition
from tflm.eval.metrics.labels import Label
from tflm.eval.metrics.languages import base_language
from tflm.eval.metrics.lengths import EmptyShare, LengthRatio, TruncatedShare
from tflm.eval.metrics.perplexity import BitsPer, Perplexity
from tflm.eval.metrics.precision_recall import F1, Precision, Recall
from tflm.eval.metrics.rouge import ROUGE
from tflm.eval.metrics.squad import SquadExactMatch, SquadF1
from tflm.eval.metrics.squad2 import Squad2ExactMatch, Squad2F1
from tflm.eval.metrics.ter import TER

Factory = Callable[[str, Sequence[str]], Metric]  # of target language and labels


def _exact_match(language: str, labels: Sequence[str]) -> Metric:
    return CmrcExactMatch() if base_language(language) == "zh" else SquadExactMatch()


def _f1(language: str, labels: Sequence[str]) -> Metric:
    return CmrcF1() if base_language(language) == "zh" else SquadF1()


# Each also compares sets of labels, with `multi_label`.
_OF_LABELS: dict[str, Callable[..., Any]] = {
    "accuracy": Accuracy,
    "precision_macro": Precision,
    "recall_macro": Recall,
    "f1_macro": F1,
    "f1_micro": functools.partial(F1, average="micro"),
    "f1_weighted": functools.partial(F1, average="weighted"),
}


def _compared(name: str, multi_label: bool) -> Factory:
    return lambda language, labels: _OF_LABELS[name](labels, multi_label=multi_label)


_OF_TEXTS: dict[str, Factory] = {
    "bleu": lambda language, labels: BLEU(language),
    "bleu_lc": lambda language, labels: BLEU(language, lowercase=True),
    "chrf": lambda language, labels: CHRF(),
    "chrf++": lambda language, labels: CHRF(word_order=2),
    "ter": lambda language, labels: TER(language),
    "rouge1": lambda language, labels: ROUGE("rouge1", language or None),
    "rouge2": lambda language, labels: ROUGE("rouge2", language or None),
    "rougeL": lambda language, labels: ROUGE("rougeL", language or None),
    "rougeLsum": lambda language, labels: ROUGE("rougeLsum", language or None),
    "exact_match": _exact_match,
    "f1": _f1,
    "exact_match_squad2": lambda language, labels: Squad2ExactMatch(
        language=language or "en", name="exact_match_squad2"
    ),
    "f1_squad2": lambda language, labels: Squad2F1(language=language or "en", name="f1_squad2"),
    **{name: _compared(name, multi_label=False) for name in _OF_LABELS},
    "mcc": lambda language, labels: MatthewsCorrelation(labels),
    "auroc": lambda language, labels: AUROC(labels),
    "ece": lambda language, labels: CalibrationError(labels),
    "brier": lambda language, labels: BrierScore(labels),
    "distinct1": lambda language, labels: Distinct(1),
    "distinct2": lambda language, labels: Distinct(2),
    "repetition4": lambda language, labels: Repetition(4),
    "length_ratio": lambda language, labels: LengthRatio(),
    "empty": lambda language, labels: EmptyShare(),
    "truncated": lambda language, labels: TruncatedShare(),
}
_OF_LIKELIHOODS: dict[str, Factory] = {
    "perplexity": lambda language, labels: Perplexity(),
    "word_perplexity": lambda language, labels: Perplexity(unit="word"),
    "bits_per_character": lambda language, labels: BitsPer("character"),
    "bits_per_byte": lambda language, labels: BitsPer("byte"),
}
_FACTORIES = {**_OF_TEXTS, **_OF_LIKELIHOODS}
_OF_LABEL_SETS = {name: _compared(name, multi_label=True) for name in _OF_LABELS}
_READ = {"texts": _OF_TEXTS, "label sets": _OF_LABEL_SETS, "likelihoods": _OF_LIKELIHOODS}
_GROUPS = {
    "rouge": ("rouge1", "rouge2", "rougeL", "rougeLsum"),
    "squad": ("exact_match", "f1"),
    "squad2": ("exact_match_squad2", "f1_squad2"),
    "diversity": ("distinct1", "distinct2", "repetition4"),
}
# What each task is judged by when the user names nothing. Translation has the three that sacreBLEU
# prints, cased: lower-cased BLEU is another scale and has to be asked for.
_TASKS = {
    "translation": ("bleu", "chrf", "ter"),
    "summarization": ("rouge1", "rouge2", "rougeL", "rougeLsum", "length_ratio", "empty"),
    "question_answering": ("exact_match", "f1"),
    "classification": ("accuracy", "f1_macro", "mcc"),
    "sentiment_analysis": ("accuracy", "f1_macro", "mcc"),
    "generation": ("distinct1", "distinct2", "repetition4", "empty"),
    "causal_lm": ("perplexity", "bits_per_character", "bits_per_byte"),
}


def metric_names() -> list[str]:
    """Return every name, those of groups included, sorted."""
    return sorted([*_FACTORIES, *_GROUPS])


def task_names() -> list[str]:
    """Return the tasks that have metrics by default, sorted."""
    return sorted(_TASKS)


def task_metric_names(task: str) -> tuple[str, ...]:
    """Return the names of the metrics that a task is judged by when the user names none.

    Raises:
        ValueError: For an unknown task; the message lists the known ones.
    """
    if task not in _TASKS:
        raise ValueError(
            f"`task` must be one of {', '.join(task_names())}. Received: task={task!r}"
        )
    return _TASKS[task]


def metrics_named(
    names: Iterable[str],
    target_language: str,
    labels: Sequence[str] = (),
    *,
    multi_label: bool = False,
) -> list[Metric]:
    """Return the metrics of these names, each once, in their order.

    Args:
        names: Names as in `metric_names`; "rouge" stands for ROUGE-1, 2, L and Lsum.
        target_language: Code of the language of the text. It may be "" where no metric splits text
            by it: of those named here BLEU, TER, exact match and F1 do, SQuAD 2.0's take it for
            English then, and ROUGE looks at the text instead.
        labels: The labels of a classification, for the metrics that need them.
        multi_label: Whether an example has any number of labels; few metrics read those.

    Raises:
        ValueError: For an unknown name, where the message lists the known ones; a
            `target_language` that is no language code; too few labels for a metric of labels; or a
            metric that does not read several labels.
        ImportError: When a metric needs a package that is not installed.
    """
    names = _single_names(names)
    if multi_label:
        check_reads(names, "label sets")
    factories = _OF_LABEL_SETS if multi_label else _FACTORIES
    return [factories[name](target_language, labels) for name in names]


def check_reads(names: Iterable[str], reads: str) -> None:
    """Check that all metrics of these names read the same kind of predictions.

    Args:
        names: Names as in `metric_names`.
        reads: "texts" (or labels, which are texts), "label sets" or "likelihoods".

    Raises:
        ValueError: When a name is unknown, or the metric reads something else.
    """
    for name in _single_names(names):
        if name not in _READ[reads]:
            known = ", ".join(sorted(_READ[reads]))
            raise ValueError(
                f"`metric` must be one that reads {reads}: {known}. Received: metric={name!r}"
            )


def _single_names(names: Iterable[str]) -> list[str]:
    """Return the names with groups spread, each once."""
    found: dict[str, None] = {}
    for name in names:
        for single in _GROUPS.get(name, (name,)):
            if single not in _FACTORIES:
                known = ", ".join(metric_names())
                raise ValueError(f"`metric` must be one of {known}. Received: metric={name!r}")
            found[single] = None
    return list(found)


def metrics_for(task: str, target_language: str, labels: Sequence[str] = ()) -> list[Metric]:
    """Return the field's usual metrics of a task.

    Args:
        task: Name of the task. "translation" has BLEU, chrF and TER; "summarization" ROUGE-1, 2, L
            and Lsum, the ratio of lengths and the share of empty outputs; "question_answering"
            exact match and F1, CMRC's in Chinese and SQuAD's elsewhere; "classification" and
            "sentiment_analysis" accuracy, macro F1 and Matthews correlation; "generation"
            distinct-1 and 2, repetition of 4-grams and the share of empty outputs; "causal_lm"
            perplexity, and bits per character and byte.
        target_language: Code of the language that is generated.
        labels: The labels of a classification.

    Raises:
        ValueError: For an unknown task, and as `metrics_named`.
        ImportError: When a metric needs a package that is not installed.
    """
    return metrics_named(task_metric_names(task), target_language, labels)


def labels_of(texts: Sequence[str | Sequence[str]]) -> tuple[str, ...]:
    """Return the labels that occur in references or predictions, sorted; with those that a
    predicted `Label` has probabilities of."""
    entries = ([entry] if isinstance(entry, str) else entry for entry in texts)
    found: set[str] = set()
    for text in (text for entry in entries for text in entry):
        found |= {str(text), *(text.probabilities if isinstance(text, Label) else ())}
    return tuple(sorted(found))
