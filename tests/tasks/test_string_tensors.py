import json

import numpy as np
import pytest
import tensorflow as tf

from tflm.tasks.string_tensors import check_texts, string_tensor


def test_texts_become_utf8():
    texts = ["公园 🙂", "", b"caf\xe9", np.str_("茶")]
    found = string_tensor("texts", texts)
    assert found.dtype == tf.string
    assert found.numpy().tolist() == ["公园 🙂".encode(), b"", b"caf\xe9", "茶".encode()]
    empty = string_tensor("texts", [])
    assert empty.dtype == tf.string and empty.shape == (0,)


def test_what_has_no_utf8_is_replaced_a_character_for_a_character():
    half, argument = json.loads('"\\ud83d hi"'), b"caf\xe9!".decode(errors="surrogateescape")
    found = [text.decode() for text in string_tensor("texts", [half, argument]).numpy()]
    assert found == ["\ufffd hi", "caf\ufffd!"]
    assert [len(text) for text in found] == [len(half), len(argument)]


@pytest.mark.parametrize("texts", ["the", b"the"])
def test_one_text_is_no_list_of_its_characters(texts):
    with pytest.raises(ValueError, match="`prompts` must be a list of texts. Received: b?'the'"):
        string_tensor("prompts", texts)
    with pytest.raises(ValueError, match="`prompts` must be a list of texts. Received: b?'the'"):
        check_texts("prompts", texts)


def test_other_things_are_refused():
    with pytest.raises(ValueError, match="`texts` must be a list .* None of type NoneType among"):
        string_tensor("texts", ["a", None])
    with pytest.raises(ValueError, match="`texts` must be a list .* 7 of type int among"):
        check_texts("texts", ["a", 7])
    check_texts("texts", ["a", b"b"])
    check_texts("texts", [])
