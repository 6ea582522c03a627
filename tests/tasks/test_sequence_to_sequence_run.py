import pytest

from tflm.tasks.sequence_to_sequence_run import SequenceToSequenceRun, _lines, save_tokenizer
from tflm.tokenizers import SentencePieceTokenizer


def test_a_run_says_what_it_is_scored_by():
    with pytest.raises(TypeError, match="abstract methods?.* answer_language, metrics"):
        SequenceToSequenceRun()


def test_vocabularies_are_learned_line_by_line():
    pairs = [("one\ntwo", "eins"), ("三", "drei\nvier")]
    assert list(_lines(pairs, (0, 1))) == ["one", "two", "eins", "三", "drei", "vier"]
    assert list(_lines(pairs, (1,))) == ["eins", "drei", "vier"]


def test_a_tokenizer_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    tokenizer = SentencePieceTokenizer.train(["one two three"] * 3, 280)
    save_tokenizer(tokenizer, tmp_path / "joint")
    assert SentencePieceTokenizer.load(tmp_path / "joint").model == tokenizer.model

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_tokenizer(tokenizer, tmp_path / "other")
    assert not list((tmp_path / "other").glob("*.model"))
