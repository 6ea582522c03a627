"""Ids are those of the reference libraries on every text of every public corpus.

Of the larger ones one tokenizer of each kind reads them, of the others every rule.
"""

import gzip
import itertools
import json

import numpy as np
import pytest
import sentencepiece
import tensorflow as tf
import tokenizers
from tokenizers import models, normalizers

from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer, WordPieceTokenizer
from tflm.tokenizers.byte_pair import read_vocabulary
from tflm.tokenizers.splitting import RULES, pre_tokenizer
from tflm.tokenizers.wordpiece import read_pieces

CORPORA = (
    "aeslc",
    "chnsenticorp",
    "cmrc2018",
    "csl_title",
    "dialogsum",
    "multi30k",
    "samsum",
    "squad",
    "squad_v2",
    "squadshifts",
    "sst2",
    "standard_ebooks",
    "tatoeba_zh_en",
    "tinyshakespeare",
    "wikitext2",
)
QUICK = ("byte_pair gpt2", "wordpiece lowercase=True", "sentencepiece")
FEW = 12  # texts of each file
# Which one of each kind reads.
LARGE = ("aeslc", "samsum", "squadshifts", "standard_ebooks", "wikitext2")
BATCH = 2000


def files_of(folder):
    return sorted(path for path in folder.iterdir() if path.suffix not in (".md", ".bin", ".vec"))


def texts_of(path):
    """Every line of a text, every string of a JSON file."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="\n") as file:
        if ".json" not in path.suffixes and ".jsonl" not in path.suffixes:
            yield from (line.removesuffix("\n") for line in file)
        elif ".jsonl" in path.suffixes:
            yield from itertools.chain.from_iterable(strings_in(json.loads(line)) for line in file)
        else:
            yield from strings_in(json.load(file))


def strings_in(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from strings_in(list(value.values()))
    elif isinstance(value, list):
        for each in value:
            yield from strings_in(each)


@pytest.fixture(scope="module")
def kinds(byte_pair_files, wordpiece_files, real_lines):
    """Of each kind ours, in a graph, and a function that gives the reference's ids."""
    spec = [tf.TensorSpec([None], tf.string)]
    found = {}

    def add(name, ours, encode):
        found[name] = tf.function(ours.tokenize, spec), encode

    vocabulary, merges = read_vocabulary(byte_pair_files)
    for rule in RULES:
        library = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
        library.pre_tokenizer = pre_tokenizer(rule)
        form = "none"
        if rule == "qwen2":
            library.normalizer, form = normalizers.NFC(), "nfc"
        ours = BytePairTokenizer(vocabulary, merges, rule, normalization=form)
        add(f"byte_pair {rule}", ours, encoder(library))
    for lowercase in (True, False):
        library = tokenizers.BertWordPieceTokenizer(
            str(wordpiece_files / "vocab.txt"), lowercase=lowercase
        )._tokenizer
        library.encode_special_tokens = True
        ours = WordPieceTokenizer(read_pieces(wordpiece_files), lowercase=lowercase)
        add(f"wordpiece lowercase={lowercase}", ours, encoder(library))
    ours = SentencePieceTokenizer.train(real_lines[::5], 2000)
    python = sentencepiece.SentencePieceProcessor(model_proto=ours.model)
    add("sentencepiece", ours, python.encode)
    return found


def encoder(library):
    def encode(texts):
        return [each.ids for each in library.encode_batch_fast(texts, add_special_tokens=False)]

    return encode


def assert_same_ids(kinds, texts):
    for name, (tokenize, encode) in kinds.items():
        ids, expected = tokenize(tf.constant(texts)), encode(texts)
        sizes = np.array([len(row) for row in expected])
        same = np.array_equal(ids.row_lengths(), sizes) and np.array_equal(
            ids.flat_values, np.concatenate([np.array(row, "int32") for row in expected])
        )
        rows = () if same else zip(texts, ids.to_list(), expected, strict=True)
        wrong = [text for text, found, wanted in rows if found != wanted]
        assert not wrong, (name, wrong[:3])


def test_some_texts_of_every_corpus_have_the_references_ids(kinds, shared_data, hard_lines):
    texts, corpora = list(hard_lines), 0
    for folder in filter(None, ((shared_data / name) for name in CORPORA)):
        for path in files_of(folder) if folder.is_dir() else ():
            texts += itertools.islice(texts_of(path), FEW)
            corpora += 1
    assert corpora > 0
    assert_same_ids({name: kinds[name] for name in QUICK}, texts)


@pytest.mark.slow
@pytest.mark.parametrize("corpus", CORPORA)
def test_every_text_of_a_corpus_has_the_references_ids(kinds, shared_data, corpus):
    if not (shared_data / corpus).is_dir():
        pytest.skip(f"no {corpus} in {shared_data}")
    names, count = QUICK if corpus in LARGE else kinds, 0
    for path in files_of(shared_data / corpus):
        texts = texts_of(path)
        while batch := list(itertools.islice(texts, BATCH)):
            assert_same_ids({name: kinds[name] for name in names}, batch)
            count += len(batch)
    assert count > 500


def test_every_corpus_is_named_above(shared_data):
    folders = {path.name for path in shared_data.iterdir() if path.is_dir()}
    assert folders - {"word_vectors"} <= {*CORPORA}
