"""The metrics each task is judged by when the user names none."""

from collections.abc import Callable

from tflm.eval.metrics.base import Metric
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.diversity import Distinct, Repetition
from tflm.eval.metrics.lengths import EmptyShare, LengthRatio
from tflm.eval.metrics.rouge import ROUGE
from tflm.eval.metrics.ter import TER


def _translation(target_language: str) -> list[Metric]:
    # The three that sacreBLEU prints; cased, since lower-cased BLEU is another scale and has to be
    # asked for.
    return [BLEU(target_language), CHRF(), TER(target_language)]


def _summarization(target_language: str) -> list[Metric]:
    kinds = ("rouge1", "rouge2", "rougeL", "rougeLsum")
    rouge = [ROUGE(kind, target_language) for kind in kinds]
    return [*rouge, LengthRatio(), EmptyShare()]


def _text_generation(target_language: str) -> list[Metric]:
    return [Distinct(1), Distinct(2), Repetition(4), EmptyShare()]


_DEFAULTS: dict[str, Callable[[str], list[Metric]]] = {
    "translation": _translation,
    "summarization": _summarization,
    "text_generation": _text_generation,
}


def metrics_for(task: str, target_language: str) -> list[Metric]:
    """Return the field's usual metrics of a task.

    Args:
        task: Name of the task: "translation" has BLEU, chrF and TER; "summarization" ROUGE-1, 2, L
            and Lsum, the ratio of lengths and the share of empty outputs; "text_generation"
            distinct-1 and 2, repetition of 4-grams and the share of empty outputs.
        target_language: Code of the language that is generated.

    Raises:
        ValueError: For an unknown task, or a `target_language` that is not a language code.
        ImportError: When BLEU in that language needs a package that is not installed.
    """
    if task not in _DEFAULTS:
        raise ValueError(
            f"`task` must be one of {', '.join(sorted(_DEFAULTS))}. Received: task={task!r}"
        )
    return _DEFAULTS[task](target_language)
