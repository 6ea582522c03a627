"""Data sets of the Hugging Face `datasets` package as rows of strings.

DatasetRows(dataset, ("dialogue", "summary"))        two columns of a `datasets.Dataset`
DatasetRows(dataset, ("translation.zh", "translation.en"))       fields of a column
open_splits("hf:knkarthick/dialogsum")               the splits of a name on the Hub, by ours
open_splits("folder")                                what `save_to_disk` wrote
"""

import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

PREFIX = "hf:"
_SPLITS = {"validation": "valid", "dev": "valid", "val": "valid"}
_BATCH = 1000
# What `save_to_disk` writes: the first for several splits, the second for one.
_SAVED = ("dataset_dict.json", "state.json")


class DatasetRows:
    """Rows of strings from columns of a `datasets.Dataset`, read anew each time.

    A label that the data set has as a number is its name here, where the data set says it. A list
    of labels makes the row as much longer.

    Args:
        dataset: a `datasets.Dataset`, or an `IterableDataset` that says its columns.
        columns: their names in the row's order; "translation.en" is the field `en` of a column.

    Raises:
        ValueError: there is no such column; or, from iteration, a value is no text.
    """

    def __init__(self, dataset: Any, columns: Sequence[str]):
        self.dataset = dataset
        self.columns = tuple(columns)
        self._tops = list(dict.fromkeys(column.partition(".")[0] for column in self.columns))
        known = dataset.column_names or ()
        for top in self._tops:
            if top not in known:
                raise ValueError(
                    f"`columns` must be columns of the data set, {', '.join(known)}. "
                    f"Received: {', '.join(self.columns)}"
                )

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        rows = self.dataset.with_format(None).select_columns(self._tops)
        for batch in rows.iter(batch_size=_BATCH):
            values = (self._values(batch, column) for column in self.columns)
            for row in zip(*values, strict=True):
                yield tuple(text for texts in row for text in texts)

    def _values(self, batch: dict[str, list[Any]], column: str) -> Iterator[list[str]]:
        """The texts of a column's values; several of a list."""
        top, *inner = column.split(".")
        feature = (self.dataset.features or {}).get(top)
        names = getattr(getattr(feature, "feature", feature), "names", None)
        for value in batch[top]:
            for field in inner:
                value = value[field]
            several = value if isinstance(value, list) else [value]
            yield [self._text(each, column, names) for each in several]

    def _text(self, value: Any, column: str, names: Sequence[str] | None) -> str:
        if not isinstance(value, str | int):
            raise ValueError(
                f"`dataset` must have texts or labels in column {column}. Received: {value!r:.80}"
            )
        if names and isinstance(value, int) and 0 <= value < len(names):
            return names[value]
        return str(value)


def is_dataset(given: Any) -> bool:
    """Whether this is a `datasets.Dataset`; the package is not imported for it."""
    package = sys.modules.get("datasets")
    return package is not None and isinstance(given, package.Dataset | package.IterableDataset)


def has_splits(location: Any) -> bool:
    """Whether `open_splits` takes this: "hf:NAME", or a folder that `save_to_disk` wrote."""
    if str(location).startswith(PREFIX):
        return True
    return any((pathlib.Path(location) / name).is_file() for name in _SAVED)


def open_splits(location: Any) -> dict[str, Any]:
    """The splits of a data set: "train", "valid" and "test", as it has them, and others.

    Args:
        location: "hf:NAME" or "hf:NAME:CONFIG" of the Hub, or a folder of `save_to_disk`; where
            that holds one data set without splits, it is "train".

    Raises:
        ImportError: the package is not installed.
        ValueError: "hf:" has no name behind it.
        OSError: there is no such data set, or the Hub cannot be reached.
    """
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            f"{location} needs the package datasets, which is not installed: "
            "pip install 'tflm[datasets]'"
        ) from error
    if not str(location).startswith(PREFIX):
        found: Any = datasets.load_from_disk(str(location))
    else:
        name, _, config = str(location).removeprefix(PREFIX).partition(":")
        if not name:
            raise ValueError(f"`data` must name a data set, hf:NAME. Received: {location}")
        try:
            found = datasets.load_dataset(name, config or None)
        except (OSError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise OSError(
                "`data` must be hf:NAME or hf:NAME:CONFIG of a data set on the Hugging Face Hub, "
                f"and the Hub be reached. Received: {location} ({reason})"
            ) from None
    if is_dataset(found):
        return {"train": found}
    return {_SPLITS.get(str(name), str(name)): rows for name, rows in found.items()}
