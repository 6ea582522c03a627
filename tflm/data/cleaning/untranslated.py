"""Untranslated copies: pairs whose target is the source again."""

import dataclasses
from typing import ClassVar

from tflm.data.cleaning.steps import Row, RowStep


@dataclasses.dataclass(frozen=True)
class Untranslated(RowStep):
    """Rows whose texts are not all the same; letter case and white space do not count.

    A copy is right for a name or a number; a model that sees many of them learns to copy.
    """

    NAME: ClassVar[str] = "untranslated"

    def keeps(self, row: Row) -> bool:
        """Whether the texts differ."""
        return len(row) == 1 or len({" ".join(text.casefold().split()) for text in row}) > 1
