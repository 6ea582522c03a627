import json

import hypothesis
import hypothesis.strategies as st
import pytest
import tensorflow as tf
import tokenizers
from tokenizers import models, normalizers

from tflm.tokenizers import BytePairTokenizer, SpecialToken
from tflm.tokenizers.byte_pair import read_vocabulary
from tflm.tokenizers.splitting import RULES, pre_tokenizer


def decoded(strings):
    return [text.decode() for text in strings.numpy()]


@pytest.fixture(scope="module")
def files(byte_pair_files):
    return read_vocabulary(byte_pair_files)


@pytest.fixture(scope="module")
def library(byte_pair_files):
    tokenizer = tokenizers.Tokenizer.from_file(str(byte_pair_files / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return tokenizer


def ids_of(library, texts):
    return [encoding.ids for encoding in library.encode_batch(texts, add_special_tokens=False)]


def test_ids_are_the_librarys_on_real_and_hard_lines(byte_pair, library, real_lines, hard_lines):
    texts = real_lines + hard_lines
    assert len(texts) > 2500
    assert byte_pair.tokenize(texts).to_list() == ids_of(library, texts)


@pytest.mark.parametrize("rule", ["gpt2_digits", "llama3", "qwen2"])
@pytest.mark.parametrize("whole_words", [False, True])
def test_ids_are_the_librarys_under_every_rule(files, rule, whole_words, real_lines, hard_lines):
    texts = real_lines[::9] + hard_lines
    library = tokenizers.Tokenizer(models.BPE(*files, ignore_merges=whole_words))
    library.pre_tokenizer = pre_tokenizer(rule)
    library.normalizer = normalizers.NFC()
    ours = BytePairTokenizer(*files, rule, normalization="nfc", whole_words=whole_words)
    assert ours.tokenize(texts).to_list() == ids_of(library, texts)


def test_a_word_of_the_vocabulary_may_be_out_of_reach_of_the_merges(files):
    vocabulary = {**files[0], "qzxq": 6000}
    plain = BytePairTokenizer(vocabulary, files[1])
    whole = BytePairTokenizer(vocabulary, files[1], whole_words=True)
    assert plain.tokenize(["qzxq"]).row_lengths().numpy()[0] > 1
    assert whole.tokenize(["qzxq"]).to_list() == [[6000]]


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True, database=None)
@hypothesis.given(texts=st.lists(st.text(), min_size=1, max_size=9))
def test_any_text_has_the_librarys_ids_and_comes_back(byte_pair, library, texts):
    ids = byte_pair.tokenize(texts)
    assert ids.to_list() == ids_of(library, texts)
    assert decoded(byte_pair.detokenize(ids)) == texts


def test_a_space_in_front_is_put_and_taken_away(files, hard_lines):
    library = tokenizers.Tokenizer(models.BPE(*files))
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    ours = BytePairTokenizer(*files, add_prefix_space=True)
    texts = ["Hello world", "\nx", "狐狸", *hard_lines]
    ids = ours.tokenize(texts)
    assert ids.to_list() == ids_of(library, texts)
    assert decoded(ours.detokenize(ids))[:3] == texts[:3]


def test_special_tokens_are_read_only_on_request(byte_pair, library):
    texts = ["a<|endoftext|>b 中<|endoftext|>", "none", ""]
    assert byte_pair.tokenize(texts).to_list() == ids_of(library, texts)
    library.encode_special_tokens = False
    try:
        found = byte_pair.tokenize(texts, special_tokens=True)
        assert found.to_list() == ids_of(library, texts)
    finally:
        library.encode_special_tokens = True
    assert found.to_list()[0].count(byte_pair.eos_id) == 2
    assert decoded(byte_pair.detokenize(found)) == ["ab 中", "none", ""]


def test_roles_have_ids_and_others_none(byte_pair, files):
    assert (byte_pair.bos_id, byte_pair.eos_id, byte_pair.pad_id) == (0, 0, None)
    tokens = [SpecialToken("<pad>", 6003), SpecialToken("<think>", 6001, special=False)]
    ours = BytePairTokenizer(*files, special_tokens=tokens, roles={"pad": "<pad>"})
    assert (ours.vocab_size, ours.pad_id, ours.mask_id) == (6004, 6003, None)
    [ids] = ours.tokenize(["<think>x"]).to_list()
    assert ids[0] == 6001
    assert decoded(ours.detokenize([[6003, *ids, 6002]])) == ["<think>x"]


def test_half_a_character_becomes_a_replacement_character(byte_pair):
    [ids] = byte_pair.tokenize(["龘"]).to_list()
    assert len(ids) > 1
    assert decoded(byte_pair.detokenize([ids[:-1], ids, [], [-5, 99999]])) == [
        "\ufffd",
        "龘",
        "",
        "",
    ]
    assert decoded(byte_pair.detokenize(tf.constant([ids], tf.int64))) == ["龘"]


def test_invalid_utf8_is_read_as_replacement_characters(byte_pair):
    ids = byte_pair.tokenize(tf.constant([b"a\xff\xfeb", b"cut \xe4\xb8", b"fine"]))
    assert decoded(byte_pair.detokenize(ids)) == ["a\ufffd\ufffdb", "cut \ufffd", "fine"]


def test_empty_batches_stay_empty(byte_pair):
    assert byte_pair.tokenize([]).shape == [0, None]
    assert byte_pair.tokenize(["", ""]).to_list() == [[], []]
    assert byte_pair.detokenize(byte_pair.tokenize([])).shape == [0]
    assert byte_pair.tokenize("狐狸 a").to_list() == byte_pair.tokenize(["狐狸 a"]).to_list()


def test_a_saved_tokenizer_loads_to_the_same_ids(files, tmp_path, hard_lines):
    tokens = [SpecialToken("<mask>", 6000, takes_left=True)]
    ours = BytePairTokenizer(
        *files, "llama3", tokens, {"mask": "<mask>"}, True, "nfc", whole_words=True
    )
    ours.save(tmp_path / "new")
    loaded = BytePairTokenizer.load(tmp_path / "new")
    texts = hard_lines + ["a <mask> b"]
    for special in (False, True):
        expected = ours.tokenize(texts, special_tokens=special).to_list()
        assert loaded.tokenize(texts, special_tokens=special).to_list() == expected
    assert loaded.mask_id == 6000
    names = ["byte_pair.json", "merges.txt", "vocab.json"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == names


def test_training_learns_and_is_repeatable(real_lines):
    lines = real_lines[::20]
    ours = BytePairTokenizer.train(iter(lines), 700, split="qwen2")
    assert ours.vocab_size == 700
    assert (ours.pad_id, ours.bos_id, ours.eos_id, ours.unk_id) == (0, 1, 2, None)
    ids = ours.tokenize(lines)
    assert ids.flat_values.shape[0] < 0.7 * sum(len(line.encode()) for line in lines)
    assert decoded(ours.detokenize(ids)) == lines
    again = BytePairTokenizer.train(lines, 700, split="qwen2")
    assert again.tokenize(lines).to_list() == ids.to_list()


def test_too_small_a_vocabulary_is_refused():
    with pytest.raises(ValueError, match="`vocab_size` must be at least 259.*vocab_size=258"):
        BytePairTokenizer.train(["a"], 258)


def test_a_single_string_is_not_a_corpus():
    with pytest.raises(TypeError, match="`texts` must be an iterable of lines. Received: str 'two"):
        BytePairTokenizer.train("two dogs", 300)


def test_training_under_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="`split` must be one of .* Received: 'words'"):
        BytePairTokenizer.train(["a"], 300, split="words")


def test_an_unknown_normalization_is_refused(files):
    with pytest.raises(ValueError, match="`normalization` must be one of none, nfc. .*'nfkc'"):
        BytePairTokenizer(*files, normalization="nfkc")


def test_a_vocabulary_without_a_byte_is_refused(files):
    vocabulary = {token: number for token, number in files[0].items() if token != "Ġ"}
    with pytest.raises(
        ValueError, match="`vocabulary` must hold each of the 256 bytes.* byte 0x20"
    ):
        BytePairTokenizer(vocabulary, [])


def test_a_merge_of_unknown_tokens_is_refused(files):
    with pytest.raises(ValueError, match="`vocabulary` must hold .* merge 'Q' 'ZX' without 'ZX'"):
        BytePairTokenizer(files[0], [("Q", "ZX")])


def test_loading_from_a_wrong_folder_says_what_is_there(byte_pair_files):
    with pytest.raises(FileNotFoundError, match="lacks byte_pair.json and holds merges.txt"):
        BytePairTokenizer.load(byte_pair_files)


def test_every_rule_is_tried_above():
    assert set(RULES) == {"gpt2", "gpt2_digits", "llama3", "qwen2"}


def test_published_files_are_read_with_and_without_a_version_line(files, tmp_path):
    merges = "".join(f"{left} {right}\n" for left, right in files[1])
    (tmp_path / "vocab.json").write_text(json.dumps(files[0]))
    (tmp_path / "merges.txt").write_text(merges, encoding="utf-8")
    assert read_vocabulary(tmp_path) == files
