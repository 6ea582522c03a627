import numpy as np
import pytest
import tensorflow as tf

from tflm.tokenizers.word_offsets import WordFinder, character_kinds


@pytest.fixture(scope="module")
def finder():
    return WordFinder()


@pytest.fixture(scope="module")
def find(finder):
    """The words of each text as (word, start, end), found in a graph."""
    traced = tf.function(finder.find, input_signature=[tf.TensorSpec([None], tf.string)])

    def found(*texts):
        words = traced(tf.constant(list(texts), tf.string))
        splits = words.row_splits.numpy()
        rows = zip(
            (word.decode() for word in words.words.numpy()),
            words.starts.numpy().tolist(),
            words.ends.numpy().tolist(),
            strict=True,
        )
        rows = list(rows)
        return [rows[splits[i] : splits[i + 1]] for i in range(len(texts))]

    return found


@pytest.mark.parametrize(
    "text, words",
    [
        ("Prix 2024: 3 km.", ["Prix", "2024", ":", "3", "km", "."]),
        ("他在北京。", list("他在北京。")),
        ("在Nokia工作5年", ["在", "Nokia", "工", "作", "5", "年"]),
        ("don't (a_b) $5m", ["don", "'", "t", "(", "a", "_", "b", ")", "$", "5m"]),
        ("\tcafe\u0301s \r\n x\u00a0y\u3000z", ["cafe\u0301s", "x", "y", "z"]),
        ("カナ 한국어 ก็ดี", ["カ", "ナ", "한국어", "ก็", "ดี"]),
        ("👩\u200d👩\u200d👧! 👍🏽 ❤\ufe0f", ["👩\u200d👩\u200d👧", "!", "👍🏽", "❤\ufe0f"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("\u0301x \u0301y", ["\u0301x", "\u0301y"]),
        ("(\u200eABC) I ❤\ufe0fNY", ["(\u200e", "ABC", ")", "I", "❤\ufe0f", "NY"]),
        ("中\ufe00A1 ก็x e\u0301\u0302f", ["中\ufe00", "A1", "ก็", "x", "e\u0301\u0302f"]),
        ("(\u200dA \u200d中", ["(\u200d", "A", "\u200d中"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_words_are_runs_of_letters_and_single_signs(find, text, words):
    assert [word for word, _, _ in find(text)[0]] == words


def test_offsets_cut_the_words_out_of_the_text_as_given(find):
    texts = ["😀a b", "", "  他 \u0301 e\u0301f", "x" * 70 + "\u2028北京", "👍🏽 in 1990s."]
    for text, words in zip(texts, find(*texts), strict=True):
        assert [text[start:end] for _, start, end in words] == [word for word, _, _ in words]
        covered = {place for _, start, end in words for place in range(start, end)}
        assert covered == {place for place, c in enumerate(text) if not c.isspace()}


def test_bytes_that_are_no_text_are_replacement_characters(finder):
    found = finder.find(tf.constant([b"a\xff\xffb \xe4\xbd x"]))
    text = found.texts.numpy()[0].decode()
    assert text == b"a\xff\xffb \xe4\xbd x".decode(errors="replace")
    words = [text[a:b] for a, b in zip(found.starts.numpy(), found.ends.numpy(), strict=True)]
    assert words == ["a", "\ufffd", "\ufffd", "b", "\ufffd", "x"]
    assert [word.decode() for word in found.words.numpy()] == words


def test_white_space_in_front_of_a_word_is_told(finder):
    found = finder.find(tf.constant([" a b,c 北京 d", "e"]))
    spaced = dict(zip(found.words.numpy(), found.spaced.numpy().tolist(), strict=True))
    assert [word.decode() for word, is_spaced in spaced.items() if is_spaced] == list("ab北d")


def test_no_text_has_no_word(finder):
    found = finder.find(tf.constant([], tf.string))
    assert found.words.shape == (0,)
    assert found.row_splits.numpy().tolist() == [0]


def test_every_code_point_is_of_one_kind():
    kinds = character_kinds()
    assert kinds.shape == (0x110000,)
    assert np.unique(kinds).tolist() == [0, 1, 2, 3, 4]
    assert len({kinds[ord(sign)] for sign in ".$北カ😀\ufffd"} | {int(kinds[0xD800])}) == 1
