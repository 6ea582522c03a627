import json
import shutil

import pytest
import tokenizers
from tokenizers import AddedToken, models, normalizers, pre_tokenizers

from tflm.tokenizers import (
    BytePairTokenizer,
    MarianTokenizer,
    SentencePieceTokenizer,
    WordPieceTokenizer,
    from_huggingface,
)
from tflm.tokenizers.byte_pair import read_vocabulary
from tflm.tokenizers.splitting import RULES, pre_tokenizer


def ids_of(library, texts):
    library.encode_special_tokens = True
    return [encoding.ids for encoding in library.encode_batch(texts, add_special_tokens=False)]


def write(folder, library=None, **files):
    folder.mkdir(exist_ok=True)
    if library is not None:
        library.save(str(folder / "tokenizer.json"))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture
def byte_level(byte_pair_files):
    vocabulary, merges = read_vocabulary(byte_pair_files)
    return tokenizers.Tokenizer(models.BPE(vocabulary, merges))


@pytest.mark.parametrize("rule", RULES)
def test_a_byte_level_tokenizer_json_is_opened(byte_level, rule, tmp_path, hard_lines):
    byte_level.pre_tokenizer = pre_tokenizer(rule)
    byte_level.normalizer = normalizers.NFC()
    byte_level.add_special_tokens(["<|im_start|>", AddedToken("<mask>", lstrip=True)])
    byte_level.add_tokens([AddedToken("<think>", normalized=False)])
    config = {"eos_token": "<|im_start|>", "mask_token": {"content": "<mask>"}, "bos_token": None}
    ours = from_huggingface(write(tmp_path, byte_level, tokenizer_config=config))
    assert isinstance(ours, BytePairTokenizer)
    texts = [*hard_lines, "<think>a <mask> b<|im_start|>"]
    assert ours.tokenize(texts).to_list() == ids_of(byte_level, texts)
    byte_level.encode_special_tokens = False
    expected = [e.ids for e in byte_level.encode_batch(texts, add_special_tokens=False)]
    assert ours.tokenize(texts, special_tokens=True).to_list() == expected
    assert ours.eos_id == byte_level.token_to_id("<|im_start|>")
    assert ours.mask_id == byte_level.token_to_id("<mask>")
    assert (ours.bos_id, ours.vocab_size) == (None, byte_level.get_vocab_size())


def test_other_spellings_of_a_rule_are_known(byte_level, tmp_path, hard_lines):
    expression = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    byte_level.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(expression), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    ours = from_huggingface(write(tmp_path, byte_level))
    assert ours.tokenize(hard_lines).to_list() == ids_of(byte_level, hard_lines)


def test_whole_words_and_a_space_in_front_are_read(byte_pair_files, tmp_path, hard_lines):
    files = read_vocabulary(byte_pair_files)
    library = tokenizers.Tokenizer(models.BPE(*files, ignore_merges=True))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    ours = from_huggingface(write(tmp_path, library))
    assert ours.tokenize(hard_lines).to_list() == ids_of(library, hard_lines)


@pytest.mark.parametrize(
    "config, rule, prefix",
    [
        ({}, "gpt2", False),
        ({"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True}, "gpt2", True),
        ({"tokenizer_class": "Qwen2Tokenizer"}, "qwen2", False),
    ],
)
def test_vocabulary_and_merges_are_opened_without_a_tokenizer_json(
    byte_pair_files, byte_level, config, rule, prefix, tmp_path, hard_lines
):
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(byte_pair_files / name, tmp_path)
    added = {"6001": {"content": "<|im_end|>", "special": True}}
    config = {**config, "added_tokens_decoder": added, "eos_token": "<|im_end|>"}
    write(tmp_path, tokenizer_config=config, added_tokens={"<extra>": 6005, "<|im_end|>": 6001})
    byte_level.pre_tokenizer = pre_tokenizer(rule)
    if prefix:
        byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    if rule == "qwen2":
        byte_level.normalizer = normalizers.NFC()
    ours = from_huggingface(tmp_path)
    assert ours.tokenize(hard_lines).to_list() == ids_of(byte_level, hard_lines)
    assert (ours.eos_id, ours.vocab_size) == (6001, 6006)
    assert ours.tokenize(["<extra>"], special_tokens=True).to_list() == [[6005]]


def test_usual_roles_are_known_where_no_file_says_them(byte_pair):
    assert (byte_pair.bos_id, byte_pair.eos_id, byte_pair.unk_id) == (0, 0, 0)


@pytest.mark.parametrize("lowercase", [True, False])
def test_wordpiece_is_opened_from_either_file(wordpiece_files, tmp_path, lowercase, hard_lines):
    library = tokenizers.BertWordPieceTokenizer(
        str(wordpiece_files / "vocab.txt"), lowercase=lowercase
    )._tokenizer
    one = from_huggingface(write(tmp_path / "json", library))
    two = write(tmp_path / "txt", tokenizer_config={"do_lower_case": lowercase})
    shutil.copy(wordpiece_files / "vocab.txt", two)
    for ours in (one, from_huggingface(two)):
        assert isinstance(ours, WordPieceTokenizer)
        assert ours.tokenize(hard_lines).to_list() == ids_of(library, hard_lines)
        assert (ours.pad_id, ours.cls_id, ours.mask_id) == (0, 2, 4)


def test_a_sentencepiece_model_is_opened_and_preferred_if_its_ids_are_the_same(
    real_lines, hard_lines, tmp_path
):
    trained = SentencePieceTokenizer.train(
        real_lines[:300], 700, "unigram", character_coverage=0.98
    )
    (tmp_path / "spiece.model").write_bytes(trained.model)
    ours = from_huggingface(tmp_path)
    assert isinstance(ours, SentencePieceTokenizer)
    assert ours.model == trained.model
    scores = [(piece, -float(n)) for n, piece in enumerate(["<unk>", "\u2581a", "\u2581", "b"])]
    library = tokenizers.Tokenizer(models.Unigram(scores, 0))
    library.pre_tokenizer = pre_tokenizers.Metaspace()
    other = from_huggingface(write(tmp_path, library))
    assert other.tokenize(["a b"]).to_list() == ids_of(library, ["a b"]) == [[1, 2, 3]]


def test_marian_is_opened(marian, tmp_path, hard_lines):
    marian.save(tmp_path)
    ours = from_huggingface(tmp_path)
    assert isinstance(ours, MarianTokenizer)
    assert ours.tokenize(hard_lines).to_list() == marian.tokenize(hard_lines).to_list()


def changed(library, folder, **changes):
    spec = json.loads(library.to_str())
    spec["model"] |= changes.pop("model", {})
    return write(folder, tokenizer={**spec, **changes})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model": {"type": "WordLevel"}}, "must be one of: byte-level BPE.* a WordLevel model"),
        ({"model": {"end_of_word_suffix": "</w>"}}, "a BPE model with end_of_word_suffix='</w>'"),
        ({"normalizer": {"type": "Lowercase"}}, "the normalizer Lowercase"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, 'the pre-tokenizer {"type": "Whitespace"}'),
        ({"pre_tokenizer": None}, "the pre-tokenizer null"),
    ],
)
def test_other_byte_level_tokenizers_are_refused(byte_level, tmp_path, changes, message):
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    with pytest.raises(ValueError, match=message):
        from_huggingface(changed(byte_level, tmp_path, **changes))


def test_an_unknown_expression_is_refused_with_the_known_ones(byte_level, tmp_path):
    byte_level.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(r"\w+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    with pytest.raises(ValueError, match=r"the expression '\\\\w\+'; it knows .*\\p{L}"):
        from_huggingface(write(tmp_path, byte_level))


def test_an_added_token_of_another_kind_is_refused(byte_level, tmp_path):
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.add_tokens([AddedToken("word", single_word=True)])
    with pytest.raises(ValueError, match="the added token 'word' with single_word"):
        from_huggingface(write(tmp_path, byte_level))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"normalizer": None}, "a WordPiece model behind None and BertPreTokenizer"),
        ({"model": {"max_input_chars_per_word": 50}}, "prefix '##' and words of 50"),
    ],
)
def test_other_wordpiece_tokenizers_are_refused(wordpiece_files, tmp_path, changes, message):
    library = tokenizers.BertWordPieceTokenizer(str(wordpiece_files / "vocab.txt"))._tokenizer
    with pytest.raises(ValueError, match=message):
        from_huggingface(changed(library, tmp_path, **changes))


def test_a_folder_without_tokenizer_files_is_refused(tmp_path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(FileNotFoundError, match="WordPiece .* which holds model.safetensors"):
        from_huggingface(tmp_path)
