"""Scores and texts in print: in a terminal, a Markdown table, a file of lines."""

import io
import re
from typing import Any

import rich.console

from tflm.eval.metrics.base import Score

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escaped: text for text, escaped in _ESCAPES.items()}


def as_plain_text(shown: Any, width: int) -> str:
    """Return what `rich` prints of an object in a terminal `width` columns wide, uncoloured."""
    console = rich.console.Console(
        file=io.StringIO(), width=width, force_terminal=False, color_system=None
    )
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def printed_label(score: Score) -> str:
    """Return the label of a score, with its direction where less is better."""
    return f"{score.label} (lower is better)" if score.higher_is_better is False else score.label


def printed_interval(score: Score) -> str:
    """Return the interval of a score in brackets, nothing where it has none."""
    if score.interval is None:
        return ""
    low, high, digits = score.interval.low, score.interval.high, score.digits
    return f"[{low:.{digits}f}, {high:.{digits}f}]"


def escape_line(text: str) -> str:
    """Return `text` on one line: line breaks as `\\n` and `\\r`, a backslash as `\\\\`."""
    return re.sub(r"[\\\n\r]", lambda match: _ESCAPES[match[0]], text)


def unescape_line(line: str) -> str:
    """Return the text that `escape_line` put on one line."""
    return re.sub(r"\\[\\nr]", lambda match: _UNESCAPES[match[0]], line)


def markdown_cell(text: str) -> str:
    """Return `text` for a Markdown table: no column bars, no line breaks."""
    return " ".join(text.split()).replace("|", "\\|")
