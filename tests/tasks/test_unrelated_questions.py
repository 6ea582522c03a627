import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflm.data import QuestionExample, SpanAnswer
from tflm.tasks.unrelated_questions import with_unrelated


def asked(question, context, *answers, impossible=False):
    spans = tuple(SpanAnswer(text, context.index(text)) for text in answers)
    return QuestionExample(question, context, spans, question, impossible)


FIRST = asked("谁写了红楼梦？", "红楼梦是曹雪芹写的。", "曹雪芹")
SECOND = asked("李白是哪里人？", "李白生于碎叶。", "碎叶")
THIRD = asked("Who wrote Hamlet?", "Hamlet is Shakespeare's.", "Shakespeare")
FOURTH = asked("Whose is Macbeth?", "Macbeth is by SHAKESPEARE too.", "SHAKESPEARE")


def test_a_question_is_asked_again_of_the_next_text():
    found = with_unrelated([FIRST, SECOND], 1.0)
    assert [each.question for each in found] == [FIRST.question] * 2 + [SECOND.question] * 2
    assert [found[0], found[2]] == [FIRST, SECOND]
    # The last text has none after it.
    assert [found[1].context, found[3].context] == [SECOND.context, FIRST.context]
    for each in (found[1], found[3]):
        assert (each.answers, each.texts, each.is_impossible) == ((), [], True)


def test_the_next_text_goes_before_the_one_before():
    found = with_unrelated([FIRST, SECOND, THIRD], 1.0)
    assert [each.context for each in found if each.question == SECOND.question] == [
        SECOND.context,
        THIRD.context,
    ]


def test_a_text_that_holds_the_answer_is_passed_over():
    found = with_unrelated([SECOND, THIRD, FOURTH], 1.0)
    asked_of = {(each.question, each.context) for each in found if each.is_impossible}
    assert (THIRD.question, SECOND.context) in asked_of
    assert (THIRD.question, FOURTH.context) not in asked_of
    # Its only neighbour holds the answer.
    assert FOURTH.question not in {question for question, _ in asked_of}
    assert len(found) == 5


def test_questions_that_have_no_answer_are_not_asked_again():
    nobody = asked("谁住在月亮上？", "月亮上没有人。", impossible=True)
    found = with_unrelated([nobody, FIRST], 1.0)
    assert found.count(nobody) == 1
    assert [each.question for each in found].count(nobody.question) == 1
    assert len(found) == 3


def test_one_text_has_no_neighbour():
    assert with_unrelated([FIRST], 1.0) == [FIRST]
    assert with_unrelated([], 0.5) == []


@given(st.floats(0.0, 1.0), st.integers(0, 5))
def test_the_examples_stay_as_they_are_and_the_share_is_about_what_it_is(share, seed):
    examples = [asked(f"问{n}？", f"第{n}号在甲{n}乙。", f"甲{n}乙") for n in range(200)]
    found = with_unrelated(examples, share, seed)
    assert [each for each in found if not each.is_impossible] == examples
    assert found == with_unrelated(examples, share, seed)
    if 0.25 < share < 0.75:
        assert found != with_unrelated(examples, share, seed + 1)
    more = len(found) - len(examples)
    assert abs(more - 200 * share) <= 40  # over five standard deviations


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_is_from_0_to_1(share):
    with pytest.raises(ValueError, match=f"`share` must be from 0 to 1. Received: share={share}"):
        with_unrelated([FIRST], share)
