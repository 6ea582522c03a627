"""Translation edit rate (Snover et al. 2006), computed by sacreBLEU."""

from typing import Any

import sacrebleu

from tflm.eval.metrics.languages import base_language
from tflm.eval.metrics.sacrebleu_metric import SacreBLEUMetric

# Without spaces a sentence would be one word, and any slip in it a whole edit.
_SPLIT_INTO_CHARACTERS = ("zh", "ja")


class TER(SacreBLEUMetric):
    """Edits per 100 reference words, equal to `sacrebleu.corpus_ter`: lower is better, and above
    100 is possible.

        >>> TER("de").score(["ein Hund läuft"], ["ein Hund rennt"]).components
        {'num_edits': 1.0, 'reference_length': 3.0}

    Args:
        target_language: Code of the language of the text; it chooses the two options that follow.
        normalized: Separate punctuation from words first, as tercom's `-N`. None is True for
            Chinese and Japanese.
        asian_support: With `normalized`, split ideographs into single characters; with `no_punct`,
            remove Asian punctuation too. None is True for Chinese and Japanese.
        no_punct: Leave punctuation out.
        case_sensitive: Count a difference in case as an edit.
        name: Key of the scores. None is `"ter"`.

    Raises:
        ValueError: When `target_language` is not a language code.
    """

    def __init__(
        self,
        target_language: str,
        *,
        normalized: bool | None = None,
        asian_support: bool | None = None,
        no_punct: bool = False,
        case_sensitive: bool = False,
        name: str | None = None,
    ) -> None:
        has_no_spaces = base_language(target_language) in _SPLIT_INTO_CHARACTERS
        metric = sacrebleu.TER(
            normalized=has_no_spaces if normalized is None else normalized,
            asian_support=has_no_spaces if asian_support is None else asian_support,
            no_punct=no_punct,
            case_sensitive=case_sensitive,
        )
        super().__init__(metric, name or "ter", higher_is_better=False)

    def components(self, result: Any) -> dict[str, float]:
        """Return the number of edits and the length they are divided by."""
        return {
            "num_edits": float(result.num_edits),
            "reference_length": float(result.ref_length),
        }
