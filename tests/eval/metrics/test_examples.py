import pytest

from tflm.eval.metrics.examples import check_pairs, check_references, check_texts


def test_one_string_per_example_becomes_one_reference_each():
    assert check_references(["a", ""]) == [("a",), ("",)]


def test_numbers_of_references_may_differ():
    assert check_references([["a", "b"], ("c",), "d"]) == [("a", "b"), ("c",), ("d",)]


def test_empty_hypothesis_strings_are_examples():
    assert check_pairs(["", "b"], ["a", "b"]) == (["", "b"], [("a",), ("b",)])


def test_any_iterable_of_strings_is_taken():
    assert check_texts("sources", (text for text in "ab")) == ["a", "b"]


@pytest.mark.parametrize("texts", ["one text", b"bytes", 3])
def test_something_else_than_a_list_is_refused(texts):
    with pytest.raises(
        TypeError, match="`hypotheses` must be a list of strings. Received: .* of type"
    ):
        check_texts("hypotheses", texts)


def test_a_string_is_not_a_list_of_references():
    with pytest.raises(TypeError, match="`references` must be a list of strings. Received: 'a'"):
        check_references("a")


def test_an_entry_that_is_no_string_is_named():
    with pytest.raises(TypeError, match=r"Received: hypotheses\[1\]=b'b' of type bytes"):
        check_texts("hypotheses", ["a", b"b"])
    with pytest.raises(TypeError, match=r"references\[1\]\[0\]=None of type NoneType"):
        check_references([["a"], [None]])


def test_no_examples_are_refused():
    with pytest.raises(ValueError, match="`hypotheses` must hold at least one string. Received"):
        check_pairs([], [])
    with pytest.raises(ValueError, match="`references` must hold at least one string. Received"):
        check_pairs(["a"], [])


def test_an_example_without_reference_is_named():
    with pytest.raises(ValueError, match=r"`references\[1\]` must hold at least one string"):
        check_references([["a"], []])


def test_different_numbers_of_examples_are_refused():
    with pytest.raises(ValueError, match="Received: 3 hypotheses, 2 references"):
        check_pairs(["a", "b", "c"], ["a", "b"])


def test_references_by_stream_as_sacrebleu_takes_them_are_refused():
    streams = [["a", "b", "c"]]
    with pytest.raises(ValueError, match="one entry, a string or a list of strings, for each of"):
        check_pairs(["a", "b", "c"], streams)
