import gzip

import pytest

from tflm.data import BadLine, TextFiles

TEXT = "To be,\nor not\n\n \n公园很大。\n我喝茶。\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    return path


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ("line", ["To be,", "or not", "公园很大。", "我喝茶。"]),
        ("paragraph", ["To be,\nor not", "公园很大。\n我喝茶。"]),
        ("file", [TEXT]),
        ("none", [TEXT]),
    ],
)
def test_a_document_is_what_it_is_said_to_be(file, documents, expected):
    texts = TextFiles(file, documents)
    assert list(texts) == list(texts) == [(text,) for text in expected]


def test_gzip_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "text.txt.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbfa\r\nb\x0bc\r\n\r\nd"))
    assert [text for (text,) in TextFiles(path)] == ["a", "b\x0bc", "d"]
    assert [text for (text,) in TextFiles(path, "paragraph")] == ["a\nb\x0bc", "d"]
    assert [text for (text,) in TextFiles(path, "file")] == ["a\r\nb\x0bc\r\n\r\nd"]


def test_the_pieces_of_a_long_text_joined_are_the_text(tmp_path):
    path = tmp_path / "long.txt"
    text = "".join(f"line {i}\n" for i in range(30_000)) + "end"
    path.write_text(text)
    pieces = [piece for (piece,) in TextFiles(path, "none")]
    assert len(pieces) > 3
    assert "".join(pieces) == text
    assert all(piece.endswith("\n") for piece in pieces[:-1])


def test_a_folder_is_all_its_text_files_in_the_order_of_their_names(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.txt").write_text("two")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"one"))
    (tmp_path / "c.md").write_text("no")
    (tmp_path / "empty.txt").write_text("")
    assert list(TextFiles(tmp_path)) == [("one",), ("two",)]
    assert list(TextFiles([tmp_path / "b", str(tmp_path / "c.md")])) == [("two",), ("no",)]


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="`paths` must be files that exist. Received: .*x"):
        TextFiles(tmp_path / "x")
    with pytest.raises(FileNotFoundError, match="folders with files that end in .txt or .txt.gz"):
        TextFiles(tmp_path)


def test_an_unknown_kind_of_document_is_refused(file):
    with pytest.raises(ValueError, match="one of line, paragraph, file, none. Received: 'page'"):
        TextFiles(file, "page")


def test_text_that_is_not_utf_8_is_named_by_its_line(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes("a\ncafé\n".encode("latin-1"))
    with pytest.raises(BadLine, match=r"latin.txt, line 2: expected UTF-8 text. Received: .*caf"):
        list(TextFiles(path))


def test_half_a_gzip_file_is_named(tmp_path):
    path = tmp_path / "half.txt.gz"
    path.write_bytes(gzip.compress(b"a\n" * 1000)[:-12])
    with pytest.raises(BadLine, match=r"half.txt.gz, line \d+: expected a whole gzip file."):
        list(TextFiles(path))
