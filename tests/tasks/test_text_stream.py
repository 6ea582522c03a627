import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.generation.stopping import stop_strings
from tflm.tasks.text_stream import TextStream, before_stop
from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer

LINES = ["two dogs and a cat", "公园很大，我喝茶。", "six seven 😀"] * 7
BYTES = [0x61, 0x20, 0xE5, 0x85, 0xAC, 0xF0, 0x9F, 0x98, 0x80, 0xFF]
letters = st.text("ab公\n", min_size=1, max_size=4)


def make(tokenizer):
    def continuation(read, written):
        whole, start = (
            tokenizer.detokenize(tf.constant([ids], tf.int32)).numpy()[0]
            for ids in ([*read, *written], read)
        )
        return whole[len(start) :].decode()

    return TextStream(tokenizer, continuation), continuation


@pytest.fixture(scope="module", params=["sentencepiece", "bytes"])
def tokenizer(request):
    kinds = {"sentencepiece": SentencePieceTokenizer, "bytes": BytePairTokenizer}
    return kinds[request.param].train(LINES, 300)


def byte_ids(tokenizer):
    """Ids of single bytes, some of which make characters together."""
    spelled = TextStream(tokenizer, None)._later
    first = spelled.index(bytes([0xFF])) - 0xFF  # the bytes of SentencePiece; not GPT-2's order
    if spelled[first] == b"\x00":
        return [first + byte for byte in BYTES]
    return [spelled.index(bytes([byte])) for byte in BYTES]


def test_pieces_join_to_the_text_whatever_the_tokens(tokenizer):
    stream, continuation = make(tokenizer)
    random = np.random.default_rng(5)
    pool = [*byte_ids(tokenizer) * 3, *range(3), *random.integers(3, tokenizer.vocab_size, 9)]
    for size in (0, 1, 2, 5, 11, 23, 24):
        written = [int(each) for each in random.choice(pool, size)]
        for read in ([], [int(pool[0]), 2]):
            pieces = list(stream.pieces(iter(written), read))
            assert "".join(pieces) == continuation(read, written)
            assert all(pieces)


def test_a_character_is_given_when_it_is_whole(tokenizer):
    stream, _ = make(tokenizer)
    a, _, e5, x85, ac, *emoji, _ = byte_ids(tokenizer)
    asked = []
    tokens = (asked.append(each) or each for each in [a, e5, x85, ac, *emoji, a])
    pieces = stream.pieces(tokens, [a])
    assert [(piece, len(asked)) for piece in pieces] == [("a", 1), ("公", 4), ("😀", 8), ("a", 9)]


def test_special_tokens_and_ids_beyond_the_vocabulary_write_nothing(tokenizer):
    stream, _ = make(tokenizer)
    a = byte_ids(tokenizer)[0]
    tokens = [tokenizer.bos_id, a, tokenizer.vocab_size + 7, a]
    assert list(stream.pieces(tokens, [])) == ["a", "a"]


@settings(max_examples=100, deadline=None)
@given(st.lists(letters, max_size=7), st.lists(letters, max_size=3))
def test_a_text_ends_before_the_first_stop_string_however_it_is_cut(pieces, stop):
    stop, text = stop_strings(stop), "".join(pieces)
    found = list(before_stop(iter(pieces), stop))
    places = [text.find(each) for each in stop if each in text]
    assert "".join(found) == text[: min(places, default=len(text))]
    assert all(found)


def test_what_may_begin_a_stop_string_is_held_back_and_no_more():
    pieces = ["好。\n", "用", "户", "们\n\n", "用户：", "不", "要"]
    taken = []
    source = (taken.append(each) or each for each in pieces)
    found = [(each, len(taken)) for each in before_stop(source, ("\n用户：",))]
    assert found == [("好。", 1), ("\n用户们\n", 4)]
    assert len(taken) == 5  # nothing behind the stop string is decoded
