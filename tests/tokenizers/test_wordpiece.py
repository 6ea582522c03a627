import hypothesis
import hypothesis.strategies as st
import pytest
import tensorflow as tf
from tokenizers import BertWordPieceTokenizer

from tflm.tokenizers import SpecialToken, WordPieceTokenizer
from tflm.tokenizers.wordpiece import read_pieces


def decoded(strings):
    return [text.decode() for text in strings.numpy()]


def library_of(folder, **settings):
    library = BertWordPieceTokenizer(str(folder / "vocab.txt"), **settings)
    library._tokenizer.encode_special_tokens = True
    return library._tokenizer


def ids_of(library, texts):
    return [encoding.ids for encoding in library.encode_batch(texts, add_special_tokens=False)]


@pytest.fixture(scope="module")
def library(wordpiece_files):
    return library_of(wordpiece_files)


@pytest.fixture(scope="module")
def pieces(wordpiece_files):
    return read_pieces(wordpiece_files)


@pytest.mark.parametrize("lowercase, strip_accents", [(True, None), (False, None), (True, False)])
def test_ids_are_the_librarys_on_real_and_hard_lines(
    wordpiece_files, pieces, lowercase, strip_accents, real_lines, hard_lines
):
    texts = real_lines + hard_lines
    settings = {"lowercase": lowercase, "strip_accents": strip_accents}
    expected = ids_of(library_of(wordpiece_files, **settings), texts)
    ours = WordPieceTokenizer(pieces, **settings)
    assert ours.tokenize(texts).to_list() == expected
    assert sum(ids.count(ours.unk_id) for ids in expected) < 0.01 * sum(map(len, expected))


@pytest.mark.parametrize(
    "flags", [(True, True, False, False), (False, True, True, False), (False, False, False, True)]
)
def test_every_setting_is_the_librarys(wordpiece_files, pieces, flags, hard_lines):
    lowercase, strip_accents, han, clean = flags
    library = library_of(
        wordpiece_files,
        lowercase=lowercase,
        strip_accents=strip_accents,
        handle_chinese_chars=han,
        clean_text=clean,
    )
    ours = WordPieceTokenizer(pieces, *flags)
    assert ours.tokenize(hard_lines).to_list() == ids_of(library, hard_lines)


def test_every_code_point_has_the_librarys_ids(wordpiece, library):
    codes = [*range(0xD800), *range(0xE000, 0x32000), *range(0xE0000, 0xE0200), 0xF1234, 0x10FFFF]
    texts = [
        "".join(f"a{chr(c)}b {chr(c)}" for c in codes[start : start + 64])
        for start in range(0, len(codes), 64)
    ]
    assert wordpiece.tokenize(texts).to_list() == ids_of(library, texts)


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True, database=None)
@hypothesis.given(texts=st.lists(st.text(), min_size=1, max_size=9))
def test_any_text_has_the_librarys_ids_and_decoding(wordpiece, library, texts):
    ids = wordpiece.tokenize(texts).to_list()
    assert ids == ids_of(library, texts)
    assert decoded(wordpiece.detokenize(ids)) == [library.decode(row) for row in ids]


def test_decoding_is_the_librarys_on_real_lines(wordpiece, library, real_lines):
    ids = ids_of(library, real_lines[::5])
    assert decoded(wordpiece.detokenize(ids)) == [library.decode(row) for row in ids]


def test_words_come_back_in_small_letters_and_without_accents(wordpiece):
    ids = wordpiece.tokenize(["The café, is it good?", "狐狸。"])
    assert decoded(wordpiece.detokenize(ids)) == ["the cafe, is it good?", "狐 狸 。"]


def test_special_tokens_are_read_only_on_request(wordpiece, library):
    texts = ["a [MASK] b[SEP]", "[CLS]", "中[MASK]文", "[mask]", ""]
    assert wordpiece.tokenize(texts).to_list() == ids_of(library, texts)
    library.encode_special_tokens = False
    try:
        found = wordpiece.tokenize(texts, special_tokens=True).to_list()
        assert found == ids_of(library, texts)
    finally:
        library.encode_special_tokens = True
    assert found[0].count(wordpiece.mask_id) == 1 and found[1] == [wordpiece.cls_id]
    assert decoded(wordpiece.detokenize(found))[:2] == ["a b", ""]


def test_roles_have_ids_and_others_none(wordpiece, pieces):
    names = ("pad", "unk", "cls", "sep", "mask")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert [pieces[getattr(wordpiece, f"{name}_id")] for name in names] == tokens
    assert (wordpiece.bos_id, wordpiece.eos_id) == (None, None)
    assert wordpiece.vocab_size == len(pieces) == len(wordpiece.vocabulary)


def test_tokens_beyond_the_pieces_and_gaps_among_them():
    pieces = ["", "[UNK]", "a", "##b", "a", ""]
    ours = WordPieceTokenizer(
        pieces,
        special_tokens=[SpecialToken("[UNK]", 1), SpecialToken("[E]", 8, special=False)],
        roles={"unk": "[UNK]"},
    )
    assert ours.vocab_size == 9
    assert ours.tokenize(["a ab ba [E]"]).to_list() == [[4, 4, 3, 1, 8]]
    assert decoded(ours.detokenize([[4, 4, 3, 8, 7, -1, 99]])) == ["a ab [E]"]


def test_invalid_utf8_is_read_as_replacement_characters(wordpiece):
    texts = [b"a\xffb", "a\ufffdb".encode()]
    first, second = wordpiece.tokenize(tf.constant(texts)).to_list()
    assert first == second != []


def test_empty_batches_stay_empty(wordpiece):
    assert wordpiece.tokenize([]).shape == [0, None]
    assert wordpiece.tokenize(["", " \x00"]).to_list() == [[], []]
    assert wordpiece.detokenize(wordpiece.tokenize([])).shape == [0]
    assert wordpiece.tokenize("狐狸 a").to_list() == wordpiece.tokenize(["狐狸 a"]).to_list()


def test_a_saved_tokenizer_loads_to_the_same_ids(pieces, tmp_path, hard_lines):
    ours = WordPieceTokenizer(pieces, lowercase=False, split_chinese=False)
    ours.save(tmp_path / "new")
    loaded = WordPieceTokenizer.load(tmp_path / "new")
    assert loaded.tokenize(hard_lines).to_list() == ours.tokenize(hard_lines).to_list()
    assert loaded.special_tokens == ours.special_tokens
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["vocab.txt", "wordpiece.json"]


def test_training_learns_words(real_lines):
    lines = real_lines[::25]
    ours = WordPieceTokenizer.train(iter(lines), 600)
    assert 5 < ours.vocab_size <= 600
    assert (ours.pad_id, ours.unk_id, ours.cls_id, ours.sep_id, ours.mask_id) == (0, 1, 2, 3, 4)
    ids = ours.tokenize(["the", "The", "狐 the"])
    assert ids.to_list()[0] == ids.to_list()[1] == ids.to_list()[2][1:]
    assert ids.row_lengths().numpy()[0] == 1


def test_a_single_string_is_not_a_corpus():
    with pytest.raises(TypeError, match="`texts` must be an iterable of lines. Received: str 'two"):
        WordPieceTokenizer.train("two dogs", 300)


def test_a_vocabulary_without_an_unknown_token_is_refused():
    with pytest.raises(ValueError, match="`roles` must name a token for unk.*, 2 pieces"):
        WordPieceTokenizer(["a", "b"])


def test_a_role_that_is_no_piece_is_refused():
    with pytest.raises(ValueError, match="`vocabulary` must hold the tokens of `roles`.*<mask>"):
        WordPieceTokenizer(["[UNK]", "b"], roles={"unk": "[UNK]", "mask": "<mask>"})


def test_loading_from_a_wrong_folder_says_what_is_there(wordpiece_files):
    with pytest.raises(FileNotFoundError, match="lacks wordpiece.json and holds vocab.txt"):
        WordPieceTokenizer.load(wordpiece_files)
