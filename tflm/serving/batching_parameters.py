"""How requests are put together: the text of TF Serving's `--batching_parameters_file`."""

import dataclasses
import functools
import os
import pathlib
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

_NUMBERS = (
    "max_batch_size",
    "batch_timeout_micros",
    "max_enqueued_batches",
    "num_batch_threads",
    "max_execution_batch_size",
)


@dataclasses.dataclass(frozen=True)
class BatchingParameters:
    """TF Serving's `--batching_parameters_file`, with its defaults.

    Args:
        max_batch_size: rows that a batch holds at most, and a request.
        batch_timeout_micros: microseconds that a batch waits for more requests.
        max_enqueued_batches: batches of one signature that wait at most.
        num_batch_threads: batches that run at the same time.
        allowed_batch_sizes: a batch is filled up to one of these; none, and it stays as it is.
        max_execution_batch_size: with the next, rows that a batch holds at most; 0 for as many as
            a request.
        enable_large_batch_splitting: whether a request may be spread over several batches.
        pad_variable_length_inputs: whether inputs of other shapes are made alike, each filled up
            with its own first element: a model takes that for more of its input.

    Raises:
        ValueError: a value is not possible.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1
    allowed_batch_sizes: tuple[int, ...] = ()
    max_execution_batch_size: int = 0
    enable_large_batch_splitting: bool = False
    pad_variable_length_inputs: bool = False

    def __post_init__(self) -> None:
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive. Received: {getattr(self, name)}")
        for name in ("batch_timeout_micros", "max_execution_batch_size"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative. Received: {getattr(self, name)}")
        sizes = list(self.allowed_batch_sizes)
        if sizes and (sizes != sorted(set(sizes)) or sizes[-1] != self.batch_rows):
            raise ValueError(
                f"`allowed_batch_sizes` must increase and end with {self.batch_rows}, the largest "
                f"batch. Received: allowed_batch_sizes={sizes}"
            )

    @property
    def batch_rows(self) -> int:
        """Rows that a batch holds at most."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size:
            return min(self.max_execution_batch_size, self.max_batch_size)
        return self.max_batch_size

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "BatchingParameters":
        """Reads `BatchingParameters` in text.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it says what cannot be done.
        """
        message = _parameters_class()()
        try:
            text_format.Parse(pathlib.Path(path).read_text(encoding="utf-8"), message)
        except text_format.ParseError as error:
            raise ValueError(
                "`batching_parameters_file` must hold BatchingParameters in text. "
                f"Received: {path}: {error}"
            ) from error
        wrapped = (*_NUMBERS, "enable_large_batch_splitting")
        given = {name: getattr(message, name).value for name in wrapped if message.HasField(name)}
        return cls(
            **given,
            allowed_batch_sizes=tuple(message.allowed_batch_sizes),
            pad_variable_length_inputs=message.pad_variable_length_inputs,
        )


@functools.cache
def _parameters_class() -> Any:
    """The message in whose text the file is; the package of TF Serving's API does not have it."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="tflm/batching.proto", package="tflm.batching", syntax="proto3"
    )
    for name, kind in (("Number", kinds.TYPE_INT64), ("Text", kinds.TYPE_STRING)):
        file.message_type.add(name=name).field.add(name="value", number=1, type=kind, label=1)
    file.message_type.add(name="Flag").field.add(name="value", number=1, type=8, label=1)
    message = file.message_type.add(name="BatchingParameters")
    wrapped = [*((name, "Number") for name in _NUMBERS), ("thread_pool_name", "Text")]
    wrapped.append(("enable_large_batch_splitting", "Flag"))
    for number, (name, kind) in enumerate(wrapped, 1):
        field = message.field.add(name=name, number=number, type=kinds.TYPE_MESSAGE, label=1)
        field.type_name = f".tflm.batching.{kind}"
    message.field.add(name="allowed_batch_sizes", number=20, type=kinds.TYPE_INT64, label=3)
    message.field.add(name="pad_variable_length_inputs", number=21, type=kinds.TYPE_BOOL, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("tflm.batching.BatchingParameters")
    return message_factory.GetMessageClass(found)
