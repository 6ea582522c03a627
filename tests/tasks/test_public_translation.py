"""Public encoder-decoders with tokenizers of their own kinds: framed, answered, exported, kept."""

import io

import keras
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from tflm.export import special_ids
from tflm.generation import Beam, Limits
from tflm.models import bart, marian, t5
from tflm.tasks import Translation
from tflm.tokenizers import (
    BytePairTokenizer,
    MarianTokenizer,
    SentencePieceTokenizer,
    SpecialToken,
)

SIZES = {
    "hidden_dim": 12,
    "ffn_dim": 20,
    "num_heads": 3,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
}
TEXTS = ["one two", "两只狗在雪地里玩", "", "seven 🙂"]


def sentencepiece_model(texts, **options):
    writer = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=writer,
        vocab_size=80,
        minloglevel=2,
        hard_vocab_limit=False,
        **options,
    )
    return writer.getvalue()


def marian_tokenizer(pairs):
    """As OPUS-MT's: two models, ids of their own, padding last, no start."""
    models = [sentencepiece_model(pair[i] for pair in pairs) for i in (0, 1)]
    pieces = ["</s>", "<unk>"]
    for model in models:
        python = sentencepiece.SentencePieceProcessor(model_proto=model)
        pieces += python.id_to_piece(list(range(3, python.get_piece_size())))
    pieces = [*dict.fromkeys(pieces), "<pad>"]
    return MarianTokenizer(*models, {piece: number for number, piece in enumerate(pieces)})


def t5_tokenizer(pairs):
    """As T5's: padding, end and unknown are 0, 1 and 2, and there is no start."""
    texts = (text for pair in pairs for text in pair)
    ids = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    return SentencePieceTokenizer(sentencepiece_model(texts, **ids))


def bart_tokenizer(pairs):
    """As BART's: byte-level."""
    special = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    letters = [chr(c) for c in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + i) for i in range(68)]  # GPT-2's signs for the other bytes
    vocabulary = {**special, **{letter: 4 + i for i, letter in enumerate(letters)}}
    roles = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>"}
    tokens = [SpecialToken(content, number) for content, number in special.items()]
    return BytePairTokenizer(vocabulary, [], special_tokens=tokens, roles=roles)


KINDS = {
    "marian": (marian.Marian, marian_tokenizer),
    "t5": (t5.T5, t5_tokenizer),
    "bart": (bart.Bart, bart_tokenizer),
}


@pytest.fixture(scope="module", params=KINDS)
def task(request, toy_pairs):
    network, make_tokenizer = KINDS[request.param]
    tokenizer = make_tokenizer(toy_pairs)
    fields = {**SIZES, "head_dim": 5} if network is t5.T5 else SIZES
    model = network(network.Config(vocab_size=tokenizer.vocab_size, **fields))
    model.build(None)
    strategy = Beam(num_beams=3, length_penalty="power", alpha=1.0)
    return Translation(model, tokenizer, strategy=strategy, limits=Limits(max_length=9))


@pytest.mark.slow
def test_a_task_answers_and_exports(task, tmp_path):
    best = task.n_best(TEXTS)
    assert best["text"][2][0] == ""
    task.export(tmp_path)
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    found = served(text=tf.constant(TEXTS))
    assert [text.decode() for text in found["text"].numpy()] == [row[0] for row in best["text"]]


def test_a_saved_task_comes_back(task, tmp_path):
    task.save_pretrained(tmp_path / "saved")
    saved = Translation.from_pretrained(tmp_path / "saved")
    assert saved.n_best(TEXTS)["text"] == task.n_best(TEXTS)["text"]
    assert task.n_best(TEXTS)["text"][2][0] == ""
    task.save(tmp_path / "task.keras")
    for again in (saved, keras.saving.load_model(tmp_path / "task.keras")):
        for ours, theirs in zip(again.get_weights(), task.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        for name in ("source_tokenizer", "target_tokenizer"):
            ours, theirs = (getattr(each, name).tokenize(TEXTS) for each in (again, task))
            assert ours.to_list() == theirs.to_list()
        assert (again.strategy, again.limits) == (task.strategy, task.limits)


def test_batches_are_framed_as_the_model_was_trained(task):
    source, target = task.source_tokenizer, task.target_tokenizer
    x, y, weight = next(iter(task.batches([("one two", "zwei eins")], training=False).epoch()))
    start = [*special_ids(source, task.model.SOURCE_START)]
    ids = source.tokenize("one two").to_list()[0]
    real = x["encoder_token_ids"][0][x["encoder_padding_mask"][0]].numpy().tolist()
    assert real == [*start, *ids, source.eos_id]
    start = [*special_ids(target, task.model.TARGET_START)]
    ids = target.tokenize("zwei eins").to_list()[0]
    shown = x["decoder_padding_mask"][0]
    assert x["decoder_token_ids"][0][shown].numpy().tolist() == [*start, *ids]
    assert y[0][weight[0] > 0].numpy().tolist() == [*start[1:], *ids, target.eos_id]


def test_a_score_is_the_sum_over_the_target_and_its_end(task):
    (found,) = task.score([("one two", "eins")])
    x, y, weight = next(iter(task.batches([("one two", "eins")], training=False).epoch()))
    log_probs = tf.nn.log_softmax(task.model(x), axis=-1)
    picked = tf.gather(log_probs, y, batch_dims=2) * weight
    skipped = len(task.model.TARGET_START) - 1
    assert found == pytest.approx(float(tf.reduce_sum(picked[:, skipped:])), abs=1e-4)


def test_marian_never_writes_padding(toy_pairs):
    tokenizer = marian_tokenizer(toy_pairs)
    model = marian.Marian(marian.Config(vocab_size=tokenizer.vocab_size, **SIZES))
    model.build(None)
    bias = [0.0] * tokenizer.vocab_size
    bias[tokenizer.pad_id] = 50.0
    model.output_bias.assign(bias)
    task = Translation(model, tokenizer, limits=Limits(max_length=5))
    score = task.n_best(["one two"])["score"][0][0]
    assert -100 < score < -20  # of tokens that are all but impossible beside padding


def test_a_special_token_that_is_missing_is_named(toy_pairs):
    tokenizer = t5_tokenizer(toy_pairs)
    assert special_ids(tokenizer, ("pad", "eos")) == (0, 1)
    with pytest.raises(ValueError, match="`tokenizer` must have the special token 'bos'.*=-1"):
        special_ids(tokenizer, ("bos",))
    with pytest.raises(ValueError, match="'bos'.* Received: MarianTokenizer with bos_id=None"):
        special_ids(marian_tokenizer(toy_pairs), ("bos",))
