import re
import sys

import numpy as np
import pytest

from tflm.eval.analysis import LengthBin
from tflm.eval.metrics.base import Interval, Score

pytest.importorskip("matplotlib")

from tflm.eval.plots import (  # noqa: E402
    check_matplotlib,
    has_matplotlib,
    inline_svg,
    plot_by_length,
    plot_lengths,
    plot_values,
)


def score(name, value, interval=None):
    return Score(
        name=name, label=name, value=value, num_examples=7, signature="", interval=interval
    )


@pytest.fixture(scope="module")
def plots():
    interval = Interval(low=11.5, high=31.25, level=0.95, num_resamples=20, seed=1)
    bins = [
        LengthBin(1, 4, 30, (score("BLEU", 21.0, interval), score("a<b&c", 0.25))),
        LengthBin(5, 5, 11, (score("BLEU", 32.0, interval), score("a<b&c", 0.5))),
    ]
    values = np.array([1.0, 50.0, 70.5, np.nan])
    return {
        "by_length": plot_by_length(bins, "source"),
        "values": plot_values(values, "chrF2 of the example alone"),
        "lengths": plot_lengths(np.array([3, 4, 4, 9]), np.array([3, 5, 5, 80])),
    }


def test_text_is_text_and_escaped(plots):
    for text in ("BLEU", "a&lt;b&amp;c", "1–4", "tokens in the source"):
        assert f">{text}</text>" in plots["by_length"]
    assert "a<b" not in plots["by_length"]
    assert ">output</text>" in plots["lengths"]
    assert "chrF2 of the example alone" in plots["values"]


def test_plots_refer_to_nothing_outside_and_to_what_they_define(plots):
    for svg in plots.values():
        assert svg.startswith('<svg class="plot"')
        assert not re.search(r"https?:|<style|<metadata|xlink|<!DOCTYPE", svg)
        used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', svg))
        assert used <= set(re.findall(r'id="([^"]+)"', svg))
    ids = [set(re.findall(r'id="([^"]+)"', svg)) for svg in plots.values()]
    assert not ids[0] & ids[1] and not ids[1] & ids[2] and not ids[0] & ids[2]


def test_colours_are_those_of_the_page(plots):
    for svg in plots.values():
        assert "var(--accent)" in svg
        assert "currentColor" in svg
        assert not re.search("#0[1-4]0", svg)
    assert "var(--second)" in plots["lengths"]


def test_the_same_plot_is_the_same_bytes(plots):
    again = plot_lengths(np.array([3, 4, 4, 9]), np.array([3, 5, 5, 80]))
    assert again == plots["lengths"]


def test_ids_of_a_document_get_its_name():
    document = (
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 36">'
        '<g id="a"><path id="m1"/><use xlink:href="#m1"/><g clip-path="url(#m1)"/></g></svg>\n'
    )
    assert inline_svg(document, "x", "t") == (
        '<svg class="plot" role="img" viewBox="0 0 72 36" style="max-width:96px"><title>t</title>'
        '<g><path id="x-m1"/><use href="#x-m1"/><g clip-path="url(#x-m1)"/></g></svg>'
    )


def test_a_missing_matplotlib_names_the_extra(monkeypatch):
    assert has_matplotlib()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"needs matplotlib.* pip install 'tflm\[eval\]'"):
        check_matplotlib()
