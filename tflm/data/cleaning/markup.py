"""Markup: tags, comments and character references of HTML and XML, which are not the text."""

import dataclasses
import html
import html.entities
import re
from typing import ClassVar

from tflm.data.cleaning.steps import TextStep

# What stands around a tag's name stays strict, so that "a < b" and "x<y and z>w" are text: an
# attribute has a value, but for those of HTML that have none.
_BARE = (
    "async|autoplay|checked|controls|defer|disabled|hidden|loop|multiple|muted|nowrap|open|"
    "readonly|required|reversed|selected"
)
_ATTRIBUTE = rf"""\s+(?:[\w:.-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'=<>`]+)|{_BARE})"""
_TAG = re.compile(rf"</?([A-Za-z][\w:.-]*)(?:{_ATTRIBUTE})*\s*/?>", re.ASCII)
_HIDDEN = re.compile(
    r"(?P<comment><!--)|<!DOCTYPE\b[^<>]*>|<\?[A-Za-z][^<>]*>"
    r"|(?P<script><script\b[^<>]*>)|(?P<style><style\b[^<>]*>)",
    re.IGNORECASE,
)
_ENDS = {
    "comment": re.compile("-->"),
    "script": re.compile(r"</script\s*>", re.IGNORECASE),
    "style": re.compile(r"</style\s*>", re.IGNORECASE),
}
_REFERENCE = re.compile(r"&(#[0-9]+|#[xX][0-9A-Fa-f]+|[A-Za-z][A-Za-z0-9]*);")

# Inside a word these are nothing; any other tag parts words.
_INLINE = frozenset(
    "a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd mark q s samp small span "
    "strike strong sub sup tt u var wbr".split()
)


@dataclasses.dataclass(frozen=True)
class Markup(TextStep):
    """Texts without tags and comments, character references written as their characters.

    References that spell a tag, as text that was escaped twice has them, are a tag too. A tag
    inside a word, `<b>` say, leaves nothing; any other leaves a space.
    """

    NAME: ClassVar[str] = "markup"

    def clean(self, text: str) -> str:
        """The text alone."""
        while "<" in text or "&" in text:  # each round shortens it
            plain = _REFERENCE.sub(_character, _TAG.sub(_gap, _without_hidden(text)))
            if plain == text:
                break
            text = plain
        return text


def _without_hidden(text: str) -> str:
    """A text with a space for each comment, declaration, script and style that has an end.

    What has none behind it is looked for once: many beginnings do not take the square of their
    number.
    """
    parts, start, position = [], 0, 0
    endless: set[str] = set()
    while found := _HIDDEN.search(text, position):
        kind, end = found.lastgroup, found
        if kind is not None:  # a declaration is whole
            end = None if kind in endless else _ENDS[kind].search(text, found.end())
            if end is None:
                endless.add(kind)
                position = found.end()
                continue
        parts += [text[start : found.start()], " "]
        start = position = end.end()
    return "".join([*parts, text[start:]])


def _gap(tag: re.Match[str]) -> str:
    return "" if tag[1].lower() in _INLINE else " "


def _character(reference: re.Match[str]) -> str:
    name = reference[1]
    if name.startswith("#"):
        return html.unescape(reference[0])
    return html.entities.html5.get(f"{name};", reference[0])
