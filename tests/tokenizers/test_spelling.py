import numpy as np
import pytest

from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer, WordPieceTokenizer
from tflm.tokenizers.spelling import spelling

LINES = ["two dogs and a cat", "公园很大，我喝茶。", "walking, walked 😀"] * 9
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"two dogs , . 公 园 walk ##ing".split()]


def byte_pair(**options):
    plain = BytePairTokenizer.train(LINES, 290)
    vocabulary, merges = plain._vocabulary, plain._merges_text
    if not options:
        return plain
    import json

    pairs = [tuple(line.split(" ")) for line in merges.splitlines()]
    return BytePairTokenizer(
        json.loads(vocabulary), pairs, special_tokens=plain.special_tokens, **options
    )


TOKENIZERS = {
    "sentencepiece": lambda: SentencePieceTokenizer.train(LINES, 330),
    "characters": lambda: SentencePieceTokenizer.train(LINES, 400, "char"),
    "bytes": byte_pair,
    "bytes behind a space": lambda: byte_pair(add_prefix_space=True),
    "wordpiece": lambda: WordPieceTokenizer(WORDS),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_what_ids_write_joins_to_the_decoded_text(name):
    tokenizer = TOKENIZERS[name]()
    first, later = spelling(tokenizer)
    assert len(first) == len(later) == tokenizer.vocab_size
    random = np.random.default_rng(3)
    rows = [random.integers(0, tokenizer.vocab_size, size).tolist() for size in (1, 2, 3, 7) * 40]
    # Texts, too, for bytes that make characters.
    rows += tokenizer.tokenize(["two dogs", " 公园", "😀 ɓ, walking", ""]).to_list()
    for ids, text in zip(rows, tokenizer.detokenize(rows_of(rows)).numpy(), strict=True):
        silent = next((i for i, each in enumerate(ids) if later[each]), len(ids))
        spelled = b"".join([first[i] for i in ids[silent : silent + 1]])
        spelled += b"".join(later[i] for i in ids[silent + 1 :])
        try:
            assert spelled.decode() == text.decode()
        except UnicodeDecodeError:
            assert "\ufffd" in text.decode()


def rows_of(rows):
    import tensorflow as tf

    return tf.ragged.constant(rows, tf.int32)


def test_the_space_in_front_of_a_text_is_none():
    first, later = spelling(TOKENIZERS["sentencepiece"]())
    assert b" two" in later
    assert b" two" not in first
