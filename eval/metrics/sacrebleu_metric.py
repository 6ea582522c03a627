"""The one place that touches sacreBLEU's statistics, which it computes but does not publish.

sacreBLEU keeps the steps "statistics of each segment" and "score of summed statistics" in two
methods with a leading underscore. Both are called here and nowhere else.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import sacrebleu

from tflm.eval.metrics.base import Metric, Score, check_count, summed
from tflm.eval.metrics.examples import References, check_pairs

# Columns in front of sacreBLEU's own: 1, r and r * r, where r is the number of references of the
# example. Their sums tell how many examples there are and whether all have the same r, which is
# what a signature says about references.
_NUM_COLUMNS = 3
# sacreBLEU holds the n-grams of all references at once, a few gigabytes of chrF's for 100,000
# sentences.
_EXAMPLES_AT_ONCE = 1000


class SacreBLEUMetric(Metric):
    """A metric that sacreBLEU computes; every score carries sacreBLEU's signature.

    Args:
        metric: The configured metric, `sacrebleu.BLEU(...)`, `sacrebleu.CHRF(...)` or
            `sacrebleu.TER(...)`.
        name: Key of the scores in logs and JSON.
        label_suffix: Appended to sacreBLEU's own name of the metric in print.
        higher_is_better: False for error rates.
    """

    def __init__(
        self,
        metric: sacrebleu.BLEU | sacrebleu.CHRF | sacrebleu.TER,
        name: str,
        *,
        label_suffix: str = "",
        higher_is_better: bool = True,
    ) -> None:
        super().__init__(name, higher_is_better=higher_is_better)
        self._metric = metric
        self._label_suffix = label_suffix

    def statistics(self, hypotheses: Sequence[str], references: References) -> np.ndarray:
        """Return one row per example: three columns about its references, then sacreBLEU's
        statistics.

        Args:
            hypotheses: One string per example.
            references: One string, or several, per example.

        Returns:
            Array (E, K), float64. All statistics but TER's mean reference length are whole numbers,
            so sums are exact.

        Raises:
            TypeError: When an example is not a string.
            ValueError: When there is no example, or hypotheses and references differ in number.
        """
        hypotheses, checked = check_pairs(hypotheses, references)
        num_references = np.array([len(entry) for entry in checked], dtype=np.float64)  # (E,)
        header = np.stack(
            [np.ones_like(num_references), num_references, num_references**2], axis=1
        )  # (E, 3)
        # sacreBLEU wants one stream per reference number, with None where an example has fewer
        # references.
        streams = [
            [entry[number] if number < len(entry) else None for entry in checked]
            for number in range(int(num_references.max()))
        ]
        return np.concatenate([header, self._rows(hypotheses, streams)], axis=1)  # (E, K)

    def _rows(self, hypotheses: list[str], streams: list[list[str | None]]) -> np.ndarray:
        """Return sacreBLEU's own statistics, one row per example."""
        # It warns of text that is already tokenized: once is enough, so later parts are forced.
        forced = self._metric._force
        rows = []
        try:
            for start in range(0, len(hypotheses), _EXAMPLES_AT_ONCE):
                part = slice(start, start + _EXAMPLES_AT_ONCE)
                found = self._metric._extract_corpus_statistics(
                    hypotheses[part],
                    [stream[part] for stream in streams],  # type: ignore[misc]
                )
                rows.append(np.asarray(found, dtype=np.float64))
                self._metric._force = True
        finally:
            self._metric._force = forced
        return np.concatenate(rows)

    def score_statistics(self, statistics: np.ndarray) -> Score:
        """Score summed statistics (K,), or rows (E, K), which are summed first.

        Raises:
            ValueError: When the statistics are those of no example.
        """
        total = summed(statistics)  # (K,)
        num_examples, first_moment, second_moment = total[:_NUM_COLUMNS].tolist()
        check_count(num_examples)
        # All numbers of references are equal exactly where Cauchy and Schwarz have equality; -1 is
        # sacreBLEU's "var".
        is_constant = num_examples * second_moment == first_moment**2
        self._metric.num_refs = int(first_moment / num_examples) if is_constant else -1
        result = self._metric._compute_score_from_stats(total[_NUM_COLUMNS:].tolist())
        return Score(
            name=self.name,
            label=f"{result.name}{self._label_suffix}",
            value=float(result.score),
            num_examples=int(num_examples),
            signature=self._metric.get_signature().format(),
            higher_is_better=self.higher_is_better,
            components=self.components(result),
        )

    def components(self, result: Any) -> dict[str, float]:
        """Return the named parts of a sacreBLEU score object; none unless a metric has some."""
        return {}
