"""Metrics by name: what `--metric` and `--require` accept, and what each task has by default."""

from collections.abc import Callable, Iterable, Sequence

from tflm.eval.metrics.base import Metric
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.classification import Accuracy, MatthewsCorrelation
from tflm.eval.metrics.cmrc import CmrcExactMatch, CmrcF1
from tflm.eval.metrics.diversity import Distinct, Repetition
from tflm.eval.metrics.languages import base_language
from tflm.eval.metrics.lengths import EmptyShare, LengthRatio, TruncatedShare
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


_FACTORIES: dict[str, Factory] = {
    "bleu": lambda language, labels: BLEU(language),
    "bleu_lc": lambda language, labels: BLEU(language, lowercase=True),
    "chrf": lambda language, labels: CHRF(),
    "chrf++": lambda language, labels: CHRF(word_order=2),
    "ter": lambda language, labels: TER(language),
    "rouge1": lambda language, labels: ROUGE("rouge1", language),
    "rouge2": lambda language, labels: ROUGE("rouge2", language),
    "rougeL": lambda language, labels: ROUGE("rougeL", language),
    "rougeLsum": lambda language, labels: ROUGE("rougeLsum", language),
    "exact_match": _exact_match,
    "f1": _f1,
    "exact_match_squad2": lambda language, labels: Squad2ExactMatch(name="exact_match_squad2"),
    "f1_squad2": lambda language, labels: Squad2F1(name="f1_squad2"),
    "accuracy": lambda language, labels: Accuracy(labels),
    "mcc": lambda language, labels: MatthewsCorrelation(labels),
    "precision_macro": lambda language, labels: Precision(labels),
    "recall_macro": lambda language, labels: Recall(labels),
    "f1_macro": lambda language, labels: F1(labels),
    "f1_micro": lambda language, labels: F1(labels, average="micro"),
    "distinct1": lambda language, labels: Distinct(1),
    "distinct2": lambda language, labels: Distinct(2),
    "repetition4": lambda language, labels: Repetition(4),
    "length_ratio": lambda language, labels: LengthRatio(),
    "empty": lambda language, labels: EmptyShare(),
    "truncated": lambda language, labels: TruncatedShare(),
}
_GROUPS = {
    "rouge": ("rouge1", "rouge2", "rougeL"),
    "squad": ("exact_match", "f1"),
    "squad2": ("exact_match_squad2", "f1_squad2"),
    "diversity": ("distinct1", "distinct2", "repetition4"),
}
_TASKS = {
    "translation": ("bleu", "chrf", "ter"),
    "summarization": ("rouge1", "rouge2", "rougeL", "length_ratio"),
    "question_answering": ("exact_match", "f1"),
    "classification": ("accuracy", "f1_macro", "mcc"),
    "generation": ("distinct1", "distinct2", "repetition4", "empty"),
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
    names: Iterable[str], target_language: str, labels: Sequence[str] = ()
) -> list[Metric]:
    """Return the metrics of these names, each once, in their order.

    Args:
        names: Names as in `metric_names`; "rouge" stands for ROUGE-1, ROUGE-2 and ROUGE-L.
        target_language: Code of the language of the text.
        labels: The labels of a classification, for the metrics that need them.

    Raises:
        ValueError: For an unknown name; the message lists the known ones.
    """
    found: dict[str, Metric] = {}
    for name in names:
        for single in _GROUPS.get(name, (name,)):
            if single not in _FACTORIES:
                known = ", ".join(metric_names())
                raise ValueError(f"`metric` must be one of {known}. Received: metric={name!r}")
            if single not in found:
                found[single] = _FACTORIES[single](target_language, labels)
    return list(found.values())


def labels_of(references: Sequence[str | Sequence[str]]) -> tuple[str, ...]:
    """Return the labels that occur in the references, sorted."""
    texts = ([entry] if isinstance(entry, str) else entry for entry in references)
    return tuple(sorted({text for entry in texts for text in entry}))
