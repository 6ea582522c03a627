import html
import re

from tflm.eval.html_parts import (
    cell,
    clip,
    clip_bytes,
    example_card,
    page,
    section,
    systems_card,
    table,
)
from tflm.eval.reports import Example

EVIL = '<script>alert("1")</script>&\'<img src=x onerror=alert(1)>'


def test_every_text_is_escaped():
    example = Example(EVIL, EVIL, (f"{EVIL} x", "other", EVIL))
    parts = [
        section(EVIL, table((EVIL,), [(cell(EVIL, "number", '"><b>'),)]), note=EVIL),
        example_card(EVIL, example, '"><b>'),
        systems_card(EVIL, EVIL, {EVIL: EVIL}, [EVIL, f"{EVIL} y"], '"><b>'),
    ]
    text = page(EVIL, parts, '"><b>')
    assert text.count("<script>") == 1
    assert "<img" not in text
    assert "<b>" not in text
    assert text.count(html.escape(EVIL)) >= 7


def test_a_page_allows_itself_no_address_and_no_other_script():
    text = page("Titel", ["<p>Inhalt</p>"])
    assert "default-src 'none'" in text
    assert "script-src 'sha256-" in text
    assert not re.search("https?://|@import|url\\(", text)


def test_differences_are_marked_on_both_sides():
    card = example_card("#1", Example("I like Beijing.", "我爱上海。", ("我爱北京。", "无")), "zh")
    assert '我爱<span class="extra">上海</span>。' in card
    assert '我爱<span class="missing">北京</span>。' in card
    assert '<dd dir="auto" lang="zh">无</dd>' in card
    assert '<dd dir="auto">I like Beijing.</dd>' in card
    assert "(empty)" in example_card("#2", Example("", "", ("x",)))
    assert "(empty)" in example_card("#2", Example("", "x", ()))


def test_long_texts_are_cut_with_an_ellipsis():
    assert clip("abcdef", 6) == "abcdef"
    assert clip("abcdef", 5) == "abcd…"
    card = example_card("#1", Example("s" * 90, "a b " * 90, ("c d " * 90,)), max_characters=40)
    assert len(card) < 900
    assert card.count("…") >= 3


def test_bytes_of_html_are_bounded():
    for text in ("中" * 500, "<&>" * 500, "x" * 500, "short", ""):
        cut = clip_bytes(text, 100)
        assert len(html.escape(cut).encode()) <= 100
        assert cut == text or cut.endswith("…")
    assert clip_bytes("<<<<", 1) == "…"


def test_systems_are_shown_in_one_card():
    card = systems_card("#7", "Hi.", {"a": "你好。", "b": "您好。"}, ["你好。", "嗨。"], "zh")
    assert card.count("<article") == 1
    assert '<dt>b</dt><dd dir="auto" lang="zh"><span class="extra">您</span>好。</dd>' in card
    assert card.count("<dt>reference</dt>") == 2
