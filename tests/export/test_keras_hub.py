import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.export import export
from tflm.export.check import check
from tflm.export.keras_hub import served
from tflm.export.keras_hub_tokenizer import PROBES
from tflm.export.warmup import read_warmup
from tflm.tasks.model_settings import model_settings
from tflm.tokenizers import BytePairTokenizer

TEXTS = [
    "",
    " ",
    "a",
    "two dogs and a cat",
    "The committee met in 2021, 12345678 times.",
    "don't DON'T we'll",
    "你好",
    "你今天好吗？",
    "我们在北京喝茶。",
    "公园很大 two dogs",
    "Zürich café",
    "😀 👩‍👧",
    "x\ny\n\nz",
    "tabs\tand  spaces  ",
    "1 22 333 4444 55555",
    "日本語",
    "русский текст",
    "a_b-c.d(e)",
    "!!! ???",
    "cat cat cat cat cat cat cat cat cat cat cat cat cat cat cat cat cat cat",
    "A longer text that does not fit into the few tokens which this tiny model reads of a text.",
    "the end",
]
CORPUS = [*TEXTS, *PROBES, "two dogs and a cat in the park 你好 公园 2021 12345"]
LENGTH = 24


@pytest.fixture(scope="module")
def hub():
    pytest.MonkeyPatch().setenv("KERAS_BACKEND", "tensorflow")
    return pytest.importorskip("keras_hub")


@pytest.fixture(scope="module")
def pairs():
    """A function that gives the vocabulary and the merges of a byte-pair tokenizer."""

    def train(*special):
        ours = BytePairTokenizer.train(
            CORPUS, 330, "llama3", dict(zip(("bos", "pad", "eos"), special, strict=False))
        )
        config = json.loads(ours._vocabulary)
        return config, ours._merges_text.splitlines()

    return train


def spread(task, deviation=0.4):
    """Random weights large enough that different texts get different answers."""
    generator = np.random.default_rng(5)
    for weight in task.weights:
        if len(weight.shape) > 1:
            weight.assign(generator.normal(0.0, deviation, weight.shape))
    return task


@pytest.fixture(scope="module")
def gpt2(hub, pairs):
    models = hub.models
    tokenizer = models.GPT2Tokenizer(*pairs("<|endoftext|>"))
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 12, "intermediate_dim": 20}
    backbone = models.GPT2Backbone(tokenizer.vocabulary_size(), max_sequence_length=48, **sizes)
    preprocessor = models.GPT2CausalLMPreprocessor(tokenizer, sequence_length=LENGTH)
    return spread(models.GPT2CausalLM(backbone, preprocessor))


@pytest.fixture(scope="module")
def bart(hub, pairs):
    models = hub.models
    tokenizer = models.BartTokenizer(*pairs("<s>", "<pad>", "</s>"))
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 12, "intermediate_dim": 20}
    backbone = models.BartBackbone(tokenizer.vocabulary_size(), max_sequence_length=48, **sizes)
    preprocessor = models.BartSeq2SeqLMPreprocessor(
        tokenizer, encoder_sequence_length=20, decoder_sequence_length=14
    )
    return spread(models.BartSeq2SeqLM(backbone, preprocessor))


@pytest.fixture(scope="module")
def bert(hub):
    models = hub.models
    words = (
        "[PAD] [UNK] [CLS] [SEP] [MASK] two dogs and a cat the end do ##n ##g ' t ? ！ 。".split()
    )
    tokenizer = models.BertTokenizer([*words, *"你好今天吗公园很大"], lowercase=True)
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 12, "intermediate_dim": 20}
    backbone = models.BertBackbone(tokenizer.vocabulary_size(), max_sequence_length=48, **sizes)
    preprocessor = models.BertTextClassifierPreprocessor(tokenizer, sequence_length=16)
    return spread(models.BertTextClassifier(backbone, 3, preprocessor), 1.0)


def serve(path, texts):
    loaded = tf.saved_model.load(str(path))
    found = loaded.signatures["serving_default"](text=tf.constant(texts))
    return {name: value.numpy() for name, value in found.items()}


def card_of(path):
    return json.loads((path / "assets.extra" / "model_card.json").read_text("utf-8"))


def decoded(strings):
    return [text.decode() for text in strings]


def assert_passes(path):
    assert [each.message for each in check(path) if each.status == "failure"] == []


def assert_predicts(found, bert, texts):
    logits = bert.predict(texts, verbose=0)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    np.testing.assert_allclose(found["probabilities"], expected, rtol=1e-4, atol=1e-6)
    names = np.array(["坏", "so so", "good"])
    assert decoded(found["label"]) == names[expected.argmax(axis=1)].tolist()
    assert np.ptp(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(found["score"], expected.max(axis=1), rtol=1e-4)
    assert found["truncated"].any() and not found["truncated"].all()


def test_a_classifier_answers_what_keras_hub_predicts(bert):
    texts = [*TEXTS, "你\u3000好", "Ca\u0301t"]
    answer = served(bert, labels=["坏", "so so", "good"]).signatures()["serving_default"]
    found = {name: value.numpy() for name, value in answer(tf.constant(texts)).items()}
    assert_predicts(found, bert, texts)


@pytest.mark.slow
def test_an_exported_classifier_passes_and_answers_the_same(bert, tmp_path):
    path = export(bert, tmp_path / "films", labels=["坏", "so so", "good"])
    assert_predicts(serve(path, TEXTS), bert, TEXTS)
    assert_passes(path)
    settings = model_settings(path.parent)
    assert settings["task"] == "sentiment_analysis"
    assert settings["labels"] == ["坏", "so so", "good"]
    assert card_of(path)["limits"] == {"max_length": 16}


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["greedy", "beam", "top_k"])
def test_a_language_model_writes_what_keras_hub_generates(hub, gpt2, tmp_path, sampler):
    made = hub.samplers.TopKSampler(k=4, seed=3) if sampler == "top_k" else sampler
    gpt2.compile(sampler=made, jit_compile=False)
    path = export(gpt2, tmp_path / "lines", warmup=["two", "你好", ""])  # with room to go on
    found = serve(path, TEXTS)
    expected = gpt2.generate(TEXTS)
    assert decoded(found["text"]) == expected
    assert found["truncated"].any() and not found["truncated"].all()
    assert_passes(path)
    assert [record.inputs["text"].tolist() for record in read_warmup(path)][0] == [b"two"]
    card = card_of(path)
    assert card["limits"] == {"max_length": LENGTH}
    names = {"greedy": "GreedySampler", "beam": "BeamSampler", "top_k": "TopKSampler"}
    assert card["model"]["strategy"]["name"] == names[sampler]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("RandomSampler", {"seed": 3, "temperature": 0.7}),
        ("TopPSampler", {"seed": 4, "p": 0.8, "k": 7, "temperature": 1.5}),
        ("ContrastiveSampler", {"k": 3, "alpha": 0.4}),
    ],
)
def test_a_sampler_draws_what_keras_hub_draws_with_its_seed(hub, gpt2, name, settings):
    sampler = getattr(hub.samplers, name)(**settings)
    gpt2.compile(sampler=sampler, run_eagerly=True)
    states = [variable.value.numpy() for variable in sampler.variables]
    serving_default = served(gpt2).signatures()["serving_default"]
    found = decoded(serving_default(tf.constant(TEXTS))["text"].numpy())
    for variable, state in zip(sampler.variables, states, strict=True):
        variable.assign(state)
    expected = gpt2.generate(TEXTS)
    assert found == expected
    assert len(set(expected)) > 5


@pytest.mark.slow
def test_a_sampler_that_gives_no_text_in_a_graph_is_refused(hub, gpt2):
    gpt2.compile(sampler=hub.samplers.BeamSampler(num_beams=3, return_all_beams=True))
    with pytest.raises(ValueError, match="gives one text, .* Received: GPT2CausalLM with return_"):
        served(gpt2)
    gpt2.compile(sampler=None)
    with pytest.raises(ValueError, match="with a sampler: .* Received: GPT2CausalLM without one"):
        served(gpt2)
    gpt2.compile(sampler=hub.samplers.SpeculativeSampler())
    message = "run in a graph .* Received: GPT2CausalLM with SpeculativeSampler, .* `draft_next`"
    with pytest.raises(ValueError, match=message):
        served(gpt2).signatures()


@pytest.mark.slow
def test_a_sampler_without_a_seed_draws_anew(hub, gpt2):
    gpt2.compile(sampler=hub.samplers.TopPSampler(p=0.9), jit_compile=False)
    module = served(gpt2, max_length=17)
    serving_default = module.signatures()["serving_default"]
    first, second = (decoded(serving_default(tf.constant(TEXTS))["text"].numpy()) for _ in "12")
    assert first != second
    assert not any(new for new in serving_default(tf.constant([], tf.string))["text"].numpy())


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["greedy", "beam"])
def test_an_encoder_decoder_writes_what_keras_hub_generates(bart, tmp_path, sampler):
    bart.compile(sampler=sampler, jit_compile=False)
    path = export(bart, tmp_path / "summaries")
    found = serve(path, TEXTS)
    expected = bart.generate(TEXTS)
    assert decoded(found["text"]) == expected
    assert len(set(expected)) > 5
    assert found["truncated"].any()
    assert_passes(path)
    assert card_of(path)["limits"] == {"max_source_length": 20, "max_length": 14}


def test_what_cannot_be_exported_is_refused(hub, bert, tmp_path):
    with pytest.raises(ValueError, match="`labels` must be one for each of 3 classes. .* 2 labels"):
        export(bert, tmp_path, labels=["a", "b"])
    with pytest.raises(ValueError, match="`max_length` must be left to a classifier. .*=9"):
        export(bert, tmp_path, max_length=9)
    with pytest.raises(ValueError, match="`task` must be a CausalLM, .* Received: BertBackbone"):
        export(bert.backbone, tmp_path)
    bare = hub.models.BertTextClassifier(bert.backbone, 2)
    with pytest.raises(ValueError, match="`task` must have a preprocessor"):
        export(bare, tmp_path)
    with pytest.raises(ValueError, match="`version` must be at least 1"):
        export(bert, tmp_path, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_preprocessor_that_does_more_is_refused(gpt2, monkeypatch):
    plain = type(gpt2.preprocessor).generate_preprocess

    def backwards(self, x, sequence_length=None):
        return plain(self, [text[::-1] for text in x], sequence_length=sequence_length)

    monkeypatch.setattr(type(gpt2.preprocessor), "generate_preprocess", backwards)
    with pytest.raises(ValueError, match="`labels` must be left to classifiers"):
        served(gpt2, labels=["a"])
    with pytest.raises(ValueError, match="GPT2CausalLMPreprocessor, which makes other token_ids"):
        served(gpt2)
