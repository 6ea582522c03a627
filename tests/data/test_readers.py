import gzip
import json

import pytest

from tflm.data import BadLine, BadLineReport, JsonLines, ParallelFiles, TsvFile


def write(path, content):
    if isinstance(content, str):
        content = content.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture
def parallel(tmp_path):
    def make(source, target, suffix="", **options):
        return ParallelFiles(
            write(tmp_path / f"source{suffix}", source),
            write(tmp_path / f"target{suffix}", target),
            **options,
        )

    return make


@pytest.fixture
def tsv(tmp_path):
    def make(content, columns=(0, 1), **options):
        return TsvFile(write(tmp_path / "pairs.tsv", content), columns, **options)

    return make


@pytest.fixture
def jsonl(tmp_path):
    def make(content, fields=("source", "target"), **options):
        return JsonLines(write(tmp_path / "pairs.jsonl", content), fields, **options)

    return make


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_parallel_files_pair_line_with_line(parallel, suffix):
    source = parallel("a\nb\nc\n", "x\ny\nz", suffix)
    assert list(source) == [("a", "x"), ("b", "y"), ("c", "z")]


def test_a_source_can_be_read_again_and_twice_at_once(parallel):
    source = parallel("a\nb\nc\n", "x\ny\nz\n")
    assert list(source) == list(source)
    assert [pair for both in zip(source, source, strict=True) for pair in both][:2] == [
        ("a", "x"),
        ("a", "x"),
    ]


def test_a_source_reads_no_further_than_it_is_asked_to(parallel):
    source = parallel(b"a\nb\n\xff\n", b"x\ny\nz\n")
    rows = iter(source)
    assert [next(rows), next(rows)] == [("a", "x"), ("b", "y")]
    with pytest.raises(BadLine, match="line 3"):
        next(rows)


def test_lines_end_at_lf_and_nowhere_else(parallel):
    odd = "a\u2028b\u0085c\x0b\x0cd\re"
    assert list(parallel(f"{odd}\nf\r\n", f"x\n{odd}")) == [(odd, "x"), ("f", odd)]


def test_a_byte_order_mark_is_dropped_from_the_first_line_only(parallel):
    assert list(parallel("\ufeffa\n\ufeffb\n", "x\ny\n")) == [("a", "x"), ("\ufeffb", "y")]


def test_spaces_inside_and_around_text_are_kept(parallel):
    assert list(parallel("  a  b \n", "\u3000x\n")) == [("  a  b ", "\u3000x")]


@pytest.mark.parametrize(
    "source, target, short", [("a\nb\n", "x\n", "target"), ("a", "x\ny\n", "source")]
)
def test_files_of_different_length_are_refused(parallel, source, target, short):
    with pytest.raises(BadLine, match=f"{short}, line 2: expected as many lines as in .*"):
        list(parallel(source, target))


@pytest.mark.parametrize("blank", ["", "  ", "\t\u3000"])
def test_a_blank_side_is_refused(parallel, blank):
    with pytest.raises(BadLine, match="target, line 2: expected text, found a blank"):
        list(parallel("a\nb\n", f"x\n{blank}\n"))


def test_invalid_utf8_is_refused(parallel):
    with pytest.raises(BadLine, match=r"source, line 1: expected UTF-8 text. Received: b'a\\xff'"):
        list(parallel(b"a\xff\n", "x\n"))


def test_a_bad_line_is_a_value_error_that_knows_its_place(parallel):
    source = parallel("a\nb\n", "x\n\n")
    with pytest.raises(ValueError, match="found a blank") as caught:
        list(source)
    assert caught.value.path == str(source.paths[1])
    assert caught.value.line_number == 2
    assert caught.value.reason == "expected text, found a blank."


def test_a_cut_gzip_file_is_refused_even_when_skipping(tmp_path):
    whole = gzip.compress("".join(f"line {i}\n" for i in range(5000)).encode())
    path = tmp_path / "cut.tsv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadLine, match="cut.tsv.gz, line .*: expected a whole gzip file"):
        list(TsvFile(path, [0], on_bad="skip"))


def test_a_file_that_is_not_gzip_is_refused(tmp_path):
    path = tmp_path / "plain.tsv.gz"
    path.write_bytes(b"a\tb\n")
    with pytest.raises(BadLine, match="plain.tsv.gz, line 1: expected a whole gzip file"):
        list(TsvFile(path))


def test_tsv_columns_are_chosen_by_index(tsv):
    content = 'a\t"x\tsource 1\nb\ty\\t\tsource 2\n'
    assert list(tsv(content)) == [("a", '"x'), ("b", "y\\t")]
    assert list(tsv(content, (2, 0))) == [("source 1", "a"), ("source 2", "b")]
    assert list(tsv(content, (1,))) == [('"x',), ("y\\t",)]


def test_tsv_blank_columns_that_are_not_asked_for_are_fine(tsv):
    assert list(tsv("a\tx\t\nb\ty\t\n")) == [("a", "x"), ("b", "y")]


def test_tsv_lines_have_as_many_columns_as_the_first(tsv):
    with pytest.raises(BadLine, match="line 2: expected 3 columns. Received: 4 columns"):
        list(tsv("a\tx\t1\nb\ty\tstray\t2\n"))


def test_tsv_lines_have_the_columns_asked_for(tsv):
    with pytest.raises(BadLine, match="line 1: expected at least 4 columns. Received: 2 columns"):
        list(tsv("a\tx\n", (0, 3)))


@pytest.mark.parametrize("columns", [(), (0, -1)])
def test_tsv_columns_are_indices(tsv, columns):
    with pytest.raises(ValueError, match="`columns` must be indices from 0. Received"):
        tsv("a\tx\n", columns)


def test_json_fields_are_chosen_by_name(jsonl):
    content = json.dumps({"id": 7, "source": "a\nb", "target": "中"}) + "\r\n"
    assert list(jsonl(content)) == [("a\nb", "中")]
    assert list(jsonl(content, ["target"])) == [("中",)]


@pytest.mark.parametrize("line", ["{", "[1]", '"text"', "nonsense", "[" * 100_000])
def test_json_lines_are_objects(jsonl, line):
    with pytest.raises(BadLine, match=r"pairs.jsonl, line 2: expected a JSON object. Received: "):
        list(jsonl('{"source": "a", "target": "x"}\n' + line + "\n"))


@pytest.mark.parametrize(
    "record, received",
    [({"source": "a"}, "no such field"), ({"source": "a", "target": 5}, "5")],
)
def test_json_fields_are_strings(jsonl, record, received):
    expected = f"line 1: expected a string in field 'target'. Received: {received}"
    with pytest.raises(BadLine, match=expected):
        list(jsonl(json.dumps(record)))


def test_json_text_with_half_a_surrogate_pair_is_refused(jsonl):
    with pytest.raises(BadLine, match="line 1: expected UTF-8 text"):
        list(jsonl(r'{"source": "a\ud83d", "target": "x"}'))


@pytest.mark.parametrize("content", ["\n", '{"source": " ", "target": "x"}'])
def test_json_blanks_are_refused(jsonl, content):
    with pytest.raises(BadLine, match="line 1: expected text, found a blank"):
        list(jsonl(content))


@pytest.mark.parametrize("fields", ["source", []])
def test_json_fields_are_a_list(jsonl, fields):
    with pytest.raises(ValueError, match="`fields` must be a list of field names. Received"):
        jsonl("{}", fields)


def test_on_bad_is_one_of_two_words(tsv):
    with pytest.raises(ValueError, match="`on_bad` must be one of raise, skip. Received: 'ignore'"):
        tsv("", on_bad="ignore")


def test_skipped_lines_are_counted_by_reason(parallel):
    report = BadLineReport(num_examples=3)
    source = parallel(b"a\n\n\xff\nd\n \nf\n", b"x\ny\nz\nw\nv\n", on_bad="skip", report=report)
    for _ in range(2):  # a second pass starts its counts anew
        assert list(source) == [("a", "x"), ("d", "w")]
        assert report.total == 4
        assert dict(report.counts) == {
            (str(source.paths[0]), "expected text, found a blank."): 2,
            (str(source.paths[0]), "expected UTF-8 text."): 1,
            (str(source.paths[1]), f"expected as many lines as in {source.paths[0]}."): 1,
        }
    assert [bad.line_number for bad in report.examples] == [2, 3, 5, 6]


def test_a_report_remembers_the_first_lines_only(tsv):
    source = tsv("a\tx\n" + "short\n" * 10, on_bad="skip")
    assert len(list(source)) == 1
    assert source.report.total == 10
    assert [bad.line_number for bad in source.report.examples] == [2, 3, 4, 5, 6]


def test_a_report_reads_as_text(tsv):
    report = BadLineReport()
    assert report.summary() == "No line was skipped."
    source = tsv("a\tx\nshort\n\ty\n", on_bad="skip", report=report)
    assert list(source) == [("a", "x")]
    path = source.paths[0]
    assert report.summary().splitlines() == [
        "Skipped 2 lines.",
        f"  {path}: 1 x expected 2 columns.",
        f"  {path}: 1 x expected text, found a blank.",
        "For example:",
        f"  {path}, line 2: expected 2 columns. Received: 1 columns",
        f"  {path}, line 3: expected text, found a blank.",
    ]


def test_long_bad_lines_are_quoted_in_part(jsonl):
    with pytest.raises(BadLine, match=r"Received: .{77}\.\.\.$"):
        list(jsonl("x" * 1000))


def test_real_files_are_read_whole(shared_data):
    tatoeba = TsvFile(shared_data / "tatoeba_zh_en" / "train.tsv.gz")
    assert sum(1 for _ in tatoeba) == 27_055
    multi30k = shared_data / "multi30k"
    assert sum(1 for _ in ParallelFiles(multi30k / "val.en.gz", multi30k / "val.de.gz")) == 1014
