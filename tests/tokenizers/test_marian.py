import json

import pytest
import sentencepiece

from tflm.tokenizers import MarianTokenizer


def decoded(strings):
    return [text.decode() for text in strings.numpy()]


@pytest.fixture(scope="module")
def folder(marian, tmp_path_factory):
    folder = tmp_path_factory.mktemp("marian")
    marian.save(folder)
    return folder


def reference(folder, side, texts):
    """As `transformers.MarianTokenizer` does it."""
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    python = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{side}.spm"))
    result = []
    for text in texts:
        pieces = []
        if text.startswith(">>") and "<<" in text:
            end = text.find("<<") + 2
            pieces, text = [text[:end]], text[end:]
        pieces += python.encode(text, out_type=str)
        result.append([vocabulary.get(piece, vocabulary["<unk>"]) for piece in pieces])
    return result


def test_ids_are_those_of_the_vocabulary_on_both_sides(marian, folder, real_lines, hard_lines):
    texts = real_lines[:900:3] + hard_lines
    assert marian.tokenize(texts).to_list() == reference(folder, "source", texts)
    assert marian.target.tokenize(texts).to_list() == reference(folder, "target", texts)
    assert marian.tokenize(texts).to_list() != marian.target.tokenize(texts).to_list()


def test_a_language_in_front_is_one_id(marian, folder):
    texts = [">>fra<< two dogs", ">>zho<<", ">>xyz<< a", ">> a", "a >>fra<< b", ">>\n<<x"]
    ids = marian.tokenize(texts).to_list()
    assert ids == reference(folder, "source", texts)
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    assert ids[0][0] == vocabulary[">>fra<<"]
    assert ids[1] == [vocabulary[">>zho<<"]]
    assert ids[2][0] == marian.unk_id


def test_known_words_come_back(marian):
    texts = ["Ein Mann und eine Frau", "zwei Hunde."]
    for side in (marian, marian.target):
        ids = side.tokenize(texts).to_list()
        noisy = [[side.pad_id, *row, side.eos_id, -1, 99999] for row in ids]
        assert decoded(marian.target.detokenize(noisy)) == texts
        assert decoded(side.detokenize(side.tokenize(texts))) == texts
    assert decoded(marian.detokenize([[], [marian.eos_id]])) == ["", ""]


def test_special_ids_are_the_vocabularys(marian):
    assert (marian.eos_id, marian.unk_id, marian.bos_id) == (0, 1, None)
    assert marian.pad_id == marian.vocab_size - 3


def test_the_other_side_of_the_other_side_is_this_one(marian, real_lines):
    texts = real_lines[:40]
    assert marian.target.target.tokenize(texts).to_list() == marian.tokenize(texts).to_list()


def test_a_saved_tokenizer_loads_to_the_same_ids(marian, folder, real_lines):
    loaded = MarianTokenizer.load(folder)
    texts = real_lines[:30]
    for ours, theirs in ((loaded, marian), (loaded.target, marian.target)):
        assert ours.tokenize(texts).to_list() == theirs.tokenize(texts).to_list()
    names = ["source.spm", "target.spm", "vocab.json"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_each_side_may_have_its_own_vocabulary(marian, folder, real_lines, tmp_path):
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    moved = {piece: number + 11 for piece, number in vocabulary.items()}
    models = [(folder / name).read_bytes() for name in ("source.spm", "target.spm")]
    MarianTokenizer(*models, vocabulary, moved).save(tmp_path)
    assert (tmp_path / "target_vocab.json").is_file()
    loaded = MarianTokenizer.load(tmp_path)
    texts = real_lines[:20]
    expected = [[i + 11 for i in row] for row in marian.target.tokenize(texts).to_list()]
    assert loaded.tokenize(texts).to_list() == marian.tokenize(texts).to_list()
    assert loaded.target.tokenize(texts).to_list() == expected
    assert loaded.target.eos_id == 11


def test_a_vocabulary_without_a_special_piece_is_refused(folder):
    model = (folder / "source.spm").read_bytes()
    with pytest.raises(ValueError, match="`vocabulary` must hold .* 2 pieces without <pad>"):
        MarianTokenizer(model, model, {"</s>": 0, "<unk>": 1})


def test_loading_from_a_wrong_folder_says_what_is_there(byte_pair_files):
    with pytest.raises(FileNotFoundError, match="lacks source.spm, target.spm and holds"):
        MarianTokenizer.load(byte_pair_files)
