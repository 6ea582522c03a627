"""ROUGE (Lin 2004), computed by rouge-score on the words of any script."""

import functools
import importlib.metadata
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from tflm.eval.metrics.base import Metric, Score, check_count, summed
from tflm.eval.metrics.examples import References, check_pairs
from tflm.eval.metrics.languages import base_language
from tflm.eval.metrics.words import words

_KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_AGGREGATES = ("max", "mean")
_OWN, _UNICODE = _TOKENIZERS = ("rouge_score", "unicode")
# English and its borrowings (café) stay 80 times below this share of non-ASCII letters among the
# characters of the references, German and French 3 times above.
_MAX_FOREIGN = 0.005
# Columns in front: 1, r, r * r with r the number of references (as in sacreBLEU's metrics), then
# the characters of the references and the non-ASCII letters among them.
_NUM_COLUMNS = 5
_STOPS = re.compile("([。！？｡])")
# A text is asked for once per kind of ROUGE, close together in time.
_CACHED_TEXTS = 4096


class _Tokenizer(Protocol):
    def tokenize(self, text: str) -> Sequence[str]: ...


class ROUGE(Metric):
    """ROUGE from 0 to 1: the mean over examples of rouge-score's F-measure.

        >>> ROUGE("rouge1", "zh").score(["他去北京"], ["他去了北京"]).format()
        'ROUGE-1|nrefs:1|agg:max|tok:unicode|stem:no|version:0.1.2 = 0.8889 (1 example)'

    rouge-score's own tokenizer knows English letters only. Text in any other language is split by
    `tflm.eval.metrics.words`: characters for Chinese, Japanese and Thai, words elsewhere.

    Without `target_language` the references' text decides: rouge-score's tokenizer where at most
    one character in 200 is a letter outside ASCII, else the Unicode one. It is one decision for the
    corpus, made when statistics are scored, hence the same however the corpus was split: the
    statistics hold the result under both and the counts of letters.

    Args:
        kind: "rouge1", "rouge2" (n-grams), "rougeL" (longest common subsequence of the whole text)
            or "rougeLsum" (union of the subsequences of its sentences, one a line; the Unicode
            tokenizer also ends a sentence after 。！？).
        target_language: Code of the language of the text; it chooses the tokenizer.
        tokenize: "rouge_score" or "unicode", whatever the language.
        stem: Reduce English words to their stems first (Porter), as ROUGE-1.5.5 with `-m`.
        aggregate: What several references make: "max" takes the one with the highest F-measure,
            "mean" the mean over them.
        name: Key of the scores. None is `kind`, with "_stem" or "_mean" appended where they apply.

    Raises:
        ValueError: For an unknown `kind`, `tokenize` or `aggregate`, a `target_language` that is no
            language code, or `stem` with text that is not split by rouge-score's tokenizer.
    """

    def __init__(
        self,
        kind: str,
        target_language: str | None = None,
        *,
        tokenize: str | None = None,
        stem: bool = False,
        aggregate: str = "max",
        name: str | None = None,
    ) -> None:
        _check_known("kind", kind, _KINDS)
        _check_known("aggregate", aggregate, _AGGREGATES)
        if target_language is not None:
            is_english = base_language(target_language) == "en"
            tokenize = tokenize or (_OWN if is_english else _UNICODE)
        elif stem:
            tokenize = tokenize or _OWN
        if tokenize is not None:
            _check_known("tokenize", tokenize, _TOKENIZERS)
        if stem and tokenize != _OWN:
            raise ValueError(
                "`stem` must be False unless the text is English. "
                f"Received: stem={stem}, target_language={target_language!r}, tokenize={tokenize!r}"
            )
        suffix = ("_stem" if stem else "") + ("_mean" if aggregate == "mean" else "")
        super().__init__(name or kind + suffix)
        self._kind = kind
        self._stem = stem
        self._aggregate = aggregate
        self._tokenizers = _TOKENIZERS if tokenize is None else (tokenize,)

    def statistics(self, hypotheses: Sequence[str], references: References) -> np.ndarray:
        """Return one row per example: five columns about its references, then precision, recall
        and F-measure under each tokenizer that the score may choose.

        Args:
            hypotheses: One string per example.
            references: One string, or several, per example.

        Returns:
            Array (E, K), float64; K is 8 with one tokenizer and 11 where the text decides.

        Raises:
            TypeError: When an example is not a string.
            ValueError: When there is no example, or hypotheses and references differ in number.
        """
        pairs = zip(*check_pairs(hypotheses, references), strict=True)
        return np.array([self._row(*pair) for pair in pairs], dtype=np.float64)  # (E, K)

    def _row(self, hypothesis: str, references: tuple[str, ...]) -> list[float]:
        num_references = len(references)
        row = [1, num_references, num_references**2]
        row += [sum(map(len, references)), sum(map(_num_foreign, references))]
        is_ascii = hypothesis.isascii() and all(map(str.isascii, references))
        results: list[Sequence[float]] = []
        for tokenizer in self._tokenizers:
            # On ASCII text both tokenizers give the same words, and a line the same sentences.
            if results and is_ascii:
                results.append(results[0])
            else:
                results.append(self._result(tokenizer, hypothesis, references))
        return row + [value for result in results for value in result]

    def _result(
        self, tokenizer: str, hypothesis: str, references: tuple[str, ...]
    ) -> Sequence[float]:
        """Return precision, recall and F-measure by rouge-score."""
        scorer = _scorer(self._kind, tokenizer, self._stem)
        if tokenizer == _UNICODE and self._kind == "rougeLsum":
            hypothesis, *references = (  # type: ignore[assignment]
                _STOPS.sub("\\1\n", text) for text in (hypothesis, *references)
            )
        if self._aggregate == "max":
            return scorer.score_multi(references, hypothesis)[self._kind]
        results = [scorer.score(reference, hypothesis)[self._kind] for reference in references]
        return np.mean(results, axis=0).tolist()

    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score summed statistics (K,), or rows (E, K), which are summed first.

        Raises:
            ValueError: When the statistics are those of no example.
        """
        total = summed(statistics)  # (K,)
        num_examples, first, second, length, num_foreign = total[:_NUM_COLUMNS].tolist()
        is_foreign = len(self._tokenizers) == 2 and num_foreign > _MAX_FOREIGN * length
        results = total[_NUM_COLUMNS:].reshape(-1, 3) / check_count(num_examples)  # (tokenizers, 3)
        precision, recall, fmeasure = results[int(is_foreign)].tolist()
        return Score(
            name=self.name,
            label=self._kind.replace("rouge", "ROUGE-"),
            value=fmeasure,
            num_examples=int(num_examples),
            signature=self._signature(
                self._tokenizers[int(is_foreign)],
                # All numbers of references are equal exactly where Cauchy and Schwarz have
                # equality.
                f"{first / num_examples:g}" if num_examples * second == first**2 else "var",
            ),
            components={"precision": precision, "recall": recall},
            digits=4,
        )

    def _signature(self, tokenizer: str, num_references: str) -> str:
        fields = {
            "nrefs": num_references,
            "agg": self._aggregate,
            "tok": tokenizer,
            "stem": "porter" if self._stem else "no",
        }
        if self._kind == "rougeLsum":
            fields["split"] = "newline" if tokenizer == _OWN else "newline+cjk"
        fields["version"] = importlib.metadata.version("rouge-score")
        return "|".join(f"{key}:{value}" for key, value in fields.items())


@functools.cache
def _scorer(kind: str, tokenizer: str, stem: bool) -> Any:
    # Imported on first use: it imports the whole of NLTK, two seconds and 200 MB.
    from rouge_score import rouge_scorer

    return rouge_scorer.RougeScorer([kind], tokenizer=_tokenizer(tokenizer, stem))


@functools.cache
def _tokenizer(tokenizer: str, stem: bool) -> Any:
    from rouge_score import tokenizers

    if tokenizer == _UNICODE:
        return _Cached(words)
    own = tokenizers.DefaultTokenizer(stem)
    return _Cached(functools.lru_cache(_CACHED_TEXTS)(own.tokenize))


class _Cached:
    """What rouge-score asks of a tokenizer, as a function that remembers recent texts."""

    def __init__(self, tokenize: Callable[[str], Sequence[str]]) -> None:
        self.tokenize = tokenize


def _num_foreign(text: str) -> int:
    """Return the number of letters outside ASCII."""
    return 0 if text.isascii() else sum(c.isalpha() and not c.isascii() for c in text)


def _check_known(argument: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(
            f"`{argument}` must be one of {', '.join(known)}. Received: {argument}={value!r}"
        )
