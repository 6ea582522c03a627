"""One version of a model: loaded, warmed up, and answering."""

import contextlib
import pathlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tflm.export.rules import python
from tflm.export.saved_model_file import read
from tflm.export.session import Session
from tflm.export.warmup import MOST_RECORDS, read_warmup
from tflm.serving.batching_parameters import BatchingParameters
from tflm.serving.status import Code, RequestError, invalid, session_error
from tflm.serving.tensors import type_name


class Servable(Session):
    """A SavedModel in a session, held by the requests that it is answering.

    Nothing of a model's Python runs: the graph alone is read, and one that calls back into Python
    is refused, which a server of C++ could not do either.

    Args:
        name: the model's name.
        version: its version.
        path: the SavedModel's directory.

    Raises:
        RequestError: it cannot be loaded, or fails on a request that it brings for warming up.
    """

    def __init__(self, name: str, version: int, path: pathlib.Path):
        self.name = name
        self.version = version
        self._leases = 0
        self._released = threading.Condition()
        model = _read(path)
        try:
            super().__init__(model)
        except (tf.errors.OpError, ValueError, KeyError, OSError) as error:
            raise _load_error(error) from error
        self.batching = _batching(path)
        self.signature_defs: dict[str, Any] = dict(model.meta_graph.signature_def)
        began = time.perf_counter()
        self.warmup_records = self._warm_up(path)
        self.warmup_seconds = time.perf_counter() - began

    def signature(self, name: str) -> Any:
        """A `SignatureDef` by its name; `None` where there is none."""
        return self._signatures.get(name)

    def check(self, signature: str, inputs: Mapping[str, np.ndarray]) -> None:
        """Whether inputs fit their signature, so that a bad request spoils no batch of others.

        Raises:
            RequestError: an input has another type or shape than declared.
        """
        infos = self._signatures[signature].inputs
        for number, (alias, array) in enumerate(sorted(inputs.items())):
            info, given = infos[alias], tf.as_dtype(array.dtype).as_datatype_enum
            if given != info.dtype:
                raise invalid(
                    f"Expects arg[{number}] to be {type_name(info.dtype)} but {type_name(given)} "
                    "is provided"
                )
            shape = tf.TensorShape(info.tensor_shape)
            if not shape.is_compatible_with(array.shape):
                raise invalid(
                    f"Cannot feed value of shape {array.shape} for Tensor {info.name}, which has "
                    f"shape {shape}"
                )

    def answer(
        self,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str] = (),
        timeout_ms: int = 0,
    ) -> dict[str, np.ndarray]:
        """Outputs by name.

        Args:
            signature: name of the signature.
            inputs: arrays by name, of any type and shape.
            outputs: which of the outputs; all by default.
            timeout_ms: milliseconds that it may take; 0 for any time.

        Raises:
            RequestError: the inputs do not fit, or the graph fails.
        """
        found = self._signatures[signature]
        feeds = {found.inputs[alias].name: array for alias, array in inputs.items()}
        fetches = {alias: found.outputs[alias].name for alias in outputs or sorted(found.outputs)}
        options = tf.compat.v1.RunOptions(timeout_in_ms=timeout_ms)
        try:
            values = self._session.run(fetches, feeds, options)
        except (tf.errors.OpError, ValueError, TypeError, RuntimeError) as error:
            raise session_error(error) from error
        return {alias: _array(value, found.outputs[alias].dtype) for alias, value in values.items()}

    @contextlib.contextmanager
    def lease(self) -> Iterator["Servable"]:
        """Holds it: `close` waits until nobody does."""
        self.hold()
        try:
            yield self
        finally:
            self.release()

    def hold(self) -> None:
        """One request more that needs it."""
        with self._released:
            self._leases += 1

    def release(self) -> None:
        """One request less."""
        with self._released:
            self._leases -= 1
            self._released.notify_all()

    def close(self, seconds: float | None = None) -> None:
        """Unloads it, once the requests that hold it are answered.

        Args:
            seconds: how long they have; those that still run then are cancelled.
        """
        with self._released:
            self._released.wait_for(lambda: not self._leases, seconds)
        self._session.close()

    def _warm_up(self, path: pathlib.Path) -> int:
        """Answers the requests that the model brings; how many they were."""
        try:
            records = read_warmup(path)
        except ValueError as error:
            raise RequestError(Code.DATA_LOSS, str(error)) from error
        if len(records) > MOST_RECORDS:
            raise invalid(
                f"Number of warmup records exceeds the maximum ({MOST_RECORDS}): {len(records)}"
            )
        for number, record in enumerate(records):
            signature = record.signature or tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
            found = self.signature(signature)
            if found is None or record.inputs.keys() != set(found.inputs):
                raise invalid(f"Warmup request {number} does not fit signature {signature!r}")
            try:
                self.answer(signature, record.inputs)
            except RequestError as error:
                raise RequestError(
                    error.code, f"Warmup request {number} fails: {error.message}"
                ) from error
        return len(records)


def _read(path: pathlib.Path) -> Any:
    """The SavedModel's file, unless it needs Python."""
    if not (path / "saved_model.pb").is_file():
        raise RequestError(
            Code.NOT_FOUND,
            f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}",
        )
    try:
        model = read(path)
    except (ValueError, OSError, DecodeError) as error:
        raise RequestError(Code.DATA_LOSS, str(error)) from error
    for finding in python(model, ()):
        if finding.status == "failure":
            raise RequestError(Code.NOT_FOUND, finding.message)
    return model


def _batching(path: pathlib.Path) -> BatchingParameters | None:
    """How the model wants its requests put together, where it says so."""
    file = path / "batching_params.pbtxt"
    if not file.is_file():
        return None
    try:
        return BatchingParameters.read(file)
    except ValueError as error:
        raise invalid(str(error)) from error


def _load_error(error: Exception) -> RequestError:
    """Why a SavedModel does not load: Python's loader says some of it by other errors."""
    if isinstance(error, tf.errors.OpError):
        return session_error(error)
    return RequestError(Code.DATA_LOSS, str(error))


def _array(value: Any, dtype: int) -> np.ndarray:
    """What a session gives, which for a scalar is no array."""
    return np.asarray(value, tf.as_dtype(dtype).as_numpy_dtype)
