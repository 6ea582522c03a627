"""Length: rows whose texts are neither too short nor too long."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import ClassVar

import regex

from tflm.data.cleaning.script import WITHOUT_SPACES
from tflm.data.cleaning.steps import Row, RowStep

_LETTERS = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{WITHOUT_SPACES}]]+"
_WORD = regex.compile(rf"[{WITHOUT_SPACES}]\p{{M}}*|{_LETTERS}(?:['’]{_LETTERS})*", regex.V1)


def num_words(text: str) -> int:
    """Words of letters and digits; of a script without spaces every character is one."""
    return len(_WORD.findall(text))


def num_bytes(text: str) -> int:
    """Bytes of UTF-8: what Chinese saves in characters it spends in bytes, nearly."""
    return len(text.encode("utf-8", "surrogatepass"))


UNITS: Mapping[str, Callable[[str], int]] = {
    "bytes": num_bytes,
    "characters": len,
    "words": num_words,
}


@dataclasses.dataclass(frozen=True)
class Length(RowStep):
    """Rows of which every text has a length in a range.

    Args:
        min: The least length.
        max: The greatest.
        unit: What is counted: characters (code points), bytes (of UTF-8) or words, of which every
            character of Chinese, Japanese or Thai is one.

    Raises:
        ValueError: `unit` is unknown, or the range is empty.
    """

    NAME: ClassVar[str] = "length"

    min: int = 1
    max: int = 1000
    unit: str = "characters"

    def __post_init__(self) -> None:
        check_unit(self.unit)
        if not 0 <= self.min <= self.max:
            raise ValueError(
                "`min` must be at least 0 and at most `max`. "
                f"Received: min={self.min}, max={self.max}"
            )

    def keeps(self, row: Row) -> bool:
        """Whether all of its texts are in the range."""
        return all(self.min <= UNITS[self.unit](text) <= self.max for text in row)


def check_unit(unit: str) -> None:
    """Refuses what cannot be counted.

    Raises:
        ValueError: `unit` is none of `UNITS`.
    """
    if unit not in UNITS:
        raise ValueError(f"`unit` must be one of {', '.join(UNITS)}. Received: unit={unit!r}")
