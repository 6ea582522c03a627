import gzip

import pytest

from tflm.data import BadLine, BadLineReport, JsonTable, TableFile, open_table

ROWS = [("A fine film.", "positive"), ("电影很差。", "negative")]


def write(path, content):
    content = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def lines(rows, delimiter="\t"):
    return "".join(delimiter.join(row) + "\n" for row in rows)


@pytest.mark.parametrize("name", ["rows.tsv", "rows.txt.gz", "rows.csv", "rows.csv.gz"])
def test_a_header_names_the_columns_wherever_they_stand(tmp_path, name):
    delimiter = "," if ".csv" in name else "\t"
    rows = [("label", "id", "text"), *((label, "7", text) for text, label in ROWS)]
    table = TableFile(write(tmp_path / name, "\ufeff" + lines(rows, delimiter)))
    assert list(table) == list(table) == ROWS
    assert list(open_table(tmp_path / name, ("id", "label"))) == [
        ("7", "positive"),
        ("7", "negative"),
    ]


def test_without_a_header_the_first_columns_are_the_row(tmp_path):
    path = write(tmp_path / "rows.tsv", lines([(*row, "more") for row in ROWS]))
    assert list(TableFile(path)) == ROWS
    turned = TableFile(path, ("label", "text"), header=("text", "label", "rest"))
    assert list(turned) == [row[::-1] for row in ROWS]


@pytest.mark.parametrize("first", ["sentence\tlabel", "text"])
def test_a_header_that_names_other_columns_is_no_row(tmp_path, first):
    path = write(tmp_path / "rows.tsv", f"{first}\n" + lines(ROWS))
    with pytest.raises(BadLine, match="line 1: expected the columns text, label. Received: ") as e:
        list(TableFile(path, on_bad="skip"))
    assert e.value.received == first.replace("\t", ", ")


def test_quotes_mean_something_in_csv_alone(tmp_path):
    quoted = '"He said ""no"", then,\r\nleft.",negative\n'
    (row,) = TableFile(write(tmp_path / "rows.csv", quoted))
    assert row == ('He said "no", then,\nleft.', "negative")
    (row,) = TableFile(write(tmp_path / "rows.tsv", '"He said "no"\tnegative\n'))
    assert row == ('"He said "no"', "negative")


def test_tsv_lines_end_at_lf_and_nowhere_else(tmp_path):
    odd = "a\u2028b\u0085c\x0b\x0cd\re"
    assert list(TableFile(write(tmp_path / "rows.tsv", f"{odd}\tx\n"))) == [(odd, "x")]


BAD = [
    ("tsv", b"a\tx\nb\n", 2, "expected 2 columns. Received: 1 columns"),
    ("tsv", b"a\tx\n \tx\n", 2, "expected text, found a blank."),
    ("tsv", b"a\tx\nb\xff\tx\n", 2, "expected UTF-8 text."),
    ("csv", b"a,x\n\nb,x\n", 2, "expected 2 columns. Received: 0 columns"),
    ("csv", b'a,x\n"b"c,x\n', 2, "expected CSV: "),
    ("csv", b'a,x\n"b\nc\xff",x\n', 2, "expected UTF-8 text."),
    ("csv", b'a,x\n"b\nc', 2, "expected CSV: unexpected end of data."),
]


@pytest.mark.parametrize("kind, content, number, reason", BAD)
def test_a_bad_row_is_named_or_skipped_and_counted(tmp_path, kind, content, number, reason):
    path = write(tmp_path / f"rows.{kind}", content)
    with pytest.raises(BadLine, match=reason) as error:
        list(TableFile(path))
    assert error.value.path == str(path)
    assert error.value.line_number in (number, number + 1)
    report = BadLineReport()
    kept = list(TableFile(path, on_bad="skip", report=report))
    assert report.total == 1
    assert kept[0] == ("a", "x") and all(row[1] == "x" for row in kept)


def test_json_fields_are_text_numbers_or_a_list_of_labels(tmp_path):
    path = write(
        tmp_path / "rows.jsonl",
        '{"label": 1, "text": "A fine film."}\n'
        '{"text": "电影很差。", "label": ["sport", 7], "id": 0.5}\n'
        '{"text": "a", "label": []}\n',
    )
    assert list(open_table(path)) == [
        ("A fine film.", "1"),
        ("电影很差。", "sport", "7"),
        ("a",),
    ]


@pytest.mark.parametrize(
    "line, reason",
    [
        ('["a"]', "expected a JSON object."),
        ("{", "expected a JSON object."),
        ('{"text": "a"}', "expected text in field 'label'. Received: no such field"),
        ('{"text": "a", "label": 0.5}', "expected text in field 'label'. Received: 0.5"),
        ('{"text": ["a"], "label": "x"}', r"expected text in field 'text'. Received: \['a'\]"),
        ('{"text": "a", "label": ["x", null]}', "expected text in field 'label'."),
        ('{"text": " ", "label": "x"}', "expected text, found a blank."),
        ('{"text": "\\ud800", "label": "x"}', "expected UTF-8 text."),
        ("\xff", "expected a JSON object."),
    ],
)
def test_a_bad_json_line_is_named_or_skipped_and_counted(tmp_path, line, reason):
    path = write(tmp_path / "rows.jsonl", f'{{"text": "b", "label": "x"}}\n{line}\n')
    with pytest.raises(BadLine, match=f"line 2: {reason}"):
        list(JsonTable(path))
    table = JsonTable(path, on_bad="skip")
    assert list(table) == [("b", "x")]
    assert table.report.total == 1


def test_a_folder_is_a_label_and_a_file_a_text(tmp_path):
    write(tmp_path / "pos" / "2.txt", "\ufeffA fine film.\nTruly.\n")
    write(tmp_path / "pos" / "1.txt", "好")
    write(tmp_path / "neg" / "1.txt", "电影很差。")
    write(tmp_path / "other" / "notes.md", "no")
    folders = open_table(tmp_path)
    assert folders.labels == ("neg", "pos")
    assert list(folders) == [
        ("电影很差。", "neg"),
        ("好", "pos"),
        ("A fine film.\nTruly.\n", "pos"),
    ]
    write(tmp_path / "pos" / "3.txt", b"\xff")
    with pytest.raises(BadLine, match=r"3.txt, line 1: expected UTF-8 text."):
        list(open_table(tmp_path))


def test_arguments_that_fit_nothing_are_refused(tmp_path):
    path = write(tmp_path / "rows.tsv", lines(ROWS))
    with pytest.raises(ValueError, match="`columns` must be a list of names. Received: 'text'"):
        TableFile(path, "text")
    with pytest.raises(ValueError, match="`columns` must be a list of names. Received: ()"):
        JsonTable(path, ())
    with pytest.raises(ValueError, match="`header` must have the columns text, label. .*: a, text"):
        TableFile(path, header=("a", "text"))
    with pytest.raises(ValueError, match=r"`path` must end in .csv, .tsv, .txt, or .*rows.xml"):
        open_table(write(tmp_path / "rows.xml", ""))
    with pytest.raises(ValueError, match="`on_bad` must be one of raise, skip"):
        TableFile(path, on_bad="ignore")
    with pytest.raises(FileNotFoundError, match="`path` must be a file or folder that exists"):
        open_table(tmp_path / "nothing.tsv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="`path` must be a folder of folders with .txt"):
        open_table(tmp_path / "empty")


def test_the_real_files_are_read_whole(shared_data):
    counts = {"sst2/dev.tsv": 872, "chnsenticorp/dev.tsv": 1200}
    for name, count in counts.items():
        rows = list(open_table(shared_data / name))
        assert len(rows) == count
        assert {label for _, label in rows} == {"0", "1"}


def test_a_cell_may_be_as_long_as_it_likes(tmp_path):
    long = "很长的 text, " * 20_000
    path = write(tmp_path / "rows.csv", f'text,label\n"{long}",pos\n')
    assert list(TableFile(path)) == [(long, "pos")]


def test_bad_files_of_a_folder_are_skipped_and_counted(tmp_path):
    write(tmp_path / "pos" / "1.txt", "好")
    write(tmp_path / "pos" / "2.txt", b"\xff")
    write(tmp_path / "neg" / "1.txt", " \n")
    report = BadLineReport()
    folders = open_table(tmp_path, on_bad="skip", report=report)
    for _ in range(2):
        assert list(folders) == [("好", "pos")]
        assert report.total == 2
    assert "2.txt" in report.summary() and "neg" in report.summary()
    with pytest.raises(ValueError, match="`on_bad` must be one of raise, skip"):
        open_table(tmp_path, on_bad="ignore")
