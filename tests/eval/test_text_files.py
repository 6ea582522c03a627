import gzip

import pytest

from tflm.eval.text_files import read_lines, read_references


def test_lines_end_at_line_feeds_only_and_blank_ones_count(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeff一行\r\n\ntwo\u2028halves\nend".encode())
    assert read_lines(path) == ["一行", "", "two\u2028halves", "end"]
    path.write_bytes(b"\n")
    assert read_lines(path) == [""]


def test_gzipped_files_are_read(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress("北京\n上海\n".encode()))
    assert read_lines(path) == ["北京", "上海"]


def test_files_that_hold_no_lines_of_text_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="`path` must be a file that exists. Received: .*x"):
        read_lines(tmp_path / "x")
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="at least one line. Received: .*empty"):
        read_lines(tmp_path / "empty")
    (tmp_path / "latin").write_bytes(b"one\ntwo\n\xe9t\xe9\n")
    with pytest.raises(ValueError, match="must be UTF-8 text. Received: .*latin, line 3"):
        read_lines(tmp_path / "latin")
    damaged = bytearray(gzip.compress(bytes(range(256)) * 90))
    damaged[40:60] = bytes(20)
    for content in (b"no gzip", gzip.compress(b"text\n" * 900)[:30], bytes(damaged)):
        (tmp_path / "cut.gz").write_bytes(content)
        with pytest.raises(ValueError, match="must be a whole gzip file. Received: .*cut.gz"):
            read_lines(tmp_path / "cut.gz")


def test_several_files_are_several_references_of_each_example(tmp_path):
    (tmp_path / "1").write_text("a\nb\n")
    (tmp_path / "2").write_text("c\n\n")
    assert read_references([tmp_path / "1"]) == [("a",), ("b",)]
    assert read_references([tmp_path / "1", tmp_path / "2"]) == [("a", "c"), ("b", "")]
    (tmp_path / "3").write_text("c\n")
    with pytest.raises(ValueError, match="files of as many lines. Received: 2 in .*1, 1 in .*3"):
        read_references([tmp_path / "1", tmp_path / "3"])
    with pytest.raises(ValueError, match="`references` must name at least one file. Received: no"):
        read_references([])
