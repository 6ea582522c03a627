import numpy as np
import tensorflow as tf
from tokenizers import normalizers, pre_tokenizers

from tflm.tokenizers.unicode import (
    BLANK,
    ISOLATED,
    KIND_SHIFT,
    LETTER,
    NUM_CODE_POINTS,
    NUMBER,
    OTHER,
    SPACE,
    WORD,
    CodePointClasses,
    CodePointTable,
    bert_characters,
    characters,
    is_digit,
    regex_classes,
)


def test_characters_know_their_code_and_place(hard_lines):
    texts = ["aé中😀", "", "\x00b"]
    found = characters(tf.constant(texts))
    assert found.codes.numpy().tolist() == [ord(c) for c in "".join(texts)]
    assert found.offsets.numpy().tolist() == [0, 1, 3, 6, 0, 1]
    assert found.row_splits.numpy().tolist() == [0, 4, 4, 6]
    found = characters(tf.constant(hard_lines))
    assert found.codes.numpy().tolist() == [ord(c) for c in "".join(hard_lines)]


def test_invalid_bytes_are_repaired_in_text_and_codes_alike():
    found = characters(tf.constant([b"a\xffb\xe4\xb8", "\ufffdc".encode()]))
    assert [text.decode() for text in found.texts.numpy()] == ["a\ufffdb\ufffd", "\ufffdc"]
    assert found.codes.numpy().tolist() == [ord(c) for c in "a\ufffdb\ufffd\ufffdc"]
    assert found.offsets.numpy().tolist() == [0, 1, 4, 5, 0, 3]


def test_a_table_answers_for_every_code_point():
    values = np.random.default_rng(3).integers(-7, 1 << 30, NUM_CODE_POINTS).astype(np.int32)
    codes = tf.range(NUM_CODE_POINTS)
    assert np.array_equal(CodePointTable(values).lookup(codes).numpy(), values)


def test_classes_are_small_numbers_of_every_code_point():
    random = np.random.default_rng(3)
    for values in (random.integers(0, 256, NUM_CODE_POINTS), regex_classes()):
        found = CodePointClasses(values).lookup(tf.range(NUM_CODE_POINTS)).numpy()
        assert found.dtype == np.int32 and np.array_equal(found, values)


def test_regex_classes_of_known_characters():
    expected = {"aZé中\u02b0": LETTER, "0½Ⅷ٣": NUMBER, " \t\n\x85\u00a0\u3000": SPACE}
    expected["'_😀\u0301\x1c\u200b\U00050000\U0010ffff"] = OTHER
    classes = regex_classes()
    for group, number in expected.items():
        assert [classes[ord(c)] for c in group] == [number] * len(group)


def test_digits_are_numbers():
    assert is_digit()[[ord(c) for c in "09½Ⅷ٣"]].all()
    assert not is_digit()[[ord(c) for c in "a '中\U000f0000"]].any()


def test_code_points_that_were_not_asked_are_as_supposed():
    asked = [0x40000, 0x7ABCD, 0xDFFFF, 0xE1000, 0xEFFFE, 0xF0000, 0xFFFFD, 0x100000, 0x10FFFF]
    for clean in (False, True):
        values, _ = bert_characters(clean, True, True, True)
        normalizer = normalizers.BertNormalizer(clean, True, True, True)
        for code in asked:
            image = normalizer.normalize_str(chr(code))
            assert values[code] == (code if image else -1)
            assert image in ("", chr(code))
            assert len(pre_tokenizers.BertPreTokenizer().pre_tokenize_str(f"a{image}a")) == 1


def test_bert_characters_of_known_characters():
    values, several = bert_characters(True, True, True, True)
    assert values[ord("É")] == ord("e") + (WORD << KIND_SHIFT)
    assert values[ord(";")] == ord(";") + (ISOLATED << KIND_SHIFT)
    assert values[ord("中")] == ord("中") + (ISOLATED << KIND_SHIFT)
    assert values[ord("\n")] == ord(" ") + (BLANK << KIND_SHIFT)
    assert values[0x301] == values[0] == values[0xFFFD] == -1
    assert several[-2 - values[ord("한")]] == [0x1112, 0x1161, 0x11AB]
    cased, none = bert_characters(True, True, False, False)
    assert cased[ord("É")] == ord("É")
    assert none == []


def test_han_characters_join_words_on_request():
    values, _ = bert_characters(True, False, False, False)
    assert values[ord("中")] == ord("中") + (WORD << KIND_SHIFT)
