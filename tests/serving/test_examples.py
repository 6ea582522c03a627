import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import input_pb2

from tflm.serving.examples import (
    check_classify,
    check_regress,
    classification_result,
    regression_result,
    serialized_examples,
)
from tflm.serving.status import RequestError


def signature(inputs, outputs):
    found = meta_graph_pb2.SignatureDef()
    for name in inputs:
        found.inputs[name].name = name
    for name in outputs:
        found.outputs[name].name = name
    return found


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (["a", "b"], ["classes"], "Expected one input Tensor."),
        (["a"], [], "Expected one or two output Tensors, found 0"),
        (["a"], ["a", "b", "c"], "Expected one or two output Tensors, found 3"),
        (["a"], ["classes"], "No classification inputs found in SignatureDef: inputs"),
        (["inputs"], ["词"], 'outputs to contain at least one of "classes" or "scores". Signature'),
    ],
)
def test_a_signature_that_does_not_classify_is_refused(inputs, outputs, message):
    with pytest.raises(RequestError, match=message):
        check_classify(signature(inputs, outputs))


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (["a", "b"], ["outputs"], "Expected one input Tensor."),
        (["inputs"], ["outputs", "b"], "Expected one output Tensor."),
        (["a"], ["outputs"], "No regression inputs found in SignatureDef: inputs"),
        (["inputs"], ["词"], "No regression outputs found in SignatureDef: inputs"),
    ],
)
def test_a_signature_that_does_not_regress_is_refused(inputs, outputs, message):
    with pytest.raises(RequestError, match=message):
        check_regress(signature(inputs, outputs))


def test_a_signature_that_has_what_it_needs_passes():
    assert check_classify(signature(["inputs"], ["classes"])) is None
    assert check_classify(signature(["inputs"], ["classes", "scores"])) is None
    assert check_regress(signature(["inputs"], ["outputs"])) is None


def test_the_context_is_in_front_of_each_example():
    request = input_pb2.Input()
    with pytest.raises(RequestError, match="Input is empty."):
        serialized_examples(request)
    listed = request.example_list_with_context
    listed.context.features.feature["语"].bytes_list.value.append(b"zh")
    with pytest.raises(RequestError, match="Input is empty."):
        serialized_examples(request)
    for number in (4, 5):
        listed.examples.add().features.feature["n"].int64_list.value.append(number)
    first, second = (tf.train.Example.FromString(each) for each in serialized_examples(request))
    assert first.features.feature["语"].bytes_list.value == [b"zh"]
    assert second.features.feature["n"].int64_list.value == [5]


CLASSES = np.array([["好".encode(), b"bad", b"so"]] * 2, object)
SCORES = np.arange(6, dtype="float32").reshape(2, 3)


def test_labels_and_scores_are_put_together():
    found = classification_result({"classes": CLASSES, "scores": SCORES}, 2)
    assert [(each.label, each.score) for each in found.classifications[1].classes] == [
        ("好", 3.0),
        ("bad", 4.0),
        ("so", 5.0),
    ]
    (first, _) = classification_result({"scores": SCORES}, 2).classifications
    assert [each.label for each in first.classes] == ["", "", ""]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"scores": SCORES[0]}, r"Expected Tensor shape: \[batch_size num_classes\] but got \[3\]"),
        ({"scores": SCORES.astype("int32")}, "Expected scores Tensor of DT_FLOAT. Got: DT_INT32"),
        ({"classes": SCORES}, "Expected classes Tensor of DT_STRING. Got: DT_FLOAT"),
        ({"scores": SCORES[:1]}, "Expected scores output batch size of 2. Got: 1"),
        (
            {"classes": CLASSES, "scores": SCORES[:, :2]},
            r"should match in dim_size\(1\). Got 3 vs. 2",
        ),
    ],
)
def test_outputs_that_are_no_classes_are_refused(outputs, message):
    with pytest.raises(RequestError, match=message):
        classification_result(outputs, 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (SCORES, r"either \[batch_size\] or \[batch_size, 1\] but got \[2,3\]"),
        (SCORES[0], "Input batch size did not match output batch size: 2 vs. 3"),
        (np.zeros(2), "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE"),
    ],
)
def test_outputs_that_are_no_numbers_are_refused(values, message):
    with pytest.raises(RequestError, match=message):
        regression_result(values, 2)


def test_a_column_of_numbers_is_as_good_as_a_list():
    for values in (SCORES[:, 0], SCORES[:, :1]):
        assert [each.value for each in regression_result(values, 2).regressions] == [0.0, 3.0]
