"""Control characters: what no reader sees, left by editors, terminals and byte order marks."""

import dataclasses
from typing import ClassVar

from tflm.data.cleaning.steps import TextStep

# Soft hyphen; Arabic letter mark; Mongolian vowel separator; zero-width space; marks of direction;
# word joiner and invisible operators; isolates and deprecated ones; byte order mark; annotations;
# halves of surrogate pairs; noncharacters. The joiners U+200C and U+200D stay, which spell Persian,
# Indic words and emoji; so do the tags of flags and the signs that Arabic numbers stand in.
_INVISIBLE = (
    (0xAD, 0xAD), (0x61C, 0x61C), (0x180E, 0x180E), (0x200B, 0x200B), (0x200E, 0x200F),
    (0x202A, 0x202E), (0x2060, 0x2064), (0x2066, 0x206F), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB),
    (0xD800, 0xDFFF), (0xFDD0, 0xFDEF),
    *((plane << 16 | 0xFFFE, plane << 16 | 0xFFFF) for plane in range(17)),
)  # fmt: skip
_CONTROLS = ((0x00, 0x1F), (0x7F, 0x9F))
_KEPT = "\t\n\r"

_TABLE: dict[int, str | None] = {
    code: " " if chr(code).isspace() else None  # U+000B, U+000C, U+001C..1F, U+0085 part words
    for first, last in (*_CONTROLS, *_INVISIBLE)
    for code in range(first, last + 1)
    if chr(code) not in _KEPT
}


@dataclasses.dataclass(frozen=True)
class Control(TextStep):
    """Texts without control characters, but for tab, line feed and carriage return.

    A control character that is white space becomes a space. What joins the parts of an emoji, or
    of a word where a script needs it, stays.
    """

    NAME: ClassVar[str] = "control"

    def clean(self, text: str) -> str:
        """The text without them."""
        return text.translate(_TABLE)
