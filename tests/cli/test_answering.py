import json

import pytest

from tflm.cli.answering import chunks, one_line


def test_texts_are_answered_line_by_line(tflm, saved_task, exported, trained_task):
    texts = ["two three", "", "ten"]
    expected = "".join(f"{answer}\n" for answer in trained_task(texts))
    done = tflm("predict", saved_task, *texts)
    assert (done.code, done.out, done.err) == (0, expected, "")
    for start in (b"", b"\xef\xbb\xbf"):  # the latter as Windows programs write it
        assert tflm("predict", exported, stdin=start + b"two three\r\n\nten").out == expected


def test_json_lines_say_all_about_an_answer(tflm, exported, trained_task):
    stdin = "one\u2028two\none \n".encode() + b"two \xff three\n" + b"five " * 30
    done = tflm("predict", exported, "--json", stdin=stdin)
    answers = [json.loads(line) for line in done.out.split("\n")[:-1]]
    texts = ["one\u2028two", "one ", "two \ufffd three", "five " * 30]
    found = trained_task.n_best(texts)
    assert [answer["text"] for answer in answers] == [texts[0] for texts in found["text"]]
    assert [answer["truncated"] for answer in answers] == found["truncated"]
    assert answers[3]["truncated"] is True
    assert all(answer["score"] < 0 for answer in answers)


def test_a_model_that_does_not_exist_is_named(refused, tmp_path):
    assert f"Received: {tmp_path}/gone" in refused("predict", tmp_path / "gone", "text")


def test_an_answer_is_one_line():
    assert one_line("a\nb\u2028c\r\nd") == "a b c d"
    assert one_line("") == ""


def test_lines_are_answered_in_chunks():
    assert list(chunks(iter("abcdefg"), 3)) == [["a", "b", "c"], ["d", "e", "f"], ["g"]]
    assert list(chunks([], 3)) == []


def test_lines_before_a_bad_one_are_answered():
    def lines():
        yield from "abcd"
        raise ValueError("line 5")

    found = chunks(lines(), 3)
    assert [next(found), next(found)] == [["a", "b", "c"], ["d"]]
    with pytest.raises(ValueError, match="line 5"):
        next(found)
