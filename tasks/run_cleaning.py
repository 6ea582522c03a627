"""Cleaning of what a run learns from; what it is scored on stays as it is.

RUN/run.json         "clean": the steps with all their parameters
RUN/cleaning.json    how many examples each of them changed and dropped
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tflm.data.cleaning import Cleaned, parse_steps
from tflm.data.cleaning.steps import TextStep

CLEANING_FILE = "cleaning.json"


def clean_splits(
    data: Mapping[str, Any], clean: Sequence[str], num_texts: int, languages: str
) -> tuple[Cleaned, Cleaned | None]:
    """The examples to learn from, and those to measure the loss on while training.

    The first are cleaned by every step; the second only by those that change texts, for the loss
    is to be that of such text as is learned.

    Args:
        data: rows by split: "train", and "valid" where there is one.
        clean: steps as `tflm.data.cleaning` knows them.
        num_texts: how many of a row's strings are texts, from the first on.
        languages: of the texts, where known: "en-zh".

    Raises:
        ValueError: a step is unknown or does not suit the data, or none of "train" or of
            "valid" is left.
    """
    steps = parse_steps(clean, languages)
    train = Cleaned(data["train"], steps, num_texts=num_texts)
    _check_kept(train, clean, "examples to learn from")
    if "valid" not in data:
        return train, None
    changing = [step for step in steps if isinstance(step, TextStep)]
    valid = Cleaned(data["valid"], changing, num_texts=num_texts)
    _check_kept(valid, clean, 'examples of the split "valid" to validate with')
    return train, valid


def _check_kept(cleaned: Cleaned, clean: Sequence[str], what: str) -> None:
    counts = cleaned.counts()
    if not counts["kept"]:
        raise ValueError(
            f"`clean` must leave {what}. "
            f"Received: clean={list(clean)}, which drops all {counts['seen']}"
        )
