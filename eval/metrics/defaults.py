"""The metrics each task is judged by when the user names none."""

from collections.abc import Callable

from tflm.eval.metrics.base import Metric
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.ter import TER


def _translation(target_language: str) -> list[Metric]:
    # The three that sacreBLEU prints; cased, since lower-cased BLEU is another scale and has to be
    # asked for.
    return [BLEU(target_language), CHRF(), TER(target_language)]


_DEFAULTS: dict[str, Callable[[str], list[Metric]]] = {"translation": _translation}


def metrics_for(task: str, target_language: str) -> list[Metric]:
    """Return the field's usual metrics of a task.

    Args:
        task: Name of the task: "translation" has BLEU, chrF and TER.
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
