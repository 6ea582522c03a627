import dataclasses
import random
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tflm.export.compact import OPTIONS, compact, merge_equal, share_equal, shorten_names
from tflm.export.saved_model_file import read
from tflm.export.session import Session
from tflm.generation import Beam, Limits
from tflm.models import ARCHITECTURES
from tflm.tasks import Translation
from tflm.tokenizers import SentencePieceTokenizer

NUMBERS = tf.TensorSpec([None, 3], tf.float32, name="numbers")
TEXT = tf.TensorSpec([None], tf.string, name="text")
INPUTS = {"text": np.array(["你好".encode(), b"abc"], object)}


@tf.custom_gradient
def tripled(x):
    return 3.0 * x, lambda upstream: 3.0 * upstream


class Loops(tf.Module):
    """Functions in functions, loops, branches and variables, each of them more than once."""

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(np.arange(9.0).reshape(3, 3), dtype=tf.float32, name="weight")
        self.step = tf.function(self._step, input_signature=[NUMBERS], autograph=False)

    def _step(self, x):
        rows = tf.reshape(tripled(tf.matmul(x, self.weight)), [tf.shape(x)[0], 3])
        return tf.reshape(rows / 40.0, [tf.shape(x)[0], 3])

    def looped(self, x):
        return tf.while_loop(
            lambda i, _: i < 4, lambda i, x: (i + 1, self.step(x)), (tf.constant(0), x)
        )[1]

    def signatures(self):
        def serving_default(text):
            sizes = tf.cast(tf.strings.length(text, "UTF8_CHAR"), tf.float32)  # (B,)
            x = self.looped(sizes[:, None] + [1.0, 2.0, 5.0])
            sums = tf.reduce_sum(x, axis=1)
            return {
                "text": tf.strings.upper(text),
                "sum": tf.cond(sums[0] > 0, lambda: sums, lambda: 0.0 * sums),
            }

        def again(text):
            sizes = tf.cast(tf.strings.length(text, "UTF8_CHAR"), tf.float32)  # (B,)
            return {"x": self.looped(sizes[:, None] * [1.0, -2.0, 7.0])}

        functions = {"serving_default": serving_default, "again": again}
        return {
            name: tf.function(function, input_signature=[TEXT], autograph=False)
            for name, function in functions.items()
        }


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    """A SavedModel as TensorFlow writes it, and the same compacted."""
    before, after = (tmp_path_factory.mktemp(name) / "1" for name in ("before", "after"))
    module = Loops()
    tf.saved_model.save(module, str(before), signatures=module.signatures(), options=OPTIONS)
    compact(shutil.copytree(before, after))
    return before, after


def functions_of(directory):
    return read(directory).meta_graph.graph_def.library.function


def test_what_is_computed_stays_the_same_and_the_file_is_smaller(directories):
    before, after = directories
    assert read(after).size < 0.6 * read(before).size
    sessions = [Session(read(directory)) for directory in directories]
    loaded = tf.saved_model.load(str(after))
    for name in ("serving_default", "again"):
        expected, found = (session.run(name, INPUTS) for session in sessions)
        eager = loaded.signatures[name](tf.constant(INPUTS["text"]))
        assert expected.keys() == found.keys() == eager.keys()
        for output, wanted in expected.items():
            np.testing.assert_array_equal(found[output], wanted)
            np.testing.assert_array_equal(eager[output].numpy(), wanted)
            assert not np.issubdtype(wanted.dtype, np.inexact) or wanted.any()


def test_functions_that_are_called_by_name_are_there(directories):
    loaded = tf.saved_model.load(str(directories[1]))
    x = tf.constant([[1.0, 0.0, 2.0]])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(loaded.step(x))
    np.testing.assert_allclose(loaded.step(x), 3.0 * x @ loaded.weight / 40.0, rtol=1e-6)
    expected = np.outer(x[0], np.full(3, 3.0 / 40.0))
    np.testing.assert_allclose(tape.gradient(total, loaded.weight), expected, rtol=1e-6)


def test_names_are_short_but_for_those_that_others_say(directories):
    before, after = directories
    names = {node.name for each in functions_of(after) for node in each.node_def}
    assert max(map(len, names)) <= 3
    old, new = ({f.signature.name for f in functions_of(each)} for each in directories)
    assert new < old
    assert read(after).meta_graph.object_graph_def.concrete_functions.keys() <= new
    assert read(after).signatures() == read(before).signatures()
    (variable,) = (n for n in read(after).meta_graph.graph_def.node if n.op == "VarHandleOp")
    assert (variable.name, variable.attr["shared_name"].s) == ("v0", b"weight")
    assert "debug_name" not in variable.attr


def test_only_calls_say_their_shapes(directories):
    said = {
        node.op
        for function in functions_of(directories[1])
        for node in function.node_def
        if "_output_shapes" in node.attr
    }
    assert said and said <= {"PartitionedCall", "StatefulPartitionedCall"}


def test_equal_loops_are_one(directories):
    counts = [
        sum("while_body" in function.signature.name for function in functions_of(directory))
        for directory in directories
    ]
    assert counts == [2, 1]


def test_no_fingerprint_of_another_file_is_left(directories):
    assert [(each / "fingerprint.pb").exists() for each in directories] == [True, False]


def definition(function, *specs):
    concrete = tf.function(function, autograph=False).get_concrete_function(*specs)
    return type(concrete.function_def).FromString(concrete.function_def.SerializeToString())


def ops(function):
    return sorted(node.op for node in function.node_def)


def test_operations_with_a_state_are_not_merged():
    def drawn(x):
        size = tf.shape(x)
        twice = (x + 1.0) * (1.0 - x) + (x + 1.0) * (1.0 - x)
        return twice + tf.random.uniform(size) - tf.random.uniform(size)

    function = definition(drawn, tf.TensorSpec([None], tf.float32))
    merge_equal(function, frozenset(ops(function)) - {"RandomUniform"})
    found = ops(function)
    assert found.count("RandomUniform") == 2
    assert (found.count("Mul"), found.count("Shape")) == (1, 1)


def test_results_are_those_of_what_was_merged():
    function = definition(
        lambda x: (x + 2.0, {"y": x + 2.0, "x": x}), tf.TensorSpec([], tf.float32)
    )
    merge_equal(function, frozenset({"AddV2", "Const", "Identity"}))
    shorten_names(function)
    assert [each.name for each in function.signature.input_arg] == ["a0"]
    assert [each.name for each in function.signature.output_arg] == ["o0", "o1", "o2"]
    assert function.ret["o0"] == function.ret["o2"] != function.ret["o1"]
    assert ops(function).count("AddV2") == 1


def test_of_equal_functions_those_stay_that_are_named():
    graph = tf.compat.v1.GraphDef()
    for name, called in (
        ("f", ""),
        ("g", ""),
        ("calls_f", "f"),
        ("calls_g", "g"),
        ("h", "calls_g"),
    ):
        function = graph.library.function.add()
        function.signature.name = name
        node = function.node_def.add(name="n0", op="PartitionedCall" if called else "NoOp")
        if called:
            node.attr["f"].func.name = called
    graph.node.add(name="x", op="PartitionedCall").attr["f"].func.name = "f"
    share_equal(graph, {"g": None, "calls_f": None})
    found = {each.signature.name: each for each in graph.library.function}
    assert sorted(found) == ["calls_f", "g", "h"]
    assert graph.node[0].attr["f"].func.name == "g"
    assert found["calls_f"].node_def[0].attr["f"].func.name == "g"
    assert found["h"].node_def[0].attr["f"].func.name == "calls_f"


def size(directory):
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


@pytest.mark.slow
def test_further_signatures_add_less_than_a_twentieth(tmp_path):
    generator = random.Random(5)
    parts = [a + b for a in "bdfgklmnprst公园我茶" for b in "aeiou很大"]
    words = ["".join(generator.choices(parts, k=generator.randint(2, 4))) for _ in range(9000)]
    lines = [" ".join(generator.choices(words, k=8)) for _ in range(6000)]
    tokenizer = SentencePieceTokenizer.train(lines, 8000)
    cls = ARCHITECTURES["transformer"]
    network = cls(dataclasses.replace(cls.PRESETS["tiny"], vocab_size=tokenizer.vocab_size))
    network.build(None)
    task = Translation(network, tokenizer, strategy=Beam(4), limits=Limits(max_length=128))
    sizes = {}
    for signatures in ((), "all"):
        directory = task.export(tmp_path / f"{len(sizes)}", signatures=signatures, warmup=())
        sizes[signatures] = size(directory)
    assert 9_000_000 < sizes[()] < sizes["all"] < 1.05 * sizes[()]
