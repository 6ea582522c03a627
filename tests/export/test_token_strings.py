import re

import pytest
import tensorflow as tf

from tflm.export.token_strings import TokenStrings, token_strings
from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer, WordPieceTokenizer

LINES = ["two dogs and a cat", "公园很大。"] * 4
TEXTS = ["two 公园", "", "😀"]


@pytest.fixture(scope="module")
def tokenizers():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "two", "do", "##gs", "公", "园"]
    return {
        "sentencepiece": SentencePieceTokenizer.train(LINES, 285),
        "byte_pair": BytePairTokenizer.train(LINES, 280),
        "wordpiece": WordPieceTokenizer(words),
    }


@pytest.mark.parametrize("name", ["sentencepiece", "byte_pair", "wordpiece"])
def test_the_pieces_of_a_text_spell_it(tokenizers, name):
    tokenizer = tokenizers[name]
    found = TokenStrings(tokenizer).tokenized(tokenizer.tokenize(TEXTS))
    lengths = found["length"].numpy().tolist()
    assert lengths == tokenizer.tokenize(TEXTS).row_lengths().numpy().tolist()
    assert found["token_ids"].shape == found["pieces"].shape == (3, max(lengths))
    rows = [[piece.decode() for piece in row] for row in found["pieces"].numpy()]
    spelled = re.sub(
        rb"<0x(..)>", lambda each: bytes.fromhex(each[1].decode()), "".join(rows[0]).encode()
    )
    assert spelled.decode().replace(" ", "") == "two公园"
    assert rows[1] == [""] * max(lengths)
    assert all(rows[2][: lengths[2]])
    assert rows[2][lengths[2] :] == [""] * (max(lengths) - lengths[2])


def test_bytes_and_special_tokens_can_be_read(tokenizers):
    strings = token_strings(tokenizers["sentencepiece"])
    assert strings[:4] == ["<pad>", "<unk>", "<s>", "</s>"]
    pieces = TokenStrings(tokenizers["sentencepiece"])
    ids = tokenizers["sentencepiece"].tokenize(["😀"])
    written = b"".join(pieces.of(ids.flat_values).numpy()).decode()
    assert written.strip() == "<0xF0><0x9F><0x98><0x80>"
    assert token_strings(tokenizers["wordpiece"])[2:7] == ["[CLS]", "[SEP]", " two", " do", "gs"]


def test_ids_of_nothing_are_empty(tokenizers):
    pieces = TokenStrings(tokenizers["wordpiece"])
    ids = tf.constant([[4, 99, -1, 4]])
    found = pieces.of(ids, tf.constant([[True, True, True, False]]))
    assert found.numpy().tolist() == [[b" two", b"", b"", b""]]


def test_a_graph_holds_the_vocabulary_once(tokenizers):
    pieces = TokenStrings(tokenizers["byte_pair"])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)], autograph=False)
    def twice(ids):
        return tf.strings.join([pieces.of(ids), pieces.of(ids + 1)])

    graph = twice.get_concrete_function().graph.as_graph_def()
    strings = [
        node
        for node in (*graph.node, *(n for f in graph.library.function for n in f.node_def))
        if node.op == "Const" and len(node.attr["value"].tensor.string_val) > 1
    ]
    assert len(strings) == 1
