import io

import pytest
from rich.console import Console

from tflm.tasks import answering
from tflm.tasks.answering import answer_all, answer_text, model_name, source_text


def shout(texts):
    """Answers a text in capitals; one of more than five characters was cut."""
    return [{"text": text.upper(), "truncated": len(text) > 5} for text in texts]


def test_answers_come_in_the_order_of_the_texts_and_know_whether_they_were_cut():
    calls = []

    def predict(texts):
        calls.append(texts)
        return shout(texts)

    texts = [f"{'x' * (n % 7)}{n}" for n in range(600)]
    found = answer_all(predict, texts)
    assert found == [text.upper() for text in texts]
    assert [output.truncated for output in found] == [len(text) > 5 for text in texts]
    assert [len(call) for call in calls] == [256, 256, 88]
    lengths = [len(text) for call in calls for text in call]
    assert lengths == sorted(lengths)


@pytest.mark.parametrize("name", ["label", "answer"])
def test_other_tasks_call_their_answer_otherwise(name):
    assert answer_all(lambda texts: [{name: "正面", "score": 0.5}], ["很好"]) == ["正面"]
    with pytest.raises(ValueError, match="one of text, label, answer. Received: ids, score"):
        answer_all(lambda texts: [{"ids": [3], "score": 0.5}], ["很好"])


def test_labels_know_their_probabilities_where_the_order_is_known():
    def predict(texts):
        return [{"label": "正面", "score": 0.75, "probabilities": [0.25, 0.75], "truncated": True}]

    (found,) = answer_all(predict, ["很好"], labels=["负面", "正面"])
    assert found == "正面"
    assert found.probabilities == {"负面": 0.25, "正面": 0.75}
    for labels in ((), ("一", "二", "三")):
        (plain,) = answer_all(predict, ["很好"], labels=labels)
        assert plain == "正面" and plain.truncated


def test_questions_are_pairs_and_their_answers_know_the_probability_of_none():
    def predict(pairs):
        return [
            {"answer": context[:3], "no_answer_probability": len(question) / 8, "truncated": False}
            for question, context in pairs
        ]

    pairs = [("who?", "Ann ran"), ("谁？", "安跑了很远")]
    found = answer_all(predict, pairs)
    assert found == ["Ann", "安跑了"]
    assert [answer.no_answer_probability for answer in found] == [0.5, 0.25]
    assert source_text(pairs[1]) == "谁？\n安跑了很远"


def test_several_labels_are_a_list_and_printed_with_commas():
    found = {"label": "体育", "labels": ["体育", "政治", ""], "probabilities": [0.9, 0.1, 0.7]}
    none = {"label": "", "labels": ["", "", ""], "probabilities": [0.1, 0.1, 0.1]}
    answers = answer_all(lambda texts: [found, none], ["a", "bc"], labels=["体育", "科技", "政治"])
    assert answers == [["体育", "政治"], []]
    assert (answer_text(found), answer_text(none)) == ("体育, 政治", "")


def test_an_answer_s_text_is_what_was_asked_for():
    assert answer_text({"score": 0.5, "answer": "北京", "start": 3}) == "北京"
    assert answer_text({"text": "a", "score": 0.5}) == "a"
    with pytest.raises(ValueError, match="one of text, label, answer. Received: score"):
        answer_text({"score": 0.5})


def test_a_version_is_called_by_its_model_s_name_too():
    assert model_name("runs/en-de/") == "en-de"
    assert model_name("saved_models/translator/12") == "translator/12"
    assert model_name("grpc://host:8500/m/versions/3") == "grpc://host:8500/m/versions/3"


def test_long_work_says_how_far_it_is(monkeypatch):
    monkeypatch.setattr(answering, "_SECONDS_BETWEEN_LINES", -1.0)
    lines = Console(file=io.StringIO(), force_terminal=False)
    answer_all(shout, ["text"] * 600, lines)
    assert lines.file.getvalue() == "256 of 600 texts answered\n512 of 600 texts answered\n"
    bar = Console(file=io.StringIO(), force_terminal=True, width=80)
    answer_all(shout, ["text"] * 600, bar)
    assert "answering" in bar.file.getvalue()
