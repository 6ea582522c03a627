"""Building blocks of the HTML pages: the frame with its style, tables, examples.

A page is one file that asks the network for nothing: its content security policy forbids every
address and every script but its own, so a hypothesis that holds markup is text whatever happens.
Every function here that takes a text escapes it.
"""

import base64
import hashlib
import html
from collections.abc import Iterable, Mapping, Sequence

from tflm.eval.differences import Piece, differences, nearest
from tflm.eval.reports import Example

_STYLE = """
:root{color-scheme:light dark;--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",
"Helvetica Neue",Arial,"PingFang SC","Hiragino Sans GB","Microsoft YaHei","Noto Sans CJK SC",
"Source Han Sans SC","WenQuanYi Micro Hei","Noto Sans Thai","Noto Sans Arabic",sans-serif;
--ink:#1b1f24;--soft:#59636e;--page:#fff;--card:#f6f8fa;--grid:#d1d9e0;--accent:#2f6fb7;
--second:#c98a1b;--extra:#ffd9d4;--extra-line:#b42318;--missing:#c6efce;--missing-line:#1a7f37}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa5b1;--page:#0f141a;
--card:#171d25;--grid:#323b46;--accent:#6cabf2;--second:#d9a441;--extra:#5b1f1b;
--extra-line:#ff8a80;--missing:#143d22;--missing-line:#57d080}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem;max-width:74rem;background:var(--page);color:var(--ink);
font:15px/1.55 var(--sans)}
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
p{margin:.3rem 0}.soft{color:var(--soft)}small,.small{font-size:.82rem}
code{font:.78rem/1.4 ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere;
color:var(--soft)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{padding:.35rem .6rem;border-bottom:1px solid var(--grid);text-align:left;vertical-align:top}
th{font-weight:600;color:var(--soft);font-size:.85rem}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.main{font-weight:600}
.fit{width:auto}.fit td,.fit th{text-align:right}.fit tr>:first-child{text-align:left}
.heat{background:color-mix(in srgb,var(--accent) var(--share),transparent)}
.plot{display:block;width:100%;height:auto;margin:.4rem 0}
.plot *{stroke-linejoin:round;stroke-linecap:butt}
.plots{display:flex;flex-wrap:wrap;gap:1rem}.plots>*{flex:1 1 24rem}
.example{background:var(--card);border:1px solid var(--grid);border-radius:6px;
padding:.6rem .8rem;margin:.6rem 0}
.example dl{display:grid;grid-template-columns:6.5rem 1fr;gap:.15rem .6rem;margin:.2rem 0 0}
dt{color:var(--soft);font-size:.82rem;padding-top:.1rem}
dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}
.extra,.missing{border-radius:2px;-webkit-box-decoration-break:clone;box-decoration-break:clone}
.extra{background:var(--extra);border-bottom:2px dashed var(--extra-line)}
.missing{background:var(--missing);border-bottom:2px solid var(--missing-line)}
summary{cursor:pointer;margin:.4rem 0}
input{font:inherit;padding:.3rem .5rem;width:100%;max-width:26rem;margin:.3rem 0 .6rem;
background:var(--card);color:inherit;border:1px solid var(--grid);border-radius:4px}
.all{table-layout:fixed;font-size:.86rem}.all td{overflow-wrap:anywhere;white-space:pre-wrap}
.all th:first-child{width:4rem}.all th:nth-child(2){width:5rem}
@media (max-width:40rem){body{padding:.8rem}.example dl{grid-template-columns:1fr}}
"""
# Shows the rows of the table of all examples that hold what is typed above it.
_SCRIPT = """
const field=document.getElementById("filter");
if(field)field.addEventListener("input",()=>{
const wanted=field.value.toLowerCase();
for(const row of document.querySelectorAll(".all tbody tr"))
row.hidden=!row.textContent.toLowerCase().includes(wanted);});
"""
_ELLIPSIS = "…"


def page(title: str, parts: Iterable[str], language: str = "en") -> str:
    """Return a complete page.

    Args:
        title: Its title, also the heading.
        parts: HTML of its sections.
        language: Language of the page's own words.
    """
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"""<!DOCTYPE html>
<html lang="{html.escape(language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
{chr(10).join(parts)}
<script>{_SCRIPT}</script>
</body>
</html>
"""


def section(heading: str, *parts: str, note: str = "") -> str:
    """Return a section with a heading, and a note in grey below it."""
    note = f'<p class="soft small">{html.escape(note)}</p>' if note else ""
    return f"<section>\n<h2>{html.escape(heading)}</h2>\n{note}{''.join(parts)}</section>"


def table(
    headers: Sequence[str], rows: Iterable[Sequence[str]], style: str = "", numbers: str = ""
) -> str:
    """Return a table.

    Args:
        headers: Texts.
        rows: Cells that are HTML already, such as `cell` gives.
        style: CSS class of the table.
        numbers: The headers of columns of numbers, separated by spaces.
    """
    right = numbers.split()
    head = "".join(
        f'<th class="number">{html.escape(header)}</th>'
        if header in right
        else f"<th>{html.escape(header)}</th>"
        for header in headers
    )
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    attribute = f' class="{style}"' if style else ""
    return (
        f'<div class="scroll"><table{attribute}><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def cell(text: str, style: str = "", language: str = "") -> str:
    """Return a table cell that holds a text."""
    attributes = f' class="{style}"' if style else ""
    attributes += f' lang="{html.escape(language)}"' if language else ""
    return f"<td{attributes}>{html.escape(text)}</td>"


def example_card(
    heading: str, example: Example, language: str = "", max_characters: int = 2000
) -> str:
    """Return an example with the differences between its hypothesis and the nearest reference.

    Args:
        heading: Number and score of the example.
        example: The example.
        language: Code of the language of hypothesis and references; the browser chooses Chinese or
            Japanese glyphs by it.
        max_characters: What is longer is cut, with an ellipsis.
    """
    row = f'<dt>{{}}</dt><dd dir="auto"{_lang(language)}>{{}}</dd>'
    lines = []
    if example.source:
        source = html.escape(clip(example.source, max_characters))
        lines.append(f'<dt>source</dt><dd dir="auto">{source}</dd>')
    best = nearest(example.hypothesis, example.references)
    expected = example.references[best] if example.references else ""
    left, right = differences(example.hypothesis, expected)
    lines.append(row.format("output", _marked(left, "extra", max_characters)))
    lines.append(row.format("reference", _marked(right, "missing", max_characters)))
    for index, reference in enumerate(example.references):
        if index != best:
            text = html.escape(clip(reference, max_characters))
            lines.append(row.format("reference", text))
    return (
        f'<article class="example"><div class="soft small">{html.escape(heading)}</div>'
        f"<dl>{''.join(lines)}</dl></article>"
    )


def systems_card(
    heading: str,
    source: str,
    outputs: Mapping[str, str],
    references: Sequence[str],
    language: str = "",
    max_characters: int = 2000,
) -> str:
    """Return an example with the output of several systems, marked where the references differ.

    Args:
        heading: Number of the example.
        source: What was predicted from; may be empty.
        outputs: What each system made of it, by its label.
        references: What was expected.
        language: Code of the language of outputs and references.
        max_characters: What is longer is cut, with an ellipsis.
    """
    row = f'<dt>{{}}</dt><dd dir="auto"{_lang(language)}>{{}}</dd>'
    lines = []
    if source:
        text = html.escape(clip(source, max_characters))
        lines.append(f'<dt>source</dt><dd dir="auto">{text}</dd>')
    for label, output in outputs.items():
        best = nearest(output, tuple(references))
        left, _ = differences(output, references[best] if references else "")
        lines.append(row.format(html.escape(label), _marked(left, "extra", max_characters)))
    for reference in references:
        text = html.escape(clip(reference, max_characters))
        lines.append(row.format("reference", text))
    return (
        f'<article class="example"><div class="soft small">{html.escape(heading)}</div>'
        f"<dl>{''.join(lines)}</dl></article>"
    )


def clip(text: str, max_characters: int) -> str:
    """Return at most so many characters of a text, the last one an ellipsis where it is cut."""
    return text if len(text) <= max_characters else text[: max_characters - 1] + _ELLIPSIS


def clip_bytes(text: str, max_bytes: int) -> str:
    """Return as much of a text as `max_bytes` bytes of HTML hold, cut with an ellipsis."""
    while len(html.escape(text).encode()) > max_bytes:
        # A character takes at most four bytes, or six as an entity, so this ends soon.
        text = clip(text, max(1, len(text) * 3 // 4))
        if len(text) == 1:
            break
    return text


def _marked(pieces: list[Piece], style: str, max_characters: int) -> str:
    parts, left = [], max_characters
    for piece in pieces:
        text = html.escape(clip(piece.text, max(1, left)))
        parts.append(text if piece.is_shared else f'<span class="{style}">{text}</span>')
        left -= len(piece.text)
        if left <= 0:
            break
    if len(parts) < len(pieces):
        parts.append(_ELLIPSIS)
    return "".join(parts) or '<span class="soft">(empty)</span>'


def _lang(language: str) -> str:
    return f' lang="{html.escape(language)}"' if language else ""
