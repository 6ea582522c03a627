"""chrF (Popović 2015) and chrF++ (Popović 2017), computed by sacreBLEU."""

import sacrebleu

from tflm.eval.metrics.sacrebleu_metric import SacreBLEUMetric


class CHRF(SacreBLEUMetric):
    """Character n-gram F-score from 0 to 100, equal to `sacrebleu.corpus_chrf`.

    It needs no tokenizer, hence suits every language; the word n-grams of chrF++ need text with
    spaces.

        >>> CHRF(word_order=2).score(["the cat sat"], ["the cat sat"]).label
        'chrF2++'

    Args:
        word_order: Longest word n-grams that also count: 0 is chrF, 2 is chrF++.
        lowercase: Ignore case.
        name: Key of the scores. None is `"chrf"` followed by one "+" per word order, and "_lc" with
            `lowercase`.

    Raises:
        ValueError: When `word_order` is negative.
    """

    def __init__(
        self, *, word_order: int = 0, lowercase: bool = False, name: str | None = None
    ) -> None:
        if word_order < 0:
            raise ValueError(f"`word_order` must be 0 or more. Received: word_order={word_order}")
        super().__init__(
            sacrebleu.CHRF(word_order=word_order, lowercase=lowercase),
            name or "chrf" + "+" * word_order + ("_lc" if lowercase else ""),
            label_suffix=" (lower case)" if lowercase else "",
        )
