import shutil

import numpy as np
import pytest
import tensorflow as tf

from tflm.export.replay import difference, replay
from tflm.export.saved_model_file import read
from tflm.export.warmup import Record, write_warmup


def texts(*values):
    return {"text": np.array([value.encode() for value in values], object)}


@pytest.fixture
def copy(upper, tmp_path):
    return shutil.copytree(upper, tmp_path / "1")


def found(directory):
    return {each.rule: (each.status, each.message) for each in replay(read(directory))}


def test_a_model_that_answers_as_recorded_passes(copy):
    records = [
        Record("", texts("abc", "é"), {"length": np.array([3, 2], "int32"), **texts("ABC", "é")}),
        Record("serving_default", texts(""), {"length": np.array([0], "int32")}),
    ]
    write_warmup(copy, "upper", records)
    assert found(copy) == {
        "reload": ("ok", "Loaded in a fresh process, with XLA off."),
        "answers": ("ok", "2 requests answered, 2 as recorded."),
        "batches": ("ok", "Requests in one batch are answered as alone."),
    }


def test_another_answer_than_recorded_is_a_failure(copy):
    write_warmup(copy, "upper", [Record("", texts("abc"), texts("abC"))])
    status, message = found(copy)["answers"]
    assert status == "failure"
    assert message == (
        "Request 0 (serving_default): output text[0] is b'ABC', recorded was b'abC'."
    )


def test_a_request_that_fails_is_a_failure(copy):
    write_warmup(copy, "upper", [Record("", {"text": np.array([1.5])}, {})])
    status, message = found(copy)["answers"]
    assert status == "failure" and message.startswith("Request 0 (serving_default) fails: ")


def test_without_recorded_requests_some_are_made_up(copy):
    assert found(copy)["answers"] == (
        "warning",
        "1 requests answered; no answers are recorded to compare with.",
    )


def test_without_strings_to_make_up_nothing_is_run(save, tmp_path):
    spec = tf.TensorSpec([None], tf.float32, name="x")
    save(tmp_path / "m", lambda x: {"y": x}, spec)
    assert found(tmp_path / "m")["answers"][0] == "warning"


def test_a_row_that_depends_on_its_batch_is_a_failure(save, tmp_path):
    spec = tf.TensorSpec([None], tf.float32, name="x")
    save(tmp_path / "m", lambda x: {"y": x - tf.reduce_mean(x)}, spec)
    zero = {"y": np.zeros(1, "float32")}
    records = [Record("", {"x": np.array([value], "float32")}, zero) for value in (1.0, 3.0)]
    write_warmup(tmp_path / "m", "m", records)
    assert found(tmp_path / "m")["batches"] == (
        "failure",
        "Signature serving_default, in a batch: output y[0] is np.float32(-1.0), "
        "recorded was np.float32(0.0).",
    )


@pytest.mark.parametrize(
    ("dtype", "status"), [(tf.float32, "failure"), (tf.bfloat16, "ok")], ids=["float32", "bfloat16"]
)
def test_numbers_of_a_model_that_multiplies_bfloat16_may_be_rounded_otherwise(
    dtype, status, save, tmp_path
):
    def half(x):
        return {"y": tf.cast(tf.matmul(tf.cast(x, dtype), tf.cast([[0.5]], dtype)), tf.float32)}

    save(tmp_path / "m", half, tf.TensorSpec([None, 1], tf.float32, name="x"))
    recorded = {"y": np.array([[100.2]], "float32")}
    write_warmup(tmp_path / "m", "m", [Record("", {"x": np.array([[200]], "float32")}, recorded)])
    assert found(tmp_path / "m")["answers"][0] == status
    recorded = {"y": np.array([[101]], "float32")}
    write_warmup(tmp_path / "m", "m", [Record("", {"x": np.array([[200]], "float32")}, recorded)])
    assert found(tmp_path / "m")["answers"][0] == "failure"


def test_a_model_that_cannot_be_loaded_is_a_failure(copy):
    (copy / "saved_model.pb").write_bytes(
        (copy / "saved_model.pb").read_bytes().replace(b"StringUpper", b"StringLower_"[:11])
    )
    broken = read(copy)
    broken.meta_graph.graph_def.node.add(name="x", op="NoSuchOp")
    file = tf.compat.v1.MetaGraphDef()
    file.CopyFrom(broken.meta_graph)
    from tensorflow.core.protobuf import saved_model_pb2

    whole = saved_model_pb2.SavedModel(meta_graphs=[file], saved_model_schema_version=1)
    (copy / "saved_model.pb").write_bytes(whole.SerializeToString())
    status, message = found(copy)["reload"]
    assert status == "failure" and "NoSuchOp" in message


def test_differences_are_told():
    ones = {"y": np.ones((2, 3), "float32")}
    assert difference(ones, ones) == ""
    assert difference(ones, {"y": np.ones((2, 3)) + 5e-5}) == ""
    assert difference(ones, {"z": ones["y"]}) == "output z is missing."
    assert difference(ones, {"y": np.ones(2)}) == "output y has shape [2, 3], recorded was [2]."
    longer = {"y": np.ones((2, 5), "float32")}
    assert difference(longer, ones) == ""  # a batch is as long as its longest row
    wrong = difference(ones, {"y": np.array([[1, 1, 1], [1, 2, 1]], "float32")})
    assert wrong == "output y[1, 1] is np.float32(1.0), recorded was np.float32(2.0)."
