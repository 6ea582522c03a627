import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.export import rules
from tflm.export.op_versions import OpVersions
from tflm.export.saved_model_file import read
from tflm.export.warmup import FILE, Record, write_warmup

TARGETS = OpVersions.known().versions
NUMBERS = tf.TensorSpec([None], tf.float32, name="x")


def found(rule, directory, targets=TARGETS):
    return [(each.status, each.message) for each in rule(read(directory), targets)]


def test_a_good_model_fails_no_rule(upper):
    findings = [each for rule in rules.RULES for each in rule(read(upper), TARGETS)]
    assert [each.rule for each in findings] == [rule.__name__ for rule in rules.RULES]
    assert {each.rule for each in findings if each.status != "ok"} == {"warmup"}


def test_an_op_that_a_target_lacks_is_named(save, tmp_path):
    import tensorflow_text as tf_text

    def serve(text):
        ragged = tf.strings.split(text)
        return {"text": tf.strings.reduce_join(tf_text.RoundRobinTrimmer(3).trim([ragged])[0], -1)}

    save(tmp_path, serve)
    ((status, message),) = found(rules.operations, tmp_path)
    assert status == "failure"
    assert (
        "Op TFText>RoundRobinTrim is not in TF Serving 2.12 to 2.19; it stands 1 times" in message
    )
    ((status, message),) = found(rules.operations, tmp_path, ["2.20"])
    assert (status, message.endswith("all in TF Serving 2.20.")) == ("ok", True)


def test_an_op_of_nobody_is_named(upper, tmp_path):
    model = read(upper)
    model.meta_graph.graph_def.node.add(name="beam", op="Addons>GatherTree")
    (finding,) = rules.operations(model, TARGETS)
    assert "Addons>GatherTree is neither TensorFlow's nor TF Text's" in finding.message
    assert finding.message.endswith("first as beam.")


def test_an_attribute_that_a_target_lacks_is_named(upper):
    model = read(upper)
    model.meta_graph.graph_def.node.add(name="m", op="MatMul").attr["grad_a"].b = True
    (finding,) = rules.attributes(model, TARGETS)
    assert finding.status == "warning"
    assert "grad_a of op MatMul is ignored by TF Serving 2.12 to 2.15" in finding.message
    (finding,) = rules.attributes(model, TARGETS[4:])
    assert finding.status == "ok"


@pytest.mark.parametrize("wrap", [tf.py_function, tf.numpy_function])
def test_python_is_found(save, tmp_path, wrap):
    save(tmp_path, lambda x: {"y": tf.reshape(wrap(lambda x: x, [x], tf.float32), [-1])}, NUMBERS)
    ((status, message),) = found(rules.python, tmp_path)
    assert status == "failure" and "runs in a Python process only" in message


def test_xla_is_found(save, tmp_path):
    compiled = tf.function(lambda x: 2.0 * x, jit_compile=True)
    save(tmp_path, lambda x: {"y": compiled(x)}, NUMBERS)
    findings = found(rules.xla, tmp_path)
    assert findings and all(status == "failure" for status, _ in findings)
    assert "XLA compilation disabled" in findings[0][1]


def test_an_op_that_only_xla_runs_is_found(save, tmp_path):
    def serve(x):
        return {"y": keras.ops.slice_update(x, (0,), tf.zeros([1]))}

    save(tmp_path, serve, NUMBERS)
    ((status, message),) = found(rules.xla, tmp_path)
    assert status == "failure" and "Op XlaDynamicUpdateSlice runs inside XLA only" in message


def test_a_model_without_a_default_signature_is_found(save, tmp_path):
    save(tmp_path, lambda text: {"text": text}, name="other")
    ((status, message),) = found(rules.default_signature, tmp_path)
    assert status == "failure" and message.endswith("every request has to name one of other.")


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (
            lambda x: tf.reduce_sum(x),
            "failure",
            "Output y of signature serving_default is a scalar",
        ),
        (lambda x: tf.ones([4]), "failure", "takes batches of 4 only"),
        (
            lambda x: tf.py_function(lambda x: x, [x], tf.float32),
            "warning",
            "Output y of signature serving_default has no known rank",
        ),
        (lambda x: x, "ok", "Every input and output has one, of any size."),
    ],
)
def test_every_tensor_needs_a_batch_dimension(save, tmp_path, answer, status, said):
    save(tmp_path, lambda x: {"y": answer(x)}, NUMBERS)
    ((found_status, message),) = found(rules.batch_dimension, tmp_path)
    assert found_status == status and said in message


def test_a_scalar_input_is_found(save, tmp_path):
    save(tmp_path, lambda x: {"y": tf.ones([1]) * x}, tf.TensorSpec([], tf.float32, name="x"))
    (_, message), *_ = found(rules.batch_dimension, tmp_path)
    assert message.startswith("Input x of signature serving_default is a scalar")


def test_a_dtype_that_json_cannot_carry_is_found(save, tmp_path):
    save(tmp_path, lambda x: {"y": tf.cast(x, tf.bfloat16)}, NUMBERS)
    ((status, message),) = found(rules.dtypes, tmp_path)
    assert status == "failure"
    assert message.startswith("Output y of signature serving_default is DT_BFLOAT16")


def test_a_table_that_grows_is_a_warning(save, tmp_path):
    module = tf.Module()
    module.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    save(tmp_path, lambda text: {"id": tf.reshape(module.table.lookup(text), [-1])}, module=module)
    ((status, message),) = found(rules.tables, tmp_path)
    assert status == "warning" and "MutableHashTableV2" in message


def test_a_graph_larger_than_a_protocol_buffer_is_found(upper):
    import dataclasses

    model = dataclasses.replace(read(upper), size=2**31)
    (finding,) = rules.size(model, TARGETS)
    assert finding.status == "failure" and "2048.0 MiB, more than the 2 GiB" in finding.message


@pytest.mark.parametrize(
    ("signatures", "status", "said"),
    [
        ([], "warning", "There are no warm-up requests"),
        ([""], "ok", "1 requests for 1 signatures."),
        (["serving_default", ""], "ok", "2 requests for 1 signatures."),
        (["other"], "failure", "Records for signatures that there are not: other."),
        ([""] * 1001, "failure", "1001 records; the server takes 1000 at most."),
    ],
)
def test_warm_up_requests_are_counted(upper, tmp_path, signatures, status, said):
    (tmp_path / "saved_model.pb").write_bytes((upper / "saved_model.pb").read_bytes())
    inputs = {"text": np.array([b"a"], object)}
    if signatures:
        write_warmup(tmp_path, "upper", [Record(name, inputs, {}) for name in signatures])
    ((found_status, message),) = found(rules.warmup, tmp_path)
    assert found_status == status and said in message


def test_signatures_without_warm_up_are_named(tmp_path):
    functions = {
        name: tf.function(
            lambda text: {"text": text}, input_signature=[tf.TensorSpec([None], tf.string)]
        )
        for name in ("serving_default", "n_best")
    }
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures=functions)
    write_warmup(tmp_path, "m", [Record("", {"text": np.array([b"a"], object)}, {})])
    assert found(rules.warmup, tmp_path) == [("warning", "1 requests, none for n_best.")]


def test_a_damaged_warm_up_file_is_found(upper, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes((upper / "saved_model.pb").read_bytes())
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / FILE).write_bytes(b"nothing that a TFRecord could be")
    ((status, message),) = found(rules.warmup, tmp_path)
    assert status == "failure" and message.endswith("The server does not load such a model.")
