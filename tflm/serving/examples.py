"""Classify, Regress and MultiInference: answers about `tf.Example`s (`servables/tensorflow`).

A model of ours has signatures to predict, so these mostly say what is missing. As in a server with
`--enable_signature_method_name_check=false`, the default, the names of inputs and outputs decide.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from tflm.serving.predictor import Predictor, Target
from tflm.serving.servable import Servable
from tflm.serving.status import Code, RequestError, invalid

_INPUTS = "inputs"  # tf.saved_model.CLASSIFY_INPUTS and REGRESS_INPUTS
_CLASSES, _SCORES, _OUTPUTS = "classes", "scores", "outputs"
_CLASSIFY = "tensorflow/serving/classify"
_REGRESS = "tensorflow/serving/regress"


def classify(
    predictor: Predictor, servable: Servable, target: Target, request: Any, timeout_ms: int = 0
) -> Any:
    """The `ClassificationResult` of the examples in an `Input`.

    Raises:
        RequestError: the signature is not one to classify, or fails.
    """
    signature = _signature(servable, target)
    check_classify(signature)
    examples = serialized_examples(request)
    wanted = [name for name in (_CLASSES, _SCORES) if name in signature.outputs]
    outputs = _run(predictor, servable, target, examples, wanted, "Classify", timeout_ms)
    return classification_result(outputs, len(examples))


def regress(
    predictor: Predictor, servable: Servable, target: Target, request: Any, timeout_ms: int = 0
) -> Any:
    """The `RegressionResult` of the examples in an `Input`.

    Raises:
        RequestError: the signature is not one to regress, or fails.
    """
    signature = _signature(servable, target)
    check_regress(signature)
    examples = serialized_examples(request)
    outputs = _run(predictor, servable, target, examples, [_OUTPUTS], "Regress", timeout_ms)
    return regression_result(outputs[_OUTPUTS], len(examples))


def multi_inference(
    predictor: Predictor, servable: Servable, request: Any, timeout_ms: int = 0
) -> Any:
    """The `MultiInferenceResponse`: several signatures of one model on the same examples.

    Raises:
        RequestError: the tasks are not of one model, or one fails.
    """
    response = inference_pb2.MultiInferenceResponse()
    seen = set()
    for task in request.tasks:
        target = Target(task.model_spec.name, signature=task.model_spec.signature_name)
        name = target.signature_name
        if task.model_spec.name != servable.name:
            raise invalid(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        if name in seen:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        if servable.signature(name) is None:
            raise invalid(f"Requested signature not found in model graph: {name}")
        result = response.results.add()
        if task.method_name == _CLASSIFY:
            found = classify(predictor, servable, target, request.input, timeout_ms)
            result.classification_result.CopyFrom(found)
        elif task.method_name == _REGRESS:
            found = regress(predictor, servable, target, request.input, timeout_ms)
            result.regression_result.CopyFrom(found)
        else:
            raise RequestError(
                Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}"
            )
        result.model_spec.name = servable.name
        result.model_spec.signature_name = name
        result.model_spec.version.value = servable.version
    return response


def check_classify(signature: Any) -> None:
    """Whether a signature takes examples and gives classes or scores.

    Raises:
        RequestError: it does not.
    """
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if _INPUTS not in signature.inputs:
        raise invalid(f"No classification inputs found in SignatureDef: {signature}")
    if _CLASSES not in signature.outputs and _SCORES not in signature.outputs:
        raise invalid(
            'Expected classification signature outputs to contain at least one of "classes" or '
            f'"scores". Signature was: {signature}'
        )


def check_regress(signature: Any) -> None:
    """Whether a signature takes examples and gives a number for each.

    Raises:
        RequestError: it does not.
    """
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    if _INPUTS not in signature.inputs:
        raise invalid(f"No regression inputs found in SignatureDef: {signature}")
    if _OUTPUTS not in signature.outputs:
        raise invalid(f"No regression outputs found in SignatureDef: {signature}")


def serialized_examples(request: Any) -> np.ndarray:
    """The bytes of each `tf.Example` of an `Input`, each behind those of the common context.

    Raises:
        RequestError: there is none.
    """
    kind = request.WhichOneof("kind")
    examples = [] if kind is None else list(getattr(request, kind).examples)
    if not examples:
        raise invalid("Input is empty.")
    context = b""
    if kind == "example_list_with_context":
        context = request.example_list_with_context.context.SerializeToString()
    return np.array([context + each.SerializeToString() for each in examples], object)


def classification_result(outputs: dict[str, np.ndarray], count: int) -> Any:
    """Labels and scores of each example.

    Raises:
        RequestError: the outputs have another shape or type than classes have.
    """
    for name, dtype in ((_CLASSES, tf.string), (_SCORES, tf.float32)):
        if name in outputs:
            _check_matrix(name, outputs[name], dtype, count)
    widths = [array.shape[1] for array in outputs.values()]
    if len(set(widths)) > 1:
        raise invalid(
            "Tensors class and score should match in dim_size(1). Got "
            f"{outputs[_CLASSES].shape[1]} vs. {outputs[_SCORES].shape[1]}"
        )
    result = classification_pb2.ClassificationResult()
    for row in range(count):
        found = result.classifications.add()
        for column in range(widths[0]):
            entry = found.classes.add()
            if _CLASSES in outputs:
                entry.label = outputs[_CLASSES][row, column]
            if _SCORES in outputs:
                entry.score = outputs[_SCORES][row, column]
    return result


def regression_result(values: np.ndarray, count: int) -> Any:
    """A number of each example.

    Raises:
        RequestError: the output has another shape or type.
    """
    if values.ndim != 1 and not (values.ndim == 2 and values.shape[1] == 1):
        raise invalid(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{_shape(values)}"
        )
    if len(values) != count:
        raise invalid(
            f"Input batch size did not match output batch size: {count} vs. {len(values)}"
        )
    if values.dtype != np.float32:
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {_type(values)}")
    result = regression_pb2.RegressionResult()
    for value in values.ravel().tolist():
        result.regressions.add(value=value)
    return result


def _signature(servable: Servable, target: Target) -> Any:
    signature = servable.signature(target.signature_name)
    if signature is None:
        raise invalid(f"No signature was found with the name: {target.signature_name}")
    return signature


def _run(
    predictor: Predictor,
    servable: Servable,
    target: Target,
    examples: np.ndarray,
    outputs: list[str],
    api: str,
    timeout_ms: int,
) -> dict[str, np.ndarray]:
    """The outputs wanted, of a run of the whole signature, which batches."""
    found = predictor.run(
        servable, target.signature_name, {_INPUTS: examples}, api=api, timeout_ms=timeout_ms
    )
    return {name: found[name] for name in outputs}


def _check_matrix(name: str, array: np.ndarray, dtype: tf.DType, count: int) -> None:
    if array.ndim != 2:
        raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}")
    if array.dtype != dtype.as_numpy_dtype:
        wanted = "DT_STRING" if dtype == tf.string else "DT_FLOAT"
        raise invalid(f"Expected {name} Tensor of {wanted}. Got: {_type(array)}")
    if len(array) != count:
        raise invalid(f"Expected {name} output batch size of {count}. Got: {len(array)}")


def _shape(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _type(array: np.ndarray) -> str:
    return types_pb2.DataType.Name(tf.as_dtype(array.dtype).as_datatype_enum)
