"""Unicode normalisation: one spelling for what is written in several. https://unicode.org/reports/tr15"""

import dataclasses
import unicodedata
from typing import Any, ClassVar

from tflm.data.cleaning.steps import TextStep

FORMS = ("NFC", "NFD", "NFKC", "NFKD")


@dataclasses.dataclass(frozen=True)
class Unicode(TextStep):
    """Texts in a normalisation form: "e" and a combining accent become "é".

    NFKC also writes full-width letters and digits, ligatures and the full-width punctuation of
    Chinese ("，", "！") as their ASCII look-alikes, which a model of Chinese seldom wants.

    Args:
        form: NFC, NFD, NFKC or NFKD.

    Raises:
        ValueError: `form` is unknown.
    """

    NAME: ClassVar[str] = "unicode"

    form: str = "NFC"

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f"`form` must be one of {', '.join(FORMS)}. Received: {self.form!r}")

    def clean(self, text: str) -> str:
        """The text in the form."""
        form: Any = self.form
        return unicodedata.normalize(form, text)
