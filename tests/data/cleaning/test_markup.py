import time

import pytest

from tflm.data.cleaning.markup import Markup


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<p class="x">Hello,<br/>world</p>', " Hello, world "),
        ("un<b>believ</b>able", "unbelievable"),
        ("<a href='/x?a=1' target=_blank>链接</a>：<i>斜体</i>", "链接：斜体"),
        ('<seg id="1">公园很大。</seg>', " 公园很大。 "),
        ("<!-- a <b> --><script>if (a<b) x()</script>t<style>p{}</style>", "  t "),
        ("<!DOCTYPE html><?xml version='1.0'?>t", "  t"),
        ("<input disabled><option selected value=3>", "  "),
        ("AT&amp;T &eacute;&#233;&#xE9; &nbsp;&#128512;", "AT&T ééé \xa0😀"),
        ("&amp;lt;b&amp;gt;twice&lt;/b&gt;", "twice"),
    ],
)
def test_what_is_not_the_text_goes(text, expected):
    assert Markup().clean(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d",
        "x <y and z> w",
        "1<2>1",
        "I <3 you",
        "AT&T, R&D; &nosuch; ?a=1&copy=2",
        "《书》〈名〉",
        "<- left, right ->",
        "<3 😀>",
    ],
)
def test_what_only_looks_like_markup_stays(text):
    assert Markup().clean(text) == text


def test_less_than_as_a_reference_is_itself():
    assert Markup().clean("a &lt; b &amp;&amp; c &gt; d") == "a < b && c > d"


def test_long_texts_that_never_close_a_tag_take_no_long_time():
    start = time.process_time()
    for text in ("<a b" * 5000, "<a " + "b=c " * 5000, "<a " + " " * 5000, "<b" * 9000):
        assert Markup().clean(text) == text
    assert time.process_time() - start < 3.0


@pytest.mark.parametrize("start", ["<!--", "<script>", "<style a=1>", "<!--<script><style>"])
def test_many_beginnings_without_an_end_take_no_long_time(start):
    begin = time.process_time()
    for end in ("", "</b>-->", "</style>"):
        Markup().clean(start * 8000 + end)
    assert time.process_time() - begin < 3.0


def test_what_begins_first_ends_first():
    assert Markup().clean("<script>a<!--b</SCRIPT >c-->") == " c-->"
    assert Markup().clean("<!--a<script>b-->c</script>d") == " c d"
    assert Markup().clean("<!--a 北京") == "<!--a 北京"
    assert Markup().clean("<!--<style>x</style>y") == "<!-- y"
