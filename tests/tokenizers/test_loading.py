import pytest

from tflm.tokenizers import SentencePieceTokenizer, load


def test_every_kind_is_known_by_its_files(
    wordpiece, byte_pair, marian, real_lines, hard_lines, tmp_path
):
    pieces = SentencePieceTokenizer.train(real_lines[:300], 700, character_coverage=0.98)
    for number, tokenizer in enumerate((pieces, wordpiece, byte_pair, marian)):
        tokenizer.save(tmp_path / str(number))
        loaded = load(tmp_path / str(number))
        assert type(loaded) is type(tokenizer)
        assert loaded.tokenize(hard_lines).to_list() == tokenizer.tokenize(hard_lines).to_list()
        assert loaded.vocab_size == tokenizer.vocab_size


def test_a_folder_without_a_tokenizer_is_refused(wordpiece_files, tmp_path):
    with pytest.raises(
        FileNotFoundError, match="must hold one of sentencepiece.model, wordpiece.j"
    ):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="vocab.txt; `tflm.tokenizers.from_huggingface`"):
        load(wordpiece_files)
