import functools

import hypothesis
import hypothesis.strategies as st
import pytest
import tensorflow as tf
from tokenizers import Regex, pre_tokenizers

from tflm.tokenizers.splitting import RULES, WordSplitter, check_rule, pre_tokenizer

TRICKY = st.sampled_from(
    "' s S t re VE ll m D \u017f a Z é 中 ß 1 2 3 ½ ٣ ! ? 😀 \u0301 _ \x1c \u200d < Ⅷ \u212a".split(
        " "
    )
    + [" ", " ", "\t", "\n", "\r", "\u3000", "\u00a0", "\x85", "\u2028"]
)


@functools.cache
def ours(rule):
    signature = [tf.TensorSpec([None], tf.string)]
    splitter = WordSplitter(rule)
    function = tf.function(splitter.split, input_signature=signature)
    return lambda texts: [[w.decode() for w in row] for row in function(texts).to_list()]


@functools.cache
def theirs(rule):
    split = pre_tokenizers.Split(Regex(RULES[rule].expression), "isolated")
    if RULES[rule].digits_alone:
        split = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), split])
    return lambda texts: [[word for word, _ in split.pre_tokenize_str(text)] for text in texts]


@pytest.mark.parametrize("rule", RULES)
@hypothesis.settings(max_examples=40, deadline=None, derandomize=True, database=None)
@hypothesis.given(data=st.data())
def test_words_are_those_of_the_expression_on_tricky_texts(rule, data):
    texts = data.draw(st.lists(st.lists(TRICKY, max_size=12).map("".join), min_size=5, max_size=60))
    assert ours(rule)(texts) == theirs(rule)(texts)


@pytest.mark.parametrize("rule", RULES)
@hypothesis.settings(max_examples=30, deadline=None, derandomize=True, database=None)
@hypothesis.given(texts=st.lists(st.text(), min_size=1, max_size=20))
def test_words_are_those_of_the_expression_on_any_text(rule, texts):
    assert ours(rule)(texts) == theirs(rule)(texts)


@pytest.mark.parametrize("rule", ["gpt2_digits", "llama3"])  # they use all tables
def test_every_code_point_is_split_as_by_the_expression(rule):
    codes = [*range(0xD800), *range(0xE000, 0x32000), *range(0xE0000, 0xE0200), 0xF1234, 0x10FFFF]
    texts = [
        "".join(f"a'{chr(c)}b1{chr(c)} {chr(c)}" for c in codes[start : start + 64])
        for start in range(0, len(codes), 64)
    ]
    assert ours(rule)(texts) == theirs(rule)(texts)


@pytest.mark.parametrize("rule", RULES)
def test_hard_and_real_lines_are_split_as_by_the_expression(rule, hard_lines, real_lines):
    texts = hard_lines + real_lines[::7]
    assert ours(rule)(texts) == theirs(rule)(texts)


def test_rules_differ_where_they_should():
    words = {rule: ours(rule)(["It'S 2024!\n"])[0] for rule in RULES}
    assert words == {
        "gpt2": ["It", "'", "S", " 2024", "!", "\n"],
        "gpt2_digits": ["It", "'", "S", " ", "2", "0", "2", "4", "!", "\n"],
        "llama3": ["It", "'S", " ", "202", "4", "!\n"],
        "qwen2": ["It", "'S", " ", "2", "0", "2", "4", "!\n"],
    }


def test_no_texts_have_no_words():
    assert ours("llama3")([]) == []
    assert ours("gpt2")(["", ""]) == [[], []]


def test_the_library_splits_by_the_same_rule():
    for rule in RULES:
        found = pre_tokenizer(rule).pre_tokenize_str("we've 1234  words")
        assert [word for word, _ in found] == [
            word.replace(" ", "Ġ") for word in ours(rule)(["we've 1234  words"])[0]
        ]


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="`split` must be one of gpt2, .*Received: 'gpt5'"):
        check_rule("gpt5")
    with pytest.raises(ValueError, match="`split` must be one of gpt2, .*Received: 'x'"):
        WordSplitter("x")
