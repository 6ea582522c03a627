import pickle

import pytest

from tflm.eval.metrics.lengths import EmptyShare, LengthRatio, Output, TruncatedShare


def test_the_length_ratio_is_one_of_sums():
    score = LengthRatio().score(["a b c d", "他去北京"], ["a b", ["他去", "他们去北京了"]])
    assert score.value == pytest.approx(8 / (2 + 4))
    assert score.components == {"mean_output_length": 4, "mean_reference_length": 3}
    assert score.higher_is_better is None
    assert score.signature == "refs:mean|level:corpus|tok:unicode"


def test_the_length_ratio_of_empty_text_is_zero():
    assert LengthRatio().score([""], ["ein Hund"]).value == 0
    assert LengthRatio().score(["ein Hund"], ["。"]).value == 0


def test_empty_outputs_are_those_of_white_space():
    score = EmptyShare().score(["", " \n\u3000", "。", "好"])
    assert score.value == 0.5
    assert (score.name, score.higher_is_better) == ("empty", False)


def test_an_output_is_a_string_that_knows_whether_it_was_cut():
    output = Output("ein Hund läuft im", truncated=True)
    assert output == "ein Hund läuft im"
    assert isinstance(output, str)
    copy = pickle.loads(pickle.dumps(output))
    assert (copy, copy.truncated) == (output, True)


def test_truncated_outputs_are_counted():
    texts = [Output("a", truncated=True), Output("b", truncated=False), Output("", truncated=False)]
    assert TruncatedShare().score(texts).value == pytest.approx(1 / 3)


def test_text_that_does_not_say_whether_it_was_cut_is_refused():
    with pytest.raises(ValueError, match="must say whether they were cut.* Received: 'b' of type"):
        TruncatedShare().score([Output("a", truncated=True), "b"])
