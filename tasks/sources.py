"""Where a task's pairs come from: a file, a directory of splits, or a recipe's data set."""

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tflm.data import BadLineReport, JsonLines, ParallelFiles, TsvFile
from tflm.data.hugging_face import open_splits
from tflm.tasks.translation_recipes import TranslationRecipe

Pairs = Iterable[tuple[str, ...]]

SPLITS = ("train", "valid", "test")


def language_pair(text: str) -> tuple[str, str]:
    """ "en-de" -> ("en", "de").

    Raises:
        ValueError: it is not two codes.
    """
    source, _, target = text.partition("-")
    if not source or not target:
        raise ValueError(
            f"`languages` must be two codes with a hyphen between, en-de say. Received: {text!r}"
        )
    return source, target


@dataclasses.dataclass(frozen=True)
class EveryNth:
    """Every `n`-th row of a source, or with `others` all the rest.

    Args:
        rows: a re-iterable source.
        n: the distance between the rows picked; the first row picked is row `n - 1`.
        others: yield what is not picked instead.
    """

    rows: Pairs
    n: int
    others: bool = False

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        for number, row in enumerate(self.rows, start=1):
            if (number % self.n == 0) != self.others:
                yield row


def recipe_file(directory: pathlib.Path, name: str, recipe: str) -> pathlib.Path:
    """A file of a recipe's data set.

    Raises:
        FileNotFoundError: it is missing.
    """
    path = directory / name
    if not path.is_file():
        raise FileNotFoundError(
            f"`data` must be a directory with {name} for recipe {recipe}. Received: no file {path}"
        )
    return path


def names_of(split: str) -> tuple[str, ...]:
    """What files of a split may be called: "val" and "dev" are other names of "valid"."""
    return (split, "val", "dev") if split == "valid" else (split,)


def find_table(
    directory: pathlib.Path, split: str, endings: Sequence[str], *, folder: bool = False
) -> pathlib.Path | None:
    """The table of a split in a directory, `None` where it has none.

    Args:
        directory: holds `train.tsv` or such, plain or `.gz`.
        split: its name; "val" and "dev" are other names of "valid".
        endings: of the files, "tsv" say, in the order in which they are looked for.
        folder: whether a folder called as the split will do.
    """
    names = names_of(split)
    ends = [f".{kind}{packed}" for kind in endings for packed in ("", ".gz")]
    paths = (
        directory / f"{name}{end}" for name in names for end in (["", *ends] if folder else ends)
    )
    return next((path for path in paths if path.exists()), None)


def dataset_split(location: pathlib.Path, split: str) -> Any:
    """A split of a data set that `tflm.data.hugging_face.open_splits` opens; "" is its "test".

    Raises:
        ImportError: the package is not installed.
        OSError: there is no such data set or split, or the Hub cannot be reached.
    """
    splits, split = open_splits(location), split or "test"
    if split not in splits:
        raise FileNotFoundError(
            f"`data` must have a split {split}. Received: {location} with {', '.join(splits)}"
        )
    return splits[split]


def dataset_splits(location: pathlib.Path) -> dict[str, Any]:
    """The splits of a data set as `SPLITS` name them; errors are those of `dataset_split`."""
    dataset_split(location, "train")
    return {name: rows for name, rows in open_splits(location).items() if name in SPLITS}


def recipe_data(
    recipe: TranslationRecipe, directory: pathlib.Path, on_bad: str, report: BadLineReport
) -> dict[str, Pairs]:
    """The recipe's splits as sources of pairs.

    Raises:
        FileNotFoundError: a file of the recipe is missing.
    """
    data: dict[str, Pairs] = {}
    for split, names in recipe.files.items():
        paths = [recipe_file(directory, name, recipe.name) for name in names]
        if len(paths) == 2:
            data[split] = ParallelFiles(*paths, on_bad=on_bad, report=report)
        else:
            data[split] = TsvFile(paths[0], recipe.columns, on_bad=on_bad, report=report)
    if recipe.holdout:
        rows = data["train"]
        data["train"] = EveryNth(rows, recipe.holdout, others=True)
        data["valid"] = EveryNth(rows, recipe.holdout)
    return data


def open_pairs(path: pathlib.Path, on_bad: str, report: BadLineReport) -> Pairs:
    """The pairs of one file: `.tsv` (two columns) or `.jsonl` (`source`, `target`), plain or gzip.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: its name ends in neither.
    """
    if not path.is_file():
        raise FileNotFoundError(f"`data` must be a file that exists. Received: {path}")
    name = path.name.removesuffix(".gz")
    if name.endswith((".tsv", ".txt")):
        return TsvFile(path, on_bad=on_bad, report=report)
    if name.endswith((".jsonl", ".json")):
        return JsonLines(path, on_bad=on_bad, report=report)
    raise ValueError(
        f"`data` must end in .tsv or .jsonl, or in one of them and .gz. Received: {path}"
    )


def directory_data(
    directory: pathlib.Path, languages: tuple[str, str], on_bad: str, report: BadLineReport
) -> dict[str, Pairs]:
    """The splits in a directory: `train.en` and `train.de`, `train.tsv` or `train.jsonl`.

    Each may end in `.gz`; "valid" and "test" are optional, and "val" and "dev" are other names of
    "valid".

    Raises:
        FileNotFoundError: there is no split called "train".
    """
    data: dict[str, Pairs] = {}
    for split in SPLITS:
        for name in names_of(split):
            found = find_split(directory, name, languages, on_bad, report)
            if found is not None:
                data[split] = found
                break
    if "train" not in data:
        source, target = languages
        raise FileNotFoundError(
            f"`data` must hold train.{source} and train.{target}, train.tsv or train.jsonl, "
            f"plain or .gz. Received: {directory}"
        )
    return data


def find_split(
    directory: pathlib.Path,
    name: str,
    languages: tuple[str, str],
    on_bad: str,
    report: BadLineReport,
) -> Pairs | None:
    """The pairs of the split called `name` in a directory, `None` where it has none."""
    for end in ("", ".gz"):
        pair = [directory / f"{name}.{language}{end}" for language in languages]
        if all(path.is_file() for path in pair):
            return ParallelFiles(*pair, on_bad=on_bad, report=report)
        for kind in ("tsv", "jsonl"):
            path = directory / f"{name}.{kind}{end}"
            if path.is_file():
                return open_pairs(path, on_bad, report)
    return None


def open_split(
    path: pathlib.Path, split: str, languages: tuple[str, str], on_bad: str, report: BadLineReport
) -> Pairs:
    """The pairs of a file, or of one split of a directory.

    Raises:
        FileNotFoundError: there is no such file or split.
        ValueError: the file's name does not say what it is.
    """
    if not path.is_dir():
        return open_pairs(path, on_bad, report)
    splits = (find_split(path, name, languages, on_bad, report) for name in names_of(split))
    found = next((pairs for pairs in splits if pairs is not None), None)
    if found is None:
        source, target = languages
        raise FileNotFoundError(
            f"`data` must hold {split}.{source} and {split}.{target}, {split}.tsv or "
            f"{split}.jsonl, plain or .gz. Received: {path}"
        )
    return found
