"""Plots as inline SVG: text stays text, and colours are the page's, light or dark.

Text is drawn by the browser in the page's fonts, so no glyph can be missing; colours are CSS
variables (`--accent`, `--second`, `--grid`, and the text's own colour).
"""

import importlib.util
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tflm.eval.analysis import LengthBin
from tflm.eval.printing import printed_label

# matplotlib wants colours it can parse; each stands for a colour of the page.
_INK, _ACCENT, _SECOND, _GRID = "#010101", "#020202", "#030303", "#040404"
_CSS = {
    _INK: "currentColor",
    _ACCENT: "var(--accent)",
    _SECOND: "var(--second)",
    _GRID: "var(--grid)",
}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tflm",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "axes.titlesize": 9.5,
    "axes.titlecolor": _INK,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
_COLUMNS = 3
_BY_LENGTH = "Scores by length, with confidence intervals"


def has_matplotlib() -> bool:
    """Return whether plots can be drawn."""
    return importlib.util.find_spec("matplotlib") is not None


def check_matplotlib() -> None:
    """Check that plots can be drawn.

    Raises:
        ImportError: When matplotlib is not installed; the message names the extra that has it.
    """
    _matplotlib()


def plot_by_length(bins: Sequence[LengthBin], length_of: str) -> str:
    """Return a small plot per metric: its score, with the interval, in each bin of lengths."""
    labels = [b.label for b in bins]
    names = [printed_label(score) for score in bins[0].scores]
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)

    def draw(figure: Any) -> None:
        for index, name in enumerate(names):
            axes = figure.add_subplot(rows, columns, index + 1)
            scores = [b.scores[index] for b in bins]
            values = np.array([score.value for score in scores])
            lows = [score.interval.low if score.interval else score.value for score in scores]
            highs = [score.interval.high if score.interval else score.value for score in scores]
            # A percentile interval need not hold the score itself.
            errors = np.maximum([values - lows, highs - values], 0)  # (2, bins)
            axes.bar(range(len(bins)), values, color=_ACCENT, width=0.66)
            axes.errorbar(
                range(len(bins)), values, yerr=errors, fmt="none", ecolor=_INK, capsize=3, lw=1
            )
            axes.set_xticks(range(len(bins)), labels)
            axes.set_title(name)
            axes.set_xlabel(f"tokens in the {length_of}")

    return _svg(draw, (3.9 * columns, 2.6 * rows), "by-length", _BY_LENGTH)


def plot_values(values: np.ndarray, label: str) -> str:
    """Return a histogram of the scores of single examples; NaN is left out."""
    finite = values[np.isfinite(values)]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.hist(finite, bins=25, color=_ACCENT)
        axes.set_xlabel(label)
        axes.set_ylabel("examples")

    return _svg(draw, (5.8, 2.6), "values", "Distribution of the scores of single examples")


def plot_lengths(outputs: np.ndarray, references: np.ndarray) -> str:
    """Return the lengths of outputs and references, as two histograms over the same bins."""
    longest = max(1, int(np.quantile(np.concatenate([outputs, references]), 0.995)))
    edges = np.linspace(0, longest + 1, min(longest + 2, 26))

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        clipped = [np.minimum(lengths, longest) for lengths in (references, outputs)]
        axes.hist(clipped[0], edges, color=_SECOND, alpha=0.55, label="reference")
        axes.hist(clipped[1], edges, histtype="step", color=_ACCENT, lw=1.8, label="output")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("tokens; the longest texts are in the last bar")
        axes.set_ylabel("examples")
        axes.legend()

    return _svg(draw, (5.8, 2.6), "lengths", "Lengths of outputs and references")


def _svg(draw: Any, size: tuple[float, float], name: str, title: str) -> str:
    matplotlib = _matplotlib()
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE}):
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        stream = io.StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", metadata=metadata)
    return inline_svg(stream.getvalue(), name, title)


def inline_svg(document: str, name: str, title: str) -> str:
    """Return an SVG document as an element of a page: no addresses, ids of its own, its colours.

    Args:
        document: What matplotlib wrote.
        name: Start of every id, unique in the page.
        title: What the plot shows, for those who cannot see it.
    """
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', document)
    width, height = (float(size[1]), float(size[2])) if size else (0.0, 0.0)
    body = document[document.index(">", document.index("<svg")) + 1 : document.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*">', "<g>", body)  # nothing refers to groups
    body = body.replace("xlink:href", "href").replace("'DejaVu Sans'", "var(--sans)")
    body = body.replace('id="', f'id="{name}-')
    body = re.sub(r'(url\(|href=")#', rf"\g<1>#{name}-", body)
    for colour, variable in _CSS.items():
        body = body.replace(colour, variable)
    return (
        f'<svg class="plot" role="img" viewBox="0 0 {width:g} {height:g}" '
        f'style="max-width:{width * 4 / 3:.0f}px"><title>{title}</title>{body}</svg>'
    )


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            "the HTML report needs matplotlib, which is not installed: pip install 'tflm[eval]'"
        ) from error
    return matplotlib
