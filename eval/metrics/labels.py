"""Checks of what a user hands to a classification metric: labels, sets of labels, probabilities."""

import reprlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tflm.eval.metrics.examples import as_list

_SUM_TOLERANCE = 1e-2  # half-precision probabilities of many labels


class Label(str):
    """A predicted label that knows the probability of each: a string in every other respect.

        >>> Label("正面", {"负面": 0.25, "正面": 0.75}).probabilities["正面"]
        0.75

    Args:
        text: The label.
        probabilities: The probability of each label of the task, by label.
    """

    probabilities: dict[str, float]

    def __new__(cls, text: str, probabilities: Mapping[str, float]) -> "Label":
        """Make a string with its probabilities."""
        label = super().__new__(cls, text)
        label.probabilities = dict(probabilities)
        return label

    def __getnewargs__(self) -> tuple[str, dict[str, float]]:  # type: ignore[override]
        return str(self), self.probabilities


class LabelSet(str):
    """The labels that were predicted for a text, in print with commas between; and as a tuple.

        >>> LabelSet(("新", "好")).labels
        ('新', '好')

    Args:
        labels: The labels, none to all of the task's.
    """

    labels: tuple[str, ...]

    def __new__(cls, labels: Iterable[str]) -> "LabelSet":
        """Make a string of labels."""
        labels = tuple(labels)
        found = super().__new__(cls, ", ".join(labels))
        found.labels = labels
        return found

    def __getnewargs__(self) -> tuple[tuple[str, ...]]:  # type: ignore[override]
        return (self.labels,)


def check_labels(labels: Sequence[str], least: int = 2) -> tuple[str, ...]:
    """Return the labels of a task after checking that they are enough different strings.

    Args:
        labels: The labels.
        least: How many there must be: one will do where an example may have none.

    Raises:
        TypeError: When one is not a string.
        ValueError: When there are fewer, or one occurs twice.
    """
    checked = as_list("labels", labels, "label")
    for index, label in enumerate(checked):
        _check_label(f"labels[{index}]", label)
    if len(checked) < least or len(set(checked)) < len(checked):
        number = {1: "one", 2: "two"}[least]
        raise ValueError(
            f"`labels` must be {number} or more different labels. Received: labels={checked!r}"
        )
    return tuple(checked)


def label_indices(argument: str, values: Sequence[Any], labels: tuple[str, ...]) -> np.ndarray:
    """Return the number of each label: strings -> (E,) int64.

    Raises:
        TypeError: When one is not a string.
        ValueError: When there is none, or one is not among `labels`.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    found = []
    for index, label in enumerate(as_list(argument, values, "label")):
        _check_label(f"{argument}[{index}]", label)
        if label not in numbers:
            raise ValueError(
                f"`{argument}` must be among the labels {', '.join(labels)}. "
                f"Received: {argument}[{index}]={label!r}"
            )
        found.append(numbers[label])
    return np.array(found, dtype=np.int64)


def predicted_indices(values: Sequence[Any], labels: tuple[str, ...]) -> np.ndarray:
    """Return the number of each predicted label, (E,) int64.

    Args:
        values: A label for each example, or its probabilities (C,) in the order of the labels, of
            which the highest counts.
        labels: The C labels of the task.

    Raises:
        TypeError: When one is neither.
        ValueError: When there is none, or one is not among `labels`, or is no distribution.
    """
    values = as_list("hypotheses", values, "label")
    if isinstance(values[0], str):
        return label_indices("hypotheses", values, labels)
    return check_probabilities(values, labels).argmax(axis=1)


def check_probabilities(values: Any, labels: tuple[str, ...]) -> np.ndarray:
    """Return probabilities as rows (E, C) that sum to 1 in float64.

    Args:
        values: One distribution (C,) over the labels for each example, or a `Label`, in which a
            label that it lacks has probability 0. Sums may be off by what half precision loses;
            such rows are divided by them.
        labels: The C labels of the task.

    Raises:
        TypeError: When they are not numbers.
        ValueError: When there is none, the shape is another, or a row is no distribution.
    """
    rows = as_list("hypotheses", values, "distribution")
    if all(isinstance(row, Label) for row in rows):
        rows = [[row.probabilities.get(label, 0.0) for label in labels] for row in rows]
    elif isinstance(rows[0], str):
        raise ValueError(
            "`hypotheses` must hold probabilities, or labels that know theirs, as "
            f"`Label(text, probabilities)`. Received: {reprlib.repr(rows)}"
        )
    try:
        rows = np.array([np.asarray(row, dtype=np.float64) for row in rows])
    except (TypeError, ValueError):
        raise TypeError(
            f"`hypotheses` must be one probability for each of {len(labels)} labels, for each "
            f"example. Received: {reprlib.repr(values)}"
        ) from None
    if rows.ndim != 2 or rows.shape[1] != len(labels):
        raise ValueError(
            "`hypotheses` must have shape (examples, labels) with "
            f"{len(labels)} labels. Received: shape={rows.shape}"
        )
    sums = rows.sum(axis=1)  # (E,)
    is_wrong = ~((rows >= 0).all(axis=1) & (np.abs(sums - 1) <= _SUM_TOLERANCE))
    if is_wrong.any():
        index = int(is_wrong.argmax())
        raise ValueError(
            "`hypotheses` must be probabilities that sum to 1 (the softmax of logits). "
            f"Received: hypotheses[{index}]={rows[index].tolist()}"
        )
    # To divide where a sum is 1 up to rounding would make or break ties, which AUROC counts.
    return np.where(np.isclose(sums, 1)[:, None], rows, rows / sums[:, None])


def label_sets(
    argument: str, values: Sequence[Collection[str]], labels: tuple[str, ...]
) -> np.ndarray:
    """Return which labels each example has: collections of labels -> (E, C) bool.

    Raises:
        TypeError: When an entry is not a collection of strings.
        ValueError: When there is no entry, or a label is not among `labels`.
    """
    present = []
    for index, entry in enumerate(as_list(argument, values, "label set")):
        if isinstance(entry, (str, bytes)) or not isinstance(entry, Collection):
            raise TypeError(
                f"`{argument}` must be a collection of labels for each example. "
                f"Received: {argument}[{index}]={entry!r} of type {type(entry).__name__}"
            )
        row = np.zeros(len(labels), dtype=bool)
        if len(entry):
            row[label_indices(f"{argument}[{index}]", sorted(entry, key=str), labels)] = True
        present.append(row)
    return np.array(present)


def _check_label(argument: str, label: Any) -> None:
    if not isinstance(label, str):
        raise TypeError(
            f"`{argument}` must be a string. Received: {label!r} of type {type(label).__name__}"
        )
