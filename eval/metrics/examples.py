"""Checks of what a user hands to a metric: lists of strings, one or several references each."""

import reprlib
from collections.abc import Sequence, Sized
from typing import Any

References = Sequence[str] | Sequence[Sequence[str]]


def check_texts(argument: str, texts: Sequence[str]) -> list[str]:
    """Return `texts` as a list after checking that it is a non-empty list of strings.

    Args:
        argument: Name of the argument, for the message.
        texts: What the caller received.

    Raises:
        TypeError: When it is not a list of strings.
        ValueError: When it is empty.
    """
    texts = as_list(argument, texts)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"`{argument}` must be a list of strings. "
                f"Received: {argument}[{index}]={reprlib.repr(text)} of type {type(text).__name__}"
            )
    return texts


def check_references(references: References) -> list[tuple[str, ...]]:
    """Return `references` as one tuple of strings per example.

    Args:
        references: One string per example, or several; the numbers may differ between examples.

    Raises:
        TypeError: When an entry is neither a string nor a list of strings.
        ValueError: When there is no entry, or an entry holds no string.
    """
    checked = []
    for index, entry in enumerate(as_list("references", references)):
        if isinstance(entry, str):
            checked.append((entry,))
        else:
            checked.append(tuple(check_texts(f"references[{index}]", entry)))
    return checked


def check_pairs(
    hypotheses: Sequence[str], references: References
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return checked hypotheses and references of the same number of examples.

    Raises:
        TypeError: When an example is not a string.
        ValueError: When there is no example, or the numbers differ.
    """
    hypotheses, checked = check_texts("hypotheses", hypotheses), check_references(references)
    check_lengths("hypotheses", hypotheses, checked)
    return hypotheses, checked


def check_lengths(argument: str, texts: Sized, references: Sized) -> None:
    """Check that there is one entry of `references` for each of `texts`.

    Raises:
        ValueError: When the numbers differ.
    """
    if len(texts) != len(references):
        raise ValueError(
            "`references` must have one entry, a string or a list of strings, for each of "
            f"`{argument}`. Received: {len(texts)} {argument}, {len(references)} references"
        )


def as_list(argument: str, values: Any, entry: str = "string") -> list[Any]:
    """Return `values` as a list after checking that it is a list, and not an empty one.

    Args:
        argument: Name of the argument, for the message.
        values: What the caller received.
        entry: What one entry is, for the message.

    Raises:
        TypeError: When it is one string, or nothing that can be iterated over.
        ValueError: When it is empty.
    """
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(
            f"`{argument}` must be a list of {entry}s. "
            f"Received: {reprlib.repr(values)} of type {type(values).__name__}"
        )
    values = list(values)
    if not values:
        raise ValueError(f"`{argument}` must hold at least one {entry}. Received: an empty list")
    return values
