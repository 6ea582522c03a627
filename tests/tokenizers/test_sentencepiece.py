import gzip
import threading

import hypothesis
import hypothesis.strategies as st
import pytest
import sentencepiece
import tensorflow as tf

from tflm.tokenizers import SentencePieceTokenizer
from tflm.tokenizers.sentencepiece import MODEL_FILE, _training_lines

LINES = [
    "The quick brown fox jumps over the lazy dog.",
    "A lazy dog sleeps; the quick fox doesn't.",
    "敏捷的棕色狐狸跳过了懒狗。",
    "懒狗在睡觉，狐狸没有！",
    "Zwei Hunde spielen im Schnee, ein Fuchs schläft.",
]
HARD = [
    "",
    " ",
    "  ",
    " leading",
    "trailing ",
    "  both  and  inside  ",
    "\n",
    "\t",
    "\r\n",
    "a\nb",
    "nul \x00 here",
    "😀 emoji 👩‍👩‍👧‍👦",
    " 😀",
    "龘𠮷䶮 rare Han",
    "“全角”，标点。\u3000全角空格",
    "e\u0301 is not \u00e9, ﬁ is not fi",
    "line\u2028separator\u0085next",
    "\ufeffbyte order mark",
    "no\u00a0break \u200bzero",
    "\ufffd \ue000 \U0010ffff",
    "▅ the trainer's own unknown sign",
    "<s> </s> <unk> <pad> <0x41>",
]


def read_columns(path):
    opened = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    with opened as file:
        return [cell for line in file for cell in line.decode().removesuffix("\n").split("\t")[:2]]


def decoded(strings):
    return [text.decode() for text in strings.numpy()]


@pytest.fixture(scope="module")
def tatoeba(shared_data):
    folder = shared_data / "tatoeba_zh_en"
    return read_columns(folder / "train.tsv.gz") + read_columns(folder / "dev.tsv")


@pytest.fixture(scope="module")
def chinese_english(tatoeba):
    return SentencePieceTokenizer.train(tatoeba, vocab_size=5000)


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def tokenizer(request):
    return SentencePieceTokenizer.train(LINES * 3, vocab_size=327, algorithm=request.param)


def test_special_ids_are_fixed(tokenizer):
    ids = (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id)
    assert ids == (0, 1, 2, 3)
    assert tokenizer.vocab_size == 327


def test_every_tatoeba_row_comes_back_exactly(chinese_english, tatoeba):
    assert len(tatoeba) == 2 * (27055 + 1000)
    assert decoded(chinese_english.detokenize(chinese_english.tokenize(tatoeba))) == tatoeba


def test_ids_equal_those_of_the_python_package_on_tatoeba(chinese_english, tatoeba, tmp_path):
    chinese_english.save(tmp_path)
    python = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / MODEL_FILE))
    assert chinese_english.tokenize(tatoeba).to_list() == python.encode(tatoeba)


def test_ids_equal_those_of_the_python_package_on_hard_texts(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    python = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / MODEL_FILE))
    assert tokenizer.tokenize(LINES + HARD).to_list() == python.encode(LINES + HARD)


def test_pieces_are_those_of_the_python_package(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    python = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / MODEL_FILE))
    found = [[piece.decode() for piece in row] for row in tokenizer.pieces(LINES + HARD).to_list()]
    assert found == python.encode(LINES + HARD, out_type=str)


def test_hard_texts_come_back_exactly(tokenizer):
    assert decoded(tokenizer.detokenize(tokenizer.tokenize(HARD))) == HARD


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)
@hypothesis.given(texts=st.lists(st.text(), min_size=1, max_size=7))
def test_any_text_comes_back_but_for_the_space_sign(tokenizer, texts):
    expected = [text.replace("\u2581", " ") for text in texts]
    assert decoded(tokenizer.detokenize(tokenizer.tokenize(texts))) == expected


def test_the_sign_for_a_space_comes_back_as_a_space(tokenizer):
    assert decoded(tokenizer.detokenize(tokenizer.tokenize(["a\u2581b"]))) == ["a b"]


class Graph(tf.Module):
    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def tokenize(self, texts):
        return self.tokenizer.tokenize(texts)

    @tf.function(input_signature=[tf.RaggedTensorSpec([None, None], tf.int32)])
    def detokenize(self, ids):
        return self.tokenizer.detokenize(ids)


def test_ids_are_the_same_in_tf_data_in_a_graph_and_reloaded(tokenizer, tmp_path):
    texts = LINES + HARD
    expected = tokenizer.tokenize(texts).to_list()
    dataset = tf.data.Dataset.from_tensor_slices(texts).batch(4).map(tokenizer.tokenize)
    assert [row for batch in dataset for row in batch.to_list()] == expected
    graph = Graph(tokenizer)
    assert graph.tokenize(tf.constant(texts)).to_list() == expected
    tf.saved_model.save(graph, tmp_path)
    reloaded = tf.saved_model.load(tmp_path)
    ids = reloaded.tokenize(tf.constant(texts))
    assert ids.to_list() == expected
    assert decoded(reloaded.detokenize(ids)) == texts


def test_a_new_random_seed_leaves_tokenizers_alone(tokenizer, tmp_path):
    texts = tf.constant(LINES)
    expected = tokenizer.tokenize(texts).to_list()
    graph = Graph(tokenizer)
    ids = graph.tokenize(texts)
    tf.saved_model.save(graph, tmp_path)
    reloaded = tf.saved_model.load(tmp_path)
    tf.random.set_seed(3)
    assert tokenizer.tokenize(texts).to_list() == expected
    assert graph.tokenize(texts).to_list() == expected
    assert reloaded.tokenize(texts).to_list() == expected
    assert decoded(reloaded.detokenize(ids)) == decoded(tokenizer.detokenize(ids)) == LINES


def test_a_single_string_is_a_batch_of_one(tokenizer):
    assert tokenizer.tokenize(LINES[0]).to_list() == tokenizer.tokenize(LINES[:1]).to_list()


def test_invalid_utf8_is_read_as_replacement_characters(tokenizer):
    ids = tokenizer.tokenize(tf.constant([b"a\xff\xfeb", b"cut \xe4\xb8", b"fine"]))
    assert decoded(tokenizer.detokenize(ids)) == ["a\ufffd\ufffdb", "cut \ufffd", "fine"]


def test_empty_batches_stay_empty(tokenizer):
    assert tokenizer.tokenize([]).shape == [0, None]
    assert tokenizer.detokenize(tokenizer.tokenize([])).shape == [0]
    assert tokenizer.detokenize([]).shape == [0]
    assert decoded(tokenizer.detokenize([[], []])) == ["", ""]


def test_special_and_unknown_ids_are_left_out_of_the_text(tokenizer):
    [ids] = tokenizer.tokenize(["lazy fox"]).to_list()
    noisy = [2, ids[0], 1, -1, *ids[1:], 327, 99999, 3, 0, 0]
    assert decoded(tokenizer.detokenize(tf.constant([noisy], tf.int64))) == ["lazy fox"]
    assert decoded(tokenizer.detokenize([noisy, ids, [0]])) == ["lazy fox", "lazy fox", ""]


def test_text_from_any_ids_is_valid_utf8(tokenizer):
    generator = tf.random.Generator.from_seed(11)
    ids = generator.uniform((50, 13), 0, 327, tf.int32)
    half_a_character = tokenizer.tokenize(["龘"]).to_list()[0][:-1]
    texts = decoded(tokenizer.detokenize(ids)) + decoded(tokenizer.detokenize([half_a_character]))
    assert len(texts) == 51
    assert "\ufffd" in texts[-1]


def test_sampling_depends_on_the_seed_alone(tokenizer):
    texts = LINES * 8
    first = tokenizer.sample(texts, alpha=0.2, seed=5)
    assert tokenizer.sample(texts, alpha=0.2, seed=5) == first
    assert tokenizer.sample(texts, alpha=0.2, seed=6) != first
    assert first != tokenizer.tokenize(texts).to_list()
    assert first[:5] != first[5:10]  # one text, drawn twice


@pytest.mark.parametrize("seed", [-1, 0, 2**32 - 1, 2**40 + 3])
def test_every_integer_is_a_seed(tokenizer, seed):
    texts = LINES * 4
    assert tokenizer.sample(texts, 0.3, seed) == tokenizer.sample(texts, 0.3, seed)


def test_sampled_ids_spell_the_same_text(tokenizer):
    ids = tokenizer.sample(LINES + HARD, alpha=0.4, seed=7)
    assert decoded(tokenizer.detokenize(ids)) == LINES + HARD


def test_sampling_in_many_threads_at_once_is_deterministic(tokenizer):
    texts = LINES * 20
    expected = {seed: tokenizer.sample(texts, 0.2, seed) for seed in range(6)}
    results = {}

    def sample(seed):
        results[seed] = tokenizer.sample(texts, 0.2, seed)

    threads = [threading.Thread(target=sample, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == expected


def test_sampling_nothing_gives_nothing(tokenizer):
    assert tokenizer.sample([], 0.1, 1) == []


def test_a_saved_tokenizer_loads_to_the_same_ids(tokenizer, tmp_path):
    folder = tmp_path / "new" / "folder"
    tokenizer.save(folder)
    tokenizer.save(folder)  # over the first one
    assert [path.name for path in folder.iterdir()] == [MODEL_FILE]
    loaded = SentencePieceTokenizer.load(folder)
    assert loaded.tokenize(HARD).to_list() == tokenizer.tokenize(HARD).to_list()


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_training_twice_gives_the_same_model(algorithm, tmp_path):
    models = []
    for name in ("one", "two"):
        trained = SentencePieceTokenizer.train(iter(LINES * 3), 320, algorithm)
        trained.save(tmp_path / name)
        models.append((tmp_path / name / MODEL_FILE).read_bytes())
    assert models[0] == models[1]


def test_training_prints_nothing_of_its_progress(capfd):
    SentencePieceTokenizer.train(LINES, 340)
    assert "trainer" not in "".join(capfd.readouterr())


def test_user_symbols_are_one_piece():
    tokenizer = SentencePieceTokenizer.train(LINES, 350, user_symbols=("<2de>", "<2zh>"))
    ids = tokenizer.tokenize(["<2zh>fox", "fox<2de>fox"]).to_list()
    assert 5 in ids[0] and 4 not in ids[0]
    assert ids[1].count(4) == 1
    assert decoded(tokenizer.detokenize(ids)) == ["<2zh>fox", "fox<2de>fox"]


def test_no_text_gives_a_control_symbol_and_decoding_leaves_it_out():
    tokenizer = SentencePieceTokenizer.train(LINES, 350, control_symbols=("<extra_id_0>", "[MASK]"))
    assert tokenizer.mask_id == 5
    ids = tokenizer.tokenize(["[MASK] fox <extra_id_0>"]).to_list()[0]
    assert not {4, 5} & set(ids)
    assert decoded(tokenizer.detokenize([[4, *ids, 5]])) == ["[MASK] fox <extra_id_0>"]


def test_without_a_mask_there_is_no_id_of_it(tokenizer):
    assert tokenizer.mask_id == -1


def test_rare_characters_can_be_left_to_bytes():
    texts = ["a b c d e"] * 500 + ["龘𠮷"]
    tokenizer = SentencePieceTokenizer.train(texts, 270, character_coverage=0.99)
    [ids] = tokenizer.tokenize(["龘"]).to_list()
    assert len(ids) == 1 + 3  # the space in front, three bytes
    assert decoded(tokenizer.detokenize([ids])) == ["龘"]


def test_without_byte_fallback_unseen_characters_are_unknown():
    tokenizer = SentencePieceTokenizer.train(LINES, 110, byte_fallback=False)
    ids = tokenizer.tokenize(["fox 😀 fox", "  fox"])
    assert 1 in ids.to_list()[0]
    assert decoded(tokenizer.detokenize(ids)) == ["fox  fox", "  fox"]


def test_normalization_is_on_request():
    tokenizer = SentencePieceTokenizer.train(LINES, 340, normalization="nfkc")
    assert decoded(tokenizer.detokenize(tokenizer.tokenize(["ﬁ， Ａ"]))) == ["fi, A"]


def test_long_lines_and_lines_with_reserved_characters_are_learned_from():
    texts = ["xy " * 3000, "▅ zw zw zw zw zw zw zw"]
    tokenizer = SentencePieceTokenizer.train(texts, 270)
    assert [len(row) for row in tokenizer.tokenize(["xy", "zw"]).to_list()] == [1, 1]


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(
        ValueError, match="`algorithm` must be one of bpe, unigram, char. Received: 'wp'"
    ):
        SentencePieceTokenizer.train(LINES, 300, algorithm="wp")


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_too_small_a_vocabulary_is_refused(algorithm):
    with pytest.raises(ValueError, match=r"`vocab_size` must be at least \d+ .*vocab_size=270"):
        SentencePieceTokenizer.train(LINES, 270, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_too_large_a_vocabulary_is_refused(algorithm):
    with pytest.raises(ValueError, match=r"`vocab_size` must be at most \d+ .*vocab_size=4321"):
        SentencePieceTokenizer.train(LINES, 4321, algorithm=algorithm)


@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_an_empty_corpus_is_refused(texts):
    with pytest.raises(ValueError, match="`texts` must hold at least one line that is not empty"):
        SentencePieceTokenizer.train(texts, 300)


def test_other_trainer_errors_carry_its_message():
    with pytest.raises(ValueError, match="SentencePiece could not train: .*nfx"):
        SentencePieceTokenizer.train(LINES, 340, normalization="nfx")


def test_a_single_string_is_not_a_corpus():
    with pytest.raises(TypeError, match="`texts` must be an iterable of lines. Received: str 'two"):
        SentencePieceTokenizer.train("two dogs", 300)


def test_lines_that_are_not_strings_are_refused():
    with pytest.raises(TypeError, match="`texts` must yield strings. Received: 3"):
        SentencePieceTokenizer.train([*LINES, 3], 340)


def test_an_error_of_the_corpus_reaches_the_caller():
    def lines():
        yield from LINES
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        SentencePieceTokenizer.train(lines(), 340)


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.5])
def test_sampling_needs_an_alpha_above_zero(tokenizer, alpha):
    with pytest.raises(ValueError, match=f"`alpha` must be above 0 and at most 1. .*{alpha}"):
        tokenizer.sample(LINES, alpha, seed=1)


@pytest.mark.parametrize("model", [b"", b"not a model"])
def test_bytes_that_are_no_model_are_refused(model):
    with pytest.raises(ValueError, match=rf"`model` must be .* Received: {len(model)} bytes"):
        SentencePieceTokenizer(model)


def test_loading_from_an_empty_folder_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=MODEL_FILE):
        SentencePieceTokenizer.load(tmp_path)


# characters


def test_characters_come_back_as_they_were():
    text = "  To be,\n\nor not\t to be \u2029公园很大。\n"
    tokenizer = SentencePieceTokenizer.train(text.splitlines(), 1000, "char")
    ids = tokenizer.tokenize([text, "\n", "", "你好 😀"])
    assert ids.row_lengths().numpy().tolist()[1:3] == [1, 0]
    assert [t.decode() for t in tokenizer.detokenize(ids).numpy()] == [text, "\n", "", "你好 😀"]


def test_a_known_character_is_one_piece():
    tokenizer = SentencePieceTokenizer.train(["公园很大。", "a b"], 1000, "char")
    assert tokenizer.vocab_size == 4 + 256 + 8
    assert tokenizer.tokenize(["大 b\na"]).row_lengths().numpy().tolist() == [5]


def test_the_rarest_characters_are_left_to_their_bytes():
    tokenizer = SentencePieceTokenizer.train(["aaabbc大"] * 3, 4 + 256 + 2, "char")
    assert tokenizer.tokenize(["ab", "大"]).row_lengths().numpy().tolist() == [2, 3]


def test_a_text_of_any_length_is_learned_from_in_parts():
    text = "Ω zebra " * 160_000  # 1.4 MB, which the trainer would leave out
    assert SentencePieceTokenizer.train([text], 275).tokenize("zebra").shape[0] < 5
    wide = "北京" * 300_000  # no space to part it at
    lines = list(_training_lines([text, wide, "", "a\nb"], []))
    assert max(map(len, lines)) <= 1 << 20
    assert b"".join(lines).decode() == text + wide + "a\nb"
    assert [line.decode() for line in lines][-2:] == ["", "a\nb"]
