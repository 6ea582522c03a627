import gzip
import struct

import keras
import numpy as np
import pytest

from tflm.data import BadLine
from tflm.data.word_vectors import Coverage, WordVectors, initialize_embedding, token_texts
from tflm.layers.embeddings import TokenEmbedding
from tflm.tokenizers import SentencePieceTokenizer

ROWS = {"the": [0.5, -1.0, 2.0], "公园": [1.5, 0.25, -0.5], "tea": [3.0, 4.0, 5.0]}
TEXTS = [
    "the park",
    "the Tea tea Tea Tea",
    "我在公园喝茶。",
    "公园很大。",
    "I drink the tea in the park.",
]


def lines(header=None, rows=ROWS, end=""):
    text = "".join(f"{w} {' '.join(map(str, v))}{end}\n" for w, v in rows.items())
    return (f"{header}\n" if header else "") + text


def binary(rows=ROWS, header="3 3", end=b""):
    records = [word.encode() + b" " + struct.pack("<3f", *v) + end for word, v in rows.items()]
    return f"{header}\n".encode() + b"".join(records)


FILES = {
    "glove.txt": lines().encode(),
    "word2vec.txt": lines("3 3").encode(),
    "fasttext.vec": lines("3 3", end=" ").encode(),
    "word2vec.bin": binary(),
    "original.bin": binary(end=b"\n"),
}


@pytest.fixture
def write(tmp_path):
    def written(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return written


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_words_and_numbers(write, name, zipped):
    content = gzip.compress(FILES[name], mtime=0) if zipped else FILES[name]
    vectors = WordVectors(write(name + ".gz" if zipped else name, content))
    for _ in range(2):  # read anew each time
        found = dict(vectors)
        assert list(found) == list(ROWS)
        for word, vector in found.items():
            assert vector.dtype == "float32"
            np.testing.assert_array_equal(vector, np.float32(ROWS[word]))


@pytest.mark.parametrize(
    "name, rows, dim, first, last",
    [
        ("glove.6B.50d.sample.txt", 76, 50, ("the", 0.418), None),
        ("glove.6B.100d.sample.txt.gz", 100, 100, None, None),
        ("glove.6B.300d.sample.txt.gz", 100, 300, None, None),
        ("fasttext.wiki.en.300d.sample.vec", 99, 300, (",", -0.023167), None),
        ("fasttext.lee.10d.vec", 1762, 10, ("the", -0.65992), None),
        ("word2vec.euclidean.10d.bin", 2747, 10, ("the", 0.421453), None),
    ],
)
def test_public_files_are_read_whole(shared_data, name, rows, dim, first, last):
    found = list(WordVectors(shared_data / "word_vectors" / name))
    assert len(found) == rows
    assert {len(vector) for _, vector in found} == {dim}
    assert all(word and not word.isspace() for word, _ in found)
    if first is not None:
        word, vector = found[0]
        assert word == first[0]
        assert vector[0] == pytest.approx(first[1], rel=1e-4)


def test_a_word_may_hold_blanks(write):
    path = write("glove.txt", b"the 1 2\n. . . 3 4\n")
    assert [word for word, _ in WordVectors(path)] == ["the", ". . ."]


@pytest.mark.parametrize(
    "name, content, message",
    [
        (
            "a.txt",
            b"the 1 2 3\ntea 1 2\n",
            r"a.txt, line 2: expected a word and 3 numbers. .*2 num",
        ),
        ("a.txt", b"the\n", r"a.txt, line 1: expected a word and 1 numbers. .*0 numbers"),
        ("a.txt", b"the 1 2\n\ntea 1 2\n", "a.txt, line 2: expected a word and 2 numbers"),
        ("a.txt", b"the 1 2\ntea 1 x\n", "a.txt, line 2: expected finite numbers .*'tea'"),
        ("a.txt", b"the 1 nan\n", "a.txt, line 1: expected finite numbers"),
        ("a.txt", b"the 1 2\n\xff\xfe 1 2\n", "a.txt, line 2: expected a word in UTF-8"),
        ("a.vec", b"1 2\nthe 1 2\ntea 1 2\n", "a.vec, line 3: expected no more than the 1 rows"),
        (
            "a.txt.gz",
            gzip.compress(lines().encode(), mtime=0)[:-9],
            "line .: expected a whole gzip file",
        ),
        ("a.bin", lines().encode(), "a.bin, line 1: expected the number of rows and of dimensions"),
        ("a.bin", b"", "a.bin, line 1: expected the number of rows and of dimensions"),
        ("a.bin", binary()[:-3], "a.bin, line 4: expected 3 rows of a word and 3 numbers of 4"),
        ("a.bin", binary(header="5 3"), "a.bin, line 5: expected 5 rows of a word .*the end of"),
        ("a.bin", binary(header="2 3"), "a.bin, line 4: expected no more than the 2 rows"),
        ("a.bin", binary({"": [1, 2, 3]}, "1 3"), "a.bin, line 2: expected a word before the num"),
        ("a.bin", binary({"a": [1, 2, np.inf]}, "1 3"), "a.bin, line 2: expected finite numbers"),
        ("a.bin.gz", gzip.compress(binary(), mtime=0)[:-9], "line .: expected a whole gzip file"),
    ],
)
def test_what_is_malformed_is_named_with_its_place(write, name, content, message):
    with pytest.raises(BadLine, match=message):
        list(WordVectors(write(name, content)))


def test_bad_rows_can_be_skipped_and_are_counted(write):
    path = write("a.txt", b"the 1 2\ntea 1 x\nd\xff 1 2\npark 3 4\n")
    vectors = WordVectors(path, on_bad="skip")
    assert [word for word, _ in vectors] == ["the", "park"]
    assert vectors.report.total == 2


def test_a_long_binary_file_is_read_in_pieces(write, monkeypatch):
    monkeypatch.setattr("tflm.data.word_vectors._CHUNK", 64)
    rows = {f"word{i}": [i, i + 0.5, -i] for i in range(50)}
    path = write("long.bin", binary(rows, "50 3"))
    assert {word: list(vector) for word, vector in WordVectors(path)} == rows
    path = write("endless.bin", b"1 3\n" + b"x" * 500)
    with pytest.raises(BadLine, match="line 2: expected 1 rows"):
        list(WordVectors(path))


# embeddings


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(TEXTS, 300)


def id_of(tokenizer, word):
    return token_texts(tokenizer).index(word)


@pytest.mark.parametrize("layer", [keras.layers.Embedding, TokenEmbedding])
def test_looking_a_token_up_gives_the_vector_of_its_word(tokenizer, layer, write):
    embedding = layer(305, 3)
    embedding.build((None, None))
    before = np.array(embedding.embeddings)
    vectors = WordVectors(write("glove.txt", FILES["glove.txt"]))
    coverage = initialize_embedding(embedding, tokenizer, vectors, texts=TEXTS)
    for word, row in ROWS.items():
        found = embedding(np.array([[id_of(tokenizer, word)]]))[0, 0]
        np.testing.assert_allclose(found, row, rtol=1e-6)
    kept = [i for i, text in enumerate(token_texts(tokenizer)) if text.lower() not in ROWS]
    np.testing.assert_array_equal(np.array(embedding.embeddings)[kept], before[kept])
    np.testing.assert_array_equal(np.array(embedding.embeddings)[300:], before[300:])
    assert embedding.trainable
    assert coverage.entries == 300
    assert coverage.exact + coverage.lowered == 300 - len(kept)


def test_coverage_says_what_was_found_exactly_and_what_in_lower_case(tokenizer):
    embedding = keras.layers.Embedding(300, 3)
    embedding.build(None)
    texts = token_texts(tokenizer)
    assert {"the", "Tea", "tea", "公园"} <= set(texts)
    # "Tea" is found as it is written only behind its lower-case form; "i" stands for "I".
    rows = [("tea", ROWS["tea"]), ("Tea", [9, 9, 9]), ("i", [7, 7, 7]), ("tea", [0, 0, 0])]
    vectors = [(word, np.float32(row)) for word, row in rows]
    coverage = initialize_embedding(
        embedding, tokenizer, vectors, texts=["Tea I tea", "tea 公园"] * 600, trainable=False
    )
    table = np.array(embedding.embeddings)
    assert table[texts.index("Tea")].tolist() == [9, 9, 9]
    assert table[texts.index("tea")].tolist() == ROWS["tea"]
    assert table[texts.index("I")].tolist() == [7, 7, 7]
    assert not embedding.trainable
    exact = sum(text in {"tea", "Tea", "i"} for text in texts)
    assert (coverage.exact, coverage.lowered) == (exact, sum(text == "I" for text in texts))
    ids = tokenizer.tokenize(["Tea I tea tea 公园"]).flat_values.numpy()
    tokens = [texts[i] for i in ids]
    assert coverage.tokens_exact == 600 * sum(token in {"tea", "Tea", "i"} for token in tokens)
    assert coverage.tokens_lowered == 600 * tokens.count("I") == 600
    assert coverage.tokens >= coverage.tokens_exact + coverage.tokens_lowered > 0


def test_coverage_can_be_read():
    text = str(Coverage(200, 80, 20, 1000, 850, 50))
    assert "50.0% of 200 entries" in text and "80 as written, 20 in lower case" in text
    assert "90.0% of 1,000 tokens" in text
    assert "Text" not in str(Coverage(200, 80, 20))
    assert Coverage(0, 0, 0).share == Coverage(0, 0, 0).token_share == 0.0


def test_an_embedding_that_does_not_fit_is_refused(tokenizer):
    vectors = [("the", np.zeros(4, "float32"))]
    small, narrow = keras.layers.Embedding(299, 4), keras.layers.Embedding(300, 3)
    with pytest.raises(ValueError, match="`embedding` must be a built layer. Received: "):
        initialize_embedding(TokenEmbedding(300, 4), tokenizer, vectors)
    for layer in (small, narrow):
        layer.build(None)
    with pytest.raises(ValueError, match="a row for every token .* 299 rows, 300 tokens"):
        initialize_embedding(small, tokenizer, vectors)
    with pytest.raises(ValueError, match="as wide as .* 4 numbers for 'the', .* of width 3"):
        initialize_embedding(narrow, tokenizer, vectors)
