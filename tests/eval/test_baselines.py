import pytest

from tflm.eval.baselines import baselines_for, lead, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("He left. “Why?” she asked!", ["He left.", "“Why?”", "she asked!"]),
        (
            "他走了。为什么？“真的！”他说。",
            ["他走了。", "为什么？", "“真的！”", "他说。"],
        ),
        ("OK?好的", ["OK?", "好的"]),
        ("It costs 3.50 at example.org now", ["It costs 3.50 at example.org now"]),
        ("one line\n\nanother", ["one line", "another"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_at_the_marks_of_their_script(text, sentences):
    assert split_sentences(text) == sentences


def test_lead_takes_the_first_sentences_and_joins_them_as_their_script_does():
    texts = ["One. Two! Three.", "今天好。明天也好！后天。", ""]
    assert lead(2).predict(texts, []) == ["One. Two!", "今天好。明天也好！", ""]
    assert (lead(3).name, lead(3).label) == ("lead_3", "LEAD-3: the first 3 sentences")
    with pytest.raises(ValueError, match="`num_sentences` must be positive. Received: num_.*=0"):
        lead(0)


def answers(task, sources, references=()):
    return {found.name: found.predict(sources, references) for found in baselines_for(task)}


def test_each_task_has_its_trivial_systems():
    article = "短。这一句比较长一点。完。"
    assert answers("translation", ["Guten Tag"]) == {"copy_source": ["Guten Tag"]}
    assert answers("summarization", [article, ""]) == {
        "lead_1": ["短。", ""],
        "lead_3": [article, ""],
        "longest_sentence": ["这一句比较长一点。", ""],
    }
    question = "Where was the very long question asked in?\nHere. In the old town."
    assert answers("question_answering", [question, "No. Not here."]) == {
        "longest_sentence": ["In the old town.", "Not here."]
    }


def test_the_majority_class_is_the_most_frequent_one_and_needs_no_sources():
    (majority,) = baselines_for("classification")
    assert not majority.reads_sources
    assert majority.predict([], [("正面",), ("负面",), ("正面",)]) == ["正面"] * 3
    assert majority.predict([], [("b",), ("a",)]) == ["a", "a"]


def test_a_task_without_baselines_lists_those_with_some():
    with pytest.raises(ValueError, match="`task` must be one of classification, .*task='chess'"):
        baselines_for("chess")
