"""What a model is scored on: its inputs, and what is expected of each."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tflm.eval import Metric
from tflm.eval.catalog import check_reads, labels_of, metrics_named, task_metric_names
from tflm.tasks.input_rows import TEXT


@dataclasses.dataclass(frozen=True)
class ScoredData:
    """Inputs with their references, and by which metrics they are compared.

    Args:
        task: name of the task, as the catalog of metrics has it.
        inputs: a row for each example, see `tflm.tasks.input_rows`.
        references: what is expected of each: a text, several, or labels.
        fields: names of a row's texts.
        metrics: names of the metrics where the user names none; the task's own by default.
        reads: what these metrics read, see `tflm.eval.catalog.check_reads`.
        language: code of the language of the answers, for metrics that split text.
        languages: what a report says of languages, "en-de" say.
        labels: of a classifier, in the order of its probabilities; none where they are not known.
    """

    task: str
    inputs: Sequence[Any]
    references: Sequence[Any]
    _: dataclasses.KW_ONLY
    fields: tuple[str, ...] = TEXT
    metrics: tuple[str, ...] = ()
    reads: str = "texts"
    language: str = ""
    languages: str = ""
    labels: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What a report calls the task."""
        return f"{self.task} {self.languages}".strip()

    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics where the user names none."""
        return self.metrics or task_metric_names(self.task)

    def metrics_named(self, names: Sequence[str], answers: Sequence[Any] = ()) -> list[Metric]:
        """The metrics of these names.

        Args:
            names: names of metrics.
            answers: a model's: where its labels are not known, it may answer with some that the
                data does not have.

        Raises:
            ValueError: a name is unknown, or the metric reads something else or does not suit the
                references.
        """
        check_reads(names, self.reads)
        found = metrics_named(
            names,
            self.language,
            self.labels or labels_of([*self.references, *answers]),
            multi_label=self.reads == "label sets",
        )
        for metric in found:
            metric.check_references(self.references)
        return found


def sides(examples: Any) -> tuple[list[Any], list[Any]]:
    """Inputs and references, which `examples` are a tuple of, or rows with one of each."""
    if isinstance(examples, tuple):
        inputs, references = examples
        return list(inputs), list(references)
    rows = list(examples)
    return [row[0] for row in rows], [row[1] for row in rows]
