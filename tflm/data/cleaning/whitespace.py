"""White space: one space where there was a run of it, whatever it was made of."""

import dataclasses
import re
from typing import ClassVar

from tflm.data.cleaning.steps import TextStep

_RUN = re.compile(r"\s+")  # the ideographic space and the no-break space too


@dataclasses.dataclass(frozen=True)
class Whitespace(TextStep):
    r"""Texts with single spaces and none at their ends.

    A run that holds line feeds becomes one, or two if it holds more: paragraphs stay apart.
    """

    NAME: ClassVar[str] = "whitespace"

    def clean(self, text: str) -> str:
        """The text with its runs shortened."""
        return _RUN.sub(_shortened, text).strip()


def _shortened(run: re.Match[str]) -> str:
    return "\n" * min(run[0].count("\n"), 2) or " "
