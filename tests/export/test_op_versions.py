import json
import pathlib

import pytest

from tflm.export.op_versions import PYTHON_ONLY, Missing, OpVersions

KNOWN = OpVersions.known()


def test_versions_are_in_order_and_reach_from_2_12_on():
    numbers = [int(version.removeprefix("2.")) for version in KNOWN.versions]
    assert numbers == list(range(12, 12 + len(numbers)))
    assert len(numbers) >= 10


def test_ops_of_all_versions_are_missing_nowhere():
    assert KNOWN.missing(["MatMul", "While", "SentencepieceOp"], KNOWN.versions) == []
    assert KNOWN.missing(PYTHON_ONLY, KNOWN.versions) == []  # registered, and not runnable


def test_an_op_that_came_later_is_missing_before():
    found = KNOWN.missing(["TFText>RoundRobinTrim", "MatMul"], KNOWN.versions)
    assert found == [Missing("TFText>RoundRobinTrim", KNOWN.versions[:8], True)]
    assert KNOWN.missing(["TFText>RoundRobinTrim"], ["2.20"]) == []


def test_an_op_that_was_removed_is_missing_after():
    (found,) = KNOWN.missing(["_MklAddV2"], KNOWN.versions)
    assert found.targets[0] == "2.17" and found.targets[-1] == KNOWN.versions[-1]


def test_an_op_of_nobody_is_missing_everywhere():
    assert KNOWN.missing(["Addons>GatherTree"], KNOWN.versions) == [
        Missing("Addons>GatherTree", KNOWN.versions, False)
    ]


def test_attributes_that_came_later_are_missing_before():
    (found,) = KNOWN.missing_attributes(["MatMul.grad_a", "MatMul.transpose_a"], KNOWN.versions)
    assert found == Missing("MatMul.grad_a", KNOWN.versions[:4], True)
    assert KNOWN.missing_attributes(["MatMul.grad_a"], ["2.16"]) == []


def test_the_installed_version_has_what_the_file_says():
    import tensorflow as tf
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    version = ".".join(tf.__version__.split(".")[:2])
    if version not in KNOWN.versions:
        pytest.skip(f"TensorFlow {version} is newer than the file")
    content = pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())
    ops = op_def_pb2.OpList.FromString(content).op
    registered = {op.name for op in ops}
    file = pathlib.Path(__file__).parents[2] / "tflm" / "export" / "op_versions.json"
    found = json.loads(file.read_text())
    last = KNOWN.versions[-1]
    core = {*found["ops"], *(name for name, span in found["later_ops"].items() if len(span) == 1)}
    assert version == last and core <= registered
    attributes = [f"{op.name}.{attr.name}" for op in ops for attr in op.attr]
    assert KNOWN.missing_attributes(attributes, [last]) == []
