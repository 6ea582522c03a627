"""Length ratio: pairs of which one side is so much longer that it cannot be a translation."""

import dataclasses
from typing import ClassVar

from tflm.data.cleaning.length import UNITS, check_unit
from tflm.data.cleaning.steps import Apply, Row, RowStep


@dataclasses.dataclass(frozen=True)
class LengthRatio(RowStep):
    """Rows whose longest text is at most so many times as long as the shortest.

    In bytes of UTF-8 languages in Latin, Chinese and Japanese writing are about as long as each
    other; Cyrillic or Greek ones are twice as long as Latin ones.

    Args:
        max: The greatest ratio.
        unit: What is counted, see `tflm.data.cleaning.length.Length`; nothing counts as one.

    Raises:
        ValueError: `unit` is unknown, `max` is less than 1, or (from `begin`) rows have one text.
    """

    NAME: ClassVar[str] = "length_ratio"

    max: float = 4.0
    unit: str = "bytes"

    def __post_init__(self) -> None:
        check_unit(self.unit)
        if not self.max >= 1.0:
            raise ValueError(f"`max` must be at least 1. Received: max={self.max}")

    def begin(self, num_texts: int) -> Apply:
        """As `RowStep.begin`, of two texts or more."""
        if num_texts < 2:
            raise ValueError(
                f"`length_ratio` must be given pairs of texts. Received: {num_texts} text a row"
            )
        return super().begin(num_texts)

    def keeps(self, row: Row) -> bool:
        """Whether its texts are of about the same length."""
        lengths = [max(UNITS[self.unit](text), 1) for text in row]
        return max(lengths) <= self.max * min(lengths)
