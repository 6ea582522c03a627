import pytest
import rich.text

from tflm.eval.metrics.base import Interval, Score
from tflm.eval.printing import (
    as_plain_text,
    escape_line,
    markdown_cell,
    printed_interval,
    printed_label,
    unescape_line,
)


@pytest.mark.parametrize("text", ["", "plain 中文", "\n", "\\n", "\\\n", "\\\\n\r\n", "end\\"])
def test_escaping_is_lossless_and_keeps_one_line(text):
    assert unescape_line(escape_line(text)) == text
    assert "\n" not in escape_line(text)
    assert "\r" not in escape_line(text)


def test_a_cell_of_markdown_is_one_line_without_bars():
    assert markdown_cell("公园 |\n a\t|b") == "公园 \\| a \\|b"


def test_the_direction_is_printed_where_less_is_better():
    values = {"name": "x", "label": "TER", "value": 3.5, "num_examples": 2, "signature": ""}
    assert printed_label(Score(**values)) == "TER"
    assert printed_label(Score(**values, higher_is_better=False)) == "TER (lower is better)"
    assert printed_label(Score(**values, higher_is_better=None)) == "TER"
    assert printed_interval(Score(**values)) == ""
    ends = Interval(low=1.25, high=7.0, level=0.9, num_resamples=3, seed=1)
    assert printed_interval(Score(**values, interval=ends, digits=1)) == "[1.2, 7.0]"


def test_plain_text_has_a_width_and_no_colour():
    assert as_plain_text(rich.text.Text("公园很大", style="red"), 4) == "公园\n很大\n"
