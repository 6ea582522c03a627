"""Labelled examples in every form that a user has them in, as rows of strings.

("A fine film.", "positive")                             a row
{"text": "A fine film.", "label": 1}                     a dict, its label a number
{"text": "...", "labels": ["sport", "politics"]}         a text with several labels
{"text": "...", "text_pair": "...", "label": "yes"}      a pair of texts
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tflm.data import DatasetRows
from tflm.data.hugging_face import is_dataset

_TEXTS = ("text", "text_pair")
_LABELS = ("label", "labels")


class LabelledRows:
    """Rows of one text, or two, and its labels, read anew each time.

    A label is given by its name or, where that is nobody's name, by its number.

    Args:
        examples: rows or dicts, re-iterable; a `tf.data` dataset of either, batched or not; or a
            `datasets.Dataset` with such columns.
        num_texts: texts of an example, 1 or 2.
        labels: the labels' names; without them every label keeps the name it has.
    """

    def __init__(self, examples: Any, num_texts: int, labels: Sequence[str] = ()):
        if isinstance(examples, tf.data.Dataset):
            spec = tf.nest.flatten(examples.element_spec)
            examples = _Elements(examples.unbatch() if spec[0].shape.rank else examples)
        elif is_dataset(examples):
            label = next((name for name in _LABELS if name in examples.column_names), _LABELS[0])
            examples = DatasetRows(examples, (*_TEXTS[:num_texts], label))
        self.examples = examples
        self.num_texts = num_texts
        self.labels = tuple(labels)
        self._known = frozenset(labels)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        for example in self.examples:
            yield (*texts_of(example, self.num_texts), *self._labels_of(example))

    def _labels_of(self, example: Any) -> list[str]:
        if isinstance(example, Mapping):
            name = next((name for name in _LABELS if name in example), None)
            if name is None:
                raise ValueError(
                    f"`examples` must have a field {' or '.join(_LABELS)}. "
                    f"Received: {', '.join(map(str, example))}"
                )
            labels = [example[name]]
        else:
            labels = list(example[self.num_texts :])
        several = (list, tuple, set, frozenset, np.ndarray)
        flat = [
            part
            for label in labels
            for part in (sorted(label, key=str) if isinstance(label, several) else [label])
        ]
        return [self._name(label) for label in flat]

    def _name(self, label: Any) -> str:
        name = _string(label)
        if name not in self._known and name.isdecimal() and int(name) < len(self.labels):
            return self.labels[int(name)]
        return name


class _Elements:
    """The elements of a dataset as Python values."""

    def __init__(self, dataset: tf.data.Dataset):
        self.dataset = dataset

    def __iter__(self) -> Iterator[Any]:
        return iter(self.dataset.as_numpy_iterator())


def texts_of(example: Any, num_texts: int) -> tuple[str, ...]:
    """The texts of an example, labelled or not.

    Args:
        example: a string, bytes of UTF-8, a row or a dict.
        num_texts: how many texts it has.

    Raises:
        ValueError: it has fewer, or one is nothing that is written.
    """
    names = _TEXTS[:num_texts]
    if isinstance(example, Mapping):
        found = [example[name] for name in names if name in example]
    elif isinstance(example, str | bytes):
        found = [example]
    else:
        found = list(example[:num_texts])
    if len(found) < num_texts:
        raise ValueError(
            f"`examples` must have {' and '.join(names)}. Received: {str(example)[:80]}"
        )
    return tuple(map(_string, found))


def has_labels(examples: Any) -> bool:
    """Whether these are labelled examples rather than texts alone or batches of arrays."""
    if isinstance(examples, tf.data.Dataset):
        spec = tf.nest.flatten(examples.element_spec)
        text = [getattr(part, "dtype", None) == tf.string for part in spec]
        return any(text) and len(spec) > 1
    if isinstance(examples, (Mapping, str, Iterator)) or not isinstance(examples, Iterable):
        return False
    first = next(iter(examples), None)
    if isinstance(first, Mapping):
        return "text" in first
    return isinstance(first, (list, tuple)) and bool(first) and isinstance(first[0], str)


def _string(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    # What a table lacks is None or not a number: "None" would be learned as a text or a label.
    if not isinstance(value, str | int | float | np.integer | np.floating | np.bool_) or (
        value != value
    ):
        raise ValueError(
            "`examples` must have strings, or numbers, for texts and labels. "
            f"Received: {value!r:.80} of type {type(value).__name__}"
        )
    return str(value)
