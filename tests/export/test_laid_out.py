import gc

import numpy as np
import pytest
import tensorflow as tf

from tflm.export import Int8Weights, TextGenerator, TextToText, save
from tflm.export.laid_out import LaidOut
from tflm.export.saved_model_file import read
from tflm.export.session import Session
from tflm.generation import Greedy, Limits
from tflm.models.gpt2 import GPT2
from tflm.models.gpt2 import Config as DecoderConfig
from tflm.models.marian import Config, Marian
from tflm.tokenizers import SentencePieceTokenizer

LINES = ["two dogs and a cat", "公园很大。", "你今天好吗？", "six seven eight"] * 3
TEXTS = ["two dogs and a cat two dogs", "", "公园很大。你今天好吗？", "😀\n"]
# Without repetition a model of random weights writes all kinds of pieces.
LIMITS = Limits(max_length=6, no_repeat_ngram_size=1)
SIZES = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3}
PREFIX = b"laid_out_float32_"


def randomize(model, seed):
    random = np.random.default_rng(seed)
    if not model.built:
        model.build(None)
    for weight in model.weights:
        weight.assign(random.normal(0.0, 0.4, weight.shape))
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(LINES, 310)


@pytest.fixture(scope="module")
def translator(tokenizer):
    """Makes modules whose networks, with a bias of the logits, are seeded."""

    def make(seed=1, **options):
        layers = {"num_encoder_layers": 1, "num_decoder_layers": 2}
        model = randomize(Marian(Config(tokenizer.vocab_size, **SIZES, **layers)), seed)
        given = {"strategy": Greedy(), "limits": LIMITS, "max_source_length": 15, **options}
        return model, TextToText(model, tokenizer, tokenizer, **given)

    return make


@pytest.fixture(scope="module")
def writer(tokenizer):
    def make(seed=1, **options):
        config = DecoderConfig(tokenizer.vocab_size, **SIZES, num_layers=1, max_length=17)
        model = randomize(GPT2(config), seed)
        ends = {"begin_id": tokenizer.bos_id, "end_id": tokenizer.eos_id}
        given = {"pad_id": tokenizer.pad_id, "strategy": Greedy(), "limits": LIMITS, **ends}
        given |= {"max_prompt_length": 11, "context_length": 17, **options}
        return model, TextGenerator(model, tokenizer, **given)

    return make


def answers_of_session(directory, signature="serving_default"):
    texts = np.array([text.encode() for text in TEXTS], object)
    return Session(read(directory)).run(signature, {"text": texts})


def laid_out(directory):
    """Names of what is laid out."""
    model = read(directory)
    names = [n.proto.attr["shared_name"].s for n in model.nodes() if n.proto.op == "VarHandleOp"]
    return sorted({name for name in names if name.startswith(PREFIX)})


@pytest.mark.parametrize("most_columns", [100, 8192])
@pytest.mark.parametrize("kind", ["translator", "writer"])
def test_a_served_model_answers_as_the_module(kind, most_columns, request, tmp_path, monkeypatch):
    monkeypatch.setattr("tflm.export.laid_out._MOST_COLUMNS", most_columns)
    _, module = request.getfixturevalue(kind)()
    ask = module.hypotheses if kind == "translator" else module.continuations
    wanted = ask(tf.constant(TEXTS))
    path = save(module, module.signatures(), tmp_path, warmup=())
    blocks = 4 if most_columns == 100 else 1  # of 310 columns
    assert len(laid_out(path)) == blocks + (kind == "translator")  # and a bias
    loaded = tf.saved_model.load(str(path)).signatures["serving_default"]
    for found in (answers_of_session(path), loaded(text=tf.constant(TEXTS))):
        texts = [text.decode() for text in np.asarray(found["text"])]
        assert texts == [text.decode() for text in wanted["text"].numpy()[:, 0]]
        scores = np.asarray(found["score"])
        np.testing.assert_allclose(scores, wanted["score"].numpy()[:, 0], rtol=1e-4)
    assert len(set(texts)) > 2


def test_columns_are_in_blocks_of_about_the_same_size(monkeypatch):
    monkeypatch.setattr("tflm.export.laid_out._MOST_COLUMNS", 4)
    values = {"output": tf.reshape(tf.range(22.0), [2, 11]), "bias": tf.range(11.0)}
    found = LaidOut(lambda: values).read()
    assert [block.shape[1] for block in found["output"]] == [3, 4, 4]
    np.testing.assert_array_equal(tf.concat(found["output"], axis=1), values["output"])
    np.testing.assert_array_equal(found["bias"], values["bias"])


def turned_shapes(directory):
    """Shapes of what is transposed while a request is answered, from TensorFlow's trace."""
    v1 = tf.compat.v1
    with v1.Session(graph=tf.Graph()) as session:
        signatures = v1.saved_model.load(session, ["serve"], str(directory)).signature_def
        served = signatures["serving_default"]
        options = v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE)
        trace = v1.RunMetadata()
        feeds = {served.inputs["text"].name: TEXTS}
        session.run(served.outputs["text"].name, feeds, options=options, run_metadata=trace)
    nodes = [node for device in trace.step_stats.dev_stats for node in device.node_stats]
    return [
        [dim.size for dim in node.output[0].tensor_description.shape.dim]
        for node in nodes
        # oneDNN's operation has another prefix.
        if node.timeline_label.rpartition(" = ")[2].partition("(")[0].endswith("Transpose")
    ]


def test_a_request_does_not_turn_the_vectors(writer, tmp_path):
    model, module = writer()
    turned = model.output_embedding.output_weights().shape.as_list()
    once = save(module, module.signatures(), tmp_path / "once", warmup=())
    each_time = save(module, module.signatures(lay_out=False), tmp_path / "each", warmup=())
    assert turned not in turned_shapes(once)
    assert turned in turned_shapes(each_time)


def test_models_of_one_process_keep_their_own(translator, tmp_path):
    modules = [translator(seed)[1] for seed in (1, 2)]
    wanted = [module.hypotheses(tf.constant(TEXTS))["text"].numpy()[:, 0] for module in modules]
    assert wanted[0].tolist() != wanted[1].tolist()
    paths = [
        save(module, module.signatures(), tmp_path / str(i), warmup=())
        for i, module in enumerate(modules)
    ]
    del modules
    loaded = [tf.saved_model.load(str(path)) for path in (*paths, paths[0])]
    del loaded[0]
    gc.collect()
    for model, texts in zip(loaded, (wanted[1], wanted[0]), strict=True):
        found = model.signatures["serving_default"](text=tf.constant(TEXTS))
        assert found["text"].numpy().tolist() == texts.tolist()


def test_the_module_itself_follows_its_weights(writer):
    model, module = writer()
    texts = tf.constant(TEXTS)
    served = module.signatures()["serving_default"]
    before = module.continuations(texts)["text"].numpy().tolist()
    assert served(texts)["text"].numpy().tolist() == [row[0] for row in before]
    randomize(model, 5)
    _, other = writer(5)
    after = module.continuations(texts)["text"].numpy().tolist()
    assert after == other.continuations(texts)["text"].numpy().tolist() != before


def test_weights_of_eight_bits_are_turned_in_the_graph(translator, tmp_path):
    model, module = translator()
    int8 = Int8Weights(model.weights)
    int8.round()
    wanted = module.hypotheses(tf.constant(TEXTS))["text"].numpy()[:, 0]
    path = save(module, int8.serve(module), tmp_path, warmup=())
    assert not laid_out(path)
    assert answers_of_session(path)["text"].tolist() == wanted.tolist()


@pytest.mark.parametrize("kind", ["translator", "writer"])
def test_frozen_models_answer_the_same(kind, request, tmp_path):
    _, module = request.getfixturevalue(kind)(freeze=True)
    ask = module.hypotheses if kind == "translator" else module.continuations
    wanted = ask(tf.constant(TEXTS))["text"].numpy()[:, 0]
    path = save(module, module.signatures(), tmp_path, warmup=())
    # An encoder-decoder's are constants, which are kept as the processor wants them.
    assert len(laid_out(path)) == (kind == "writer")
    assert answers_of_session(path)["text"].tolist() == wanted.tolist()
