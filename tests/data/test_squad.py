import gzip
import json

import pytest

from tflm.data.readers import BadLineReport
from tflm.data.squad import OffsetReport, QuestionExample, SpanAnswer, SquadFiles, repair_offsets

CONTEXT = "红楼梦 was written by 曹雪芹, 曹雪芹 of Beijing 😀."


def answer(text, start):
    return {"text": text, "answer_start": start}


def squad(*questions, context=CONTEXT):
    return {"data": [{"title": "t", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


def write(path, content):
    data = json.dumps(content, ensure_ascii=False).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def example(*answers, **kwargs):
    return QuestionExample("Who?", CONTEXT, tuple(SpanAnswer(*each) for each in answers), **kwargs)


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_a_file_is_questions_with_answers_in_code_points(tmp_path, name):
    start = CONTEXT.index("Beijing")
    rows = [
        {"id": "1", "question": "Where?", "answers": [answer("Beijing", start)]},
        {"id": "2", "question": "", "answers": [], "is_impossible": True},
    ]
    files = SquadFiles(write(tmp_path / name, squad(*rows)))
    for _ in range(2):
        first, second = files
        assert (first.id, first.question, first.context) == ("1", "Where?", CONTEXT)
        assert first.texts == ["Beijing"] and not first.is_impossible
        assert CONTEXT[first.answer.start : first.answer.end] == "Beijing"
        assert second == QuestionExample("", CONTEXT, (), "2", True)
        assert (files.report.num_questions, files.report.num_impossible) == (2, 1)


def test_several_files_are_one_after_another_and_a_byte_order_mark_is_nothing(tmp_path):
    row = {"id": "1", "question": "?", "answers": [answer("was", 4)]}
    path = write(tmp_path / "a.json", squad(row))
    marked = tmp_path / "b.json"
    marked.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [each.texts for each in SquadFiles([path, str(marked)])] == [["was"], ["was"]]


@pytest.mark.parametrize("shift", [-2, -1, 1, 2])
def test_an_answer_beside_its_place_is_moved_there(shift):
    report = OffsetReport()
    found = repair_offsets(example(("红楼梦", 0), ("written", 8 + shift), id="q7"), report)
    assert found.answers == (SpanAnswer("红楼梦", 0), SpanAnswer("written", 8))
    assert (report.num_answers, report.num_moved, report.num_dropped) == (2, 1, 0)
    assert "q7: 'written' at" in report.summary() and "moved to 8" in report.summary()


def test_an_answer_too_far_from_its_place_is_dropped_and_counted():
    report = OffsetReport()
    found = repair_offsets(example(("written", 11), ("by", 16), ("", 2)), report)
    assert found.answers == (SpanAnswer("by", 16),)
    assert (report.num_moved, report.num_dropped, report.num_lost) == (0, 2, 0)
    assert "'written' at 11, where 'tten by' stands: dropped" in report.summary()


def test_an_answer_that_may_stand_at_two_places_is_dropped():
    report = OffsetReport()
    found = repair_offsets(QuestionExample("?", "abab", (SpanAnswer("ab", 1),)), report)
    assert found is None
    assert (report.num_dropped, report.num_lost) == (1, 1)


def test_questions_without_answers_stay():
    report = OffsetReport()
    assert repair_offsets(example(), report) == example()
    impossible = example(is_impossible=True)
    assert repair_offsets(impossible, report) == impossible
    assert (report.num_questions, report.num_impossible, report.num_lost) == (2, 1, 0)


def test_the_answer_of_most_people_is_the_answer():
    assert example(("was", 4), ("by", 16), ("by", 16)).answer == SpanAnswer("by", 16)
    assert example(("was", 4), ("by", 16)).answer == SpanAnswer("was", 4)
    assert example().answer is None


def test_rows_of_both_forms_are_examples():
    row = {"question": "Who?", "context": CONTEXT, "id": 3}
    flat = {**row, "answers": {"text": ["was", "by"], "answer_start": [4, 16]}}
    nested = {**row, "answers": [answer("was", 4), answer("by", 16)]}
    assert QuestionExample.of(flat) == QuestionExample.of(nested)
    assert QuestionExample.of(flat) == example(("was", 4), ("by", 16), id="3")
    assert QuestionExample.of(row) == example(id="3")


def test_empty_lists_say_that_there_is_no_answer_where_nothing_else_does():
    row = {"question": "Who?", "context": CONTEXT}
    nothing = {"text": [], "answer_start": []}
    assert QuestionExample.of({**row, "answers": nothing}).is_impossible
    assert not QuestionExample.of({**row, "answers": nothing, "is_impossible": False}).is_impossible
    # SQuAD's JSON has another way to say so: here nobody has answered.
    assert not QuestionExample.of({**row, "answers": []}).is_impossible
    datasets = pytest.importorskip("datasets", reason="no datasets here")
    some = {"text": ["was"], "answer_start": [4]}
    columns = {"question": ["?", "??"], "context": [CONTEXT] * 2, "answers": [some, nothing]}
    found = [QuestionExample.of(each) for each in datasets.Dataset.from_dict(columns)]
    assert [(each.texts, each.is_impossible) for each in found] == [(["was"], False), ([], True)]


def test_a_question_that_does_not_fit_is_told_by_its_place_or_skipped(tmp_path):
    good = {"id": "1", "question": "?", "answers": [answer("was", 4)]}
    bad = {"id": "2", "question": None, "answers": []}
    odd = {"id": "3", "question": "?", "answers": [answer(None, 0)]}
    path = write(tmp_path / "a.json", squad(good, bad, good, odd))
    with pytest.raises(
        ValueError, match=r"a.json, question 2: An example must have a string in 'question'. Rec"
    ):
        list(SquadFiles([write(tmp_path / "b.json", squad(good)), path]))
    skipped = BadLineReport()
    files = SquadFiles(path, on_bad="skip", skipped=skipped)
    for _ in range(2):
        assert [each.id for each in files] == ["1", "1"]
        assert skipped.total == 2
    assert [bad.line_number for bad in skipped.examples] == [2, 4]
    assert "question 4: `answers` must be dicts with a string 'text'" in skipped.summary()
    with pytest.raises(ValueError, match="`on_bad` must be one of raise, skip. Received: 'drop'"):
        SquadFiles(path, on_bad="drop")


def test_what_is_not_squad_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="`paths` must be files that exist. Received: .*no"):
        SquadFiles(tmp_path / "no.json")
    for content in ([1], {"data": [{"title": "t"}]}, {"version": 1}):
        with pytest.raises(ValueError, match=r"must be JSON in SQuAD's format: data, paragraphs"):
            list(SquadFiles(write(tmp_path / "a.json", content)))
    cut = tmp_path / "b.json.gz"
    cut.write_bytes(gzip.compress(b"{" * 900)[:20])
    with pytest.raises(ValueError, match="b.json.gz must be a whole gzip file"):
        list(SquadFiles(cut))
    with pytest.raises(ValueError, match="must have a string in 'context'. Received: {'question'"):
        QuestionExample.of({"question": "?"})
    for answers in (["c"], {"text": ["c"]}, {"text": ["c"], "answer_start": []}, [answer(3, 0)]):
        with pytest.raises(ValueError, match="`answers` must be dicts with a string 'text' and a"):
            QuestionExample.of({"question": "?", "context": "c", "answers": answers})


@pytest.mark.parametrize(
    "name, questions, impossible, moved",
    [
        ("squad/train_part", 11877, 0, 0),
        ("squad/dev", 5696, 0, 0),
        ("squad_v2/dev", 5690, 2916, 0),
        ("squadshifts/new_wiki", 7938, 0, 0),
        ("squadshifts/reddit", 9803, 0, 0),
        ("squadshifts/amazon", 9885, 0, 0),
        ("cmrc2018/train", 10142, 0, 21),
        ("cmrc2018/trial", 1002, 0, None),
    ],
)
def test_public_files_give_every_question_with_answers_in_their_places(
    shared_data, name, questions, impossible, moved
):
    path = shared_data / f"{name}.json.gz"
    if not path.is_file():
        pytest.skip(f"no file {path}")
    files = SquadFiles(path)
    examples = list(files)
    report = files.report
    assert (len(examples), report.num_impossible) == (questions, impossible)
    assert (report.num_dropped, report.num_lost) == (0, 0)
    assert moved is None or report.num_moved == moved
    assert all(
        found.text == each.context[found.start : found.end]
        for each in examples
        for found in each.answers
    )
    assert sum(not each.answers for each in examples) == impossible


def test_scoring_reads_every_answer_wherever_it_stands(tmp_path):
    answers = [{"text": "nowhere", "answer_start": 0}, {"text": CONTEXT[:3], "answer_start": 40}]
    path = write(tmp_path / "dev.json", squad({"id": "1", "question": "?", "answers": answers}))
    reader = SquadFiles(path)
    assert [each.texts for each in reader.as_given()] == [["nowhere", CONTEXT[:3]]]
    assert list(reader) == [] and reader.report.num_lost == 1
