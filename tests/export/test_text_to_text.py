import base64
import copy
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tflm.export import save
from tflm.export.options import OPTIONS
from tflm.generation import Beam, Greedy, Limits, Sample

BATCH_SIZES = (0, 1, 7, 64)
ODD = ["", "two \ufffd", "five " * 30, "公园 🙂", " ", "one\ntwo", "a\x00b"]
BROKEN = {"two \ufffd": b"two \xff"}  # what the bytes are read as
STRATEGIES = {
    "beam": Beam(num_beams=3, length_penalty="power", alpha=1.0),
    "greedy": Greedy(),
    "sample": Sample(temperature=1.5, top_k=20, top_p=0.95),
}

# Run in a process of its own. It knows TensorFlow and TF Text, and nothing of ours.
CLIENT = """
import base64, json, sys
import tensorflow as tf
import tensorflow_text

def plain(tensor):
    values = tensor.numpy().tolist()
    nested = [[each.decode() for each in row] if isinstance(row, list) else row.decode()
              for row in values] if tensor.dtype == tf.string else values
    return {"values": nested, "shape": tensor.shape.as_list(), "dtype": tensor.dtype.name}

answers = {}
for name, (path, calls) in json.load(sys.stdin).items():
    model = tf.saved_model.load(path)
    answers[name] = []
    for signature, inputs in calls:
        inputs = {
            key: tf.constant([base64.b64decode(text) for text in texts], tf.string)
            for key, texts in inputs.items()
        }
        found = model.signatures[signature](**inputs)
        answers[name].append({key: plain(tensor) for key, tensor in found.items()})
ours = [name for name in sys.modules if name.partition(".")[0] in ("tflm", "tasks", "eval")]
print(json.dumps({"answers": answers, "ours": ours}))
"""


def batch(texts, size):
    """`size` texts, the odd ones among them."""
    return [*ODD, *texts][:size] if size > 1 else texts[:size]


def encoded(texts):
    raw = (BROKEN.get(text, text.encode()) for text in texts)
    return [base64.b64encode(each).decode() for each in raw]


@pytest.fixture(scope="module")
def sources(toy_pairs):
    return [source for source, _ in toy_pairs[:64]]


@pytest.fixture(scope="module")
def versions(trained_task, exported, tmp_path_factory):
    """A SavedModel for every strategy; that of the task, `exported`, has all signatures."""
    paths = {"beam": exported / "1"}
    for name in ("greedy", "sample"):
        module = trained_task.text_to_text(STRATEGIES[name])
        folder = tmp_path_factory.mktemp(name)
        signatures = {"serving_default": module.signatures()["serving_default"]}
        paths[name] = save(module, signatures, folder)
    return paths


@pytest.fixture(scope="module")
def served(versions, sources, toy_pairs):
    """What the exported models answer in a process that imports nothing of ours."""
    batches = [("serving_default", {"text": encoded(batch(sources, n))}) for n in BATCH_SIZES]
    pairs = [*toy_pairs[:5], ("", ""), ("five " * 30, "eins"), ("one", "zwei " * 50)]
    sides = {side: encoded([p[i] for p in pairs]) for i, side in enumerate(("source", "target"))}
    empty = {"source": [], "target": []}
    many = [("n_best", {"text": encoded(batch(sources, n))}) for n in (0, 7, 12)]
    calls = {
        "beam": [*batches, *many, ("score", sides), ("score", empty)],
        "greedy": batches,
        "sample": [("serving_default", {"text": encoded(sources[:7])})] * 2,
    }
    request = {name: (str(path), calls[name]) for name, path in versions.items()}
    done = subprocess.run(
        [sys.executable, "-c", CLIENT],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        cwd=versions["greedy"],
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ours"] == []
    return found["answers"]


def graph_nodes(path):
    """Every node and function of a SavedModel."""
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((path / "saved_model.pb").read_bytes())
    (meta_graph,) = model.meta_graphs
    functions = list(meta_graph.graph_def.library.function)
    nodes = [*meta_graph.graph_def.node, *(node for each in functions for node in each.node_def)]
    return nodes, functions


@pytest.mark.parametrize("name", ["beam", "greedy"])
def test_the_served_strings_are_those_of_the_task(served, trained_task, sources, name):
    for size, found in zip(BATCH_SIZES, served[name], strict=False):
        texts = batch(sources, size)
        ours = trained_task.n_best(texts, strategy=STRATEGIES[name])
        assert found["text"]["values"] == [texts[0] for texts in ours["text"]]
        assert found["truncated"]["values"] == ours["truncated"]
        scores = [scores[0] for scores in ours["score"]]
        np.testing.assert_allclose(found["score"]["values"], scores, rtol=1e-4, atol=1e-5)


def test_odd_texts_are_answered_and_cuts_reported(served):
    found = served["beam"][BATCH_SIZES.index(7)]
    answers = dict(zip(ODD, found["text"]["values"], strict=True))
    cut = dict(zip(ODD, found["truncated"]["values"], strict=True))
    assert answers[""] == ""
    assert not cut[""]
    assert cut["five " * 30]
    assert answers["two \ufffd"]


def test_what_is_served_has_the_promised_names_shapes_and_types(served):
    for size, found in zip(BATCH_SIZES, served["beam"], strict=False):
        assert {name: (each["shape"], each["dtype"]) for name, each in found.items()} == {
            "text": ([size], "string"),
            "score": ([size], "float32"),
            "truncated": ([size], "bool"),
        }


def test_n_best_gives_every_beam_best_first(served, trained_task, sources):
    for size, found in zip((0, 7, 12), served["beam"][4:7], strict=True):
        assert found["text"]["shape"] == found["score"]["shape"] == [size, 3]
        assert found["truncated"]["shape"] == [size]
        strategy = dataclasses.replace(STRATEGIES["beam"], num_return=3)
        ours = trained_task.n_best(batch(sources, size), strategy=strategy)
        assert found["text"]["values"] == ours["text"]
        for row in found["score"]["values"]:
            assert row == sorted(row, reverse=True)
    regular = found["text"]["values"][len(ODD) :]
    assert all(len(set(row)) == 3 for row in regular)


def test_given_targets_are_scored(served, trained_task, toy_pairs):
    found, empty = served["beam"][7:]
    expected = trained_task.score([*toy_pairs[:5], ("", "")])
    np.testing.assert_allclose(found["log_probability"]["values"][:6], expected, rtol=1e-4)
    tokens = trained_task.target_tokenizer.tokenize([target for _, target in toy_pairs[:5]])
    lengths = [*(tokens.row_lengths() + 1).numpy().tolist(), 1, 2, 40]
    assert found["num_tokens"]["values"][:6] == lengths[:6]
    assert found["num_tokens"]["values"][7] == 40  # as many as the task writes
    assert found["truncated"]["values"] == [False] * 6 + [True, True]
    assert [each["shape"] for each in empty.values()] == [[0], [0], [0]]


def test_sampling_is_served_with_its_seed(served, versions, trained_task, sources):
    first, second = served["sample"]
    assert first == second
    module = trained_task.text_to_text(STRATEGIES["sample"])
    found = module.signatures()["serving_default"](tf.constant(sources[:7]))
    ours = [text.decode() for text in found["text"].numpy()]
    assert first["text"]["values"] == ours
    assert ours != trained_task(sources[:7], strategy=Greedy())


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_saved_model_holds_only_ops_of_a_stock_server(versions, name):
    nodes, functions = graph_nodes(versions[name])
    core = {op for op in dir(tf.raw_ops) if op[0] != "_" and "PyFunc" not in op and "Xla" not in op}
    text = {"SentencepieceOp", "SentencepieceTokenizeOp", "SentencepieceDetokenizeOp"}
    used = {node.op for node in nodes}
    assert text <= used
    assert "StatelessWhile" in used or "While" in used  # the whole loop is in the graph
    own = {function.signature.name for function in functions}
    assert not used - core - text - own
    compiled = [each for each in (*nodes, *functions) if "_XlaMustCompile" in each.attr]
    assert not [each for each in compiled if each.attr["_XlaMustCompile"].b]


def test_every_input_and_output_has_a_batch_dimension(versions):
    loaded = tf.saved_model.load(str(versions["beam"]))
    answer = {"text": tf.string, "score": tf.float32, "truncated": tf.bool}
    score = {"log_probability": tf.float32, "num_tokens": tf.int32, "truncated": tf.bool}
    tokens = {"token_ids": tf.int32, "pieces": tf.string, "length": tf.int32}
    promised = {
        "tokenize": ({"text"}, tokens, 2),
        "embed": ({"text"}, {"embedding": tf.float32}, 2),
        "serving_default": ({"text"}, answer, 1),
        "n_best": ({"text"}, answer, 2),
        "score": ({"source", "target"}, score, 1),
    }
    assert set(loaded.signatures) == set(promised)
    for signature, (inputs, outputs, rank) in promised.items():
        function = loaded.signatures[signature]
        arguments = function.structured_input_signature[1]
        assert set(arguments) == inputs
        for spec in arguments.values():
            assert (spec.dtype, spec.shape.as_list()) == (tf.string, [None])
        found = function.structured_outputs
        assert {key: spec.dtype for key, spec in found.items()} == outputs
        for key, spec in found.items():
            ranks = 1 if key in ("truncated", "length") else rank
            assert spec.shape.rank == ranks
            assert spec.shape[0] is None


def test_an_exported_model_does_not_change_with_its_task(make_task, tmp_path):
    task = make_task(strategy=Greedy(), limits=Limits(max_length=6))
    module = task.text_to_text()
    path = save(module, {"serving_default": module.signatures()["serving_default"]}, tmp_path)
    before = task("one two")
    loaded = tf.saved_model.load(str(path))
    for weight in task.model.weights:
        weight.assign(-weight)
    assert task("one two") != before  # the task's own graph sees the new weights
    answer = loaded.signatures["serving_default"](text=tf.constant(["one two"]))
    assert answer["text"].numpy()[0].decode() == before


@pytest.fixture(scope="module")
def small(make_task):
    """A module whose answers are not all alike, however little it has learned."""
    strategy = Beam(num_beams=3, length_penalty="power", alpha=1.0)
    limits = Limits(max_length=6, no_repeat_ngram_size=1)
    return make_task(strategy=strategy, limits=limits, max_source_length=20).text_to_text()


def options(rows, **changes):
    values = {name: np.zeros(rows) for name in OPTIONS} | changes
    return {name: tf.constant(values[name], dtype) for name, dtype in OPTIONS.items()}


def test_options_search_and_draw_as_strategies_do(small):
    texts = tf.constant(["one two", "three", "", "four five"])
    alphas = [2.0, -2.0, 0.0, 0.0]
    found = small.by_options(
        texts, options(4, length_penalty=alphas, temperature=[0, 0, 0, 1.3], top_k=[0, 0, 0, 9])
    )
    for row, alpha in enumerate(alphas[:3]):
        strategy = dataclasses.replace(small.strategy, alpha=alpha)
        alone = small.hypotheses(texts[row : row + 1], strategy)
        for name, value in alone.items():
            ours = found[name][row].numpy()
            if name == "score":
                assert ours == pytest.approx(float(value[0, 0]), abs=1e-4)
            else:
                assert ours == np.ravel(value)[0]
    # One integer as a seed gives the first row this one.
    drawn = small.hypotheses(texts[3:], Sample(temperature=1.3, top_k=9))
    assert found["text"][3].numpy() == drawn["text"].numpy()[0, 0]


def test_options_say_how_long_a_text_may_be(small):
    texts = tf.constant(["one two three"] * 3)
    given = options(3, max_length=[1, 3, 0], temperature=[1.0] * 3, seed=[4, 4, 4])
    found = small.by_options(texts, given)
    sizes = [len(text) for text in found["text"].numpy()]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]
    assert small.by_options(texts[:0], options(0))["text"].shape == (0,)


def test_an_explanation_says_where_each_piece_comes_from(small):
    texts = tf.constant(["one two", "", "three"])
    found = {name: value.numpy() for name, value in small.explanation(texts).items()}
    best = small.hypotheses(texts)
    np.testing.assert_array_equal(found["text"], best["text"][:, 0])
    np.testing.assert_array_equal(found["truncated"], best["truncated"])
    written = [b"".join(row).decode().strip() for row in found["target_pieces"]]
    plain = [text.decode() for text in found["text"]]
    assert [
        w for w, p in zip(written, plain, strict=True) if "<0x" not in w and "\ufffd" not in p
    ] == [p for w, p in zip(written, plain, strict=True) if "<0x" not in w and "\ufffd" not in p]
    assert [b"".join(row) for row in found["source_pieces"]] == [
        b" one two</s>",
        b"</s>",
        b" three</s>",
    ]
    sums = found["attention"].sum(axis=-1)
    np.testing.assert_allclose(sums, found["target_pieces"] != b"", atol=1e-5)
    hidden = found["source_pieces"] == b""
    assert not found["attention"].swapaxes(1, 2)[hidden].any()


def test_a_text_is_embedded_as_in_any_batch(small):
    texts = tf.constant(["one two", "three four five six", ""])
    found = small.embedding(texts).numpy()
    assert found.shape == (3, 24) and found.dtype == np.float32
    np.testing.assert_allclose(small.embedding(texts[:1])[0], found[0], atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-2


def test_a_model_without_an_encoder_has_fewer_signatures(small):
    assert set(small._builders()) >= {"embed", "prefill", "decode_step", "explain", "options"}
    plain = copy.copy(small)
    plain._encodes = plain._explains = False
    assert set(plain._builders()) == {"serving_default", "n_best", "score", "tokenize", "options"}
