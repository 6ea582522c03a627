"""Runs a SavedModel as the server does, in a process of its own, and compares with what it said.

    python -m tflm.export.replay DIRECTORY

The model is loaded into a session by TensorFlow's own loader, which runs nothing of Python, with
XLA turned off as `main.cc` of the server turns it off. Prints findings as JSON, one a line.
"""

import ctypes
import dataclasses
import importlib.util
import json
import pathlib
import sys
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from tflm.export.rules import Finding
from tflm.export.saved_model_file import DEFAULT, SavedModelFile, read
from tflm.export.session import Session
from tflm.export.warmup import Record, read_warmup

# The very function that the server calls when it starts.
_DISABLE_XLA = "_ZN10tensorflow21DisableXlaCompilationEv"
_SAMPLES = ("", "A text.", "你好，世界！")
_CLOSE = 1e-4
_CLOSE_IN_BFLOAT16 = 2.0**-8  # half of its last place, relative


def replay(model: SavedModelFile) -> Iterator[Finding]:
    """Loads a model, asks it what was recorded, alone and in batches, and compares."""
    try:
        session = Session(model)
    except (tf.errors.OpError, ValueError) as error:
        yield Finding("reload", "failure", f"It cannot be loaded: {_first_line(error)}")
        return
    yield Finding("reload", "ok", "Loaded in a fresh process, with XLA off.")
    records = read_warmup(model.path)
    close = _CLOSE_IN_BFLOAT16 if _multiplies_bfloat16(model) else _CLOSE
    yield from _answers(session, records or list(_samples(model)), close)
    yield from _batches(session, [record for record in records if record.outputs], close)


def _multiplies_bfloat16(model: SavedModelFile) -> bool:
    """Whether products are of bfloat16, to which a row's numbers may round otherwise in a batch."""
    return any(
        "MatMul" in node.proto.op
        and any(value.type == tf.bfloat16.as_datatype_enum for value in node.proto.attr.values())
        for node in model.nodes()
    )


def _answers(session: Session, records: list[Record], close: float) -> Iterator[Finding]:
    """Every request is answered, and as it was."""
    compared = 0
    for number, record in enumerate(records):
        where = f"Request {number} ({record.signature or DEFAULT})"
        try:
            outputs = session.run(record.signature, record.inputs)
        except (tf.errors.OpError, KeyError, ValueError) as error:
            yield Finding("answers", "failure", f"{where} fails: {_first_line(error)}")
            return
        different = difference(outputs, record.outputs, close)
        if different:
            yield Finding("answers", "failure", f"{where}: {different}")
            return
        compared += bool(record.outputs)
    if not records:
        message = "No request is known, and none could be made up: nothing was run."
        yield Finding("answers", "warning", message)
    elif not compared:
        message = f"{len(records)} requests answered; no answers are recorded to compare with."
        yield Finding("answers", "warning", message)
    else:
        message = f"{len(records)} requests answered, {compared} as recorded."
        yield Finding("answers", "ok", message)


def _batches(session: Session, records: list[Record], close: float) -> Iterator[Finding]:
    """Requests of one signature in one batch are answered as alone: the server batches them."""
    signatures = sorted({record.signature for record in records})
    for signature in signatures:
        group = [record for record in records if record.signature == signature]
        inputs = {
            name: np.concatenate([record.inputs[name] for record in group])
            for name in group[0].inputs
        }
        found = session.run(signature, inputs)
        start = 0
        for record in group:
            end = start + len(next(iter(record.inputs.values())))
            rows = {name: array[start:end] for name, array in found.items()}
            different = difference(rows, record.outputs, close)
            if different:
                message = f"Signature {signature or DEFAULT}, in a batch: {different}"
                yield Finding("batches", "failure", message)
                return
            start = end
    if signatures:
        yield Finding("batches", "ok", "Requests in one batch are answered as alone.")


def difference(
    found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], close: float = _CLOSE
) -> str:
    """The first difference of two answers, "" where there is none.

    Strings and whole numbers must be equal, others as near as `close` says, which is relative above
    one. Where a batch is longer than one of its rows alone, only what both have is compared.
    """
    for name, wanted in sorted(expected.items()):
        if name not in found:
            return f"output {name} is missing."
        ours = found[name]
        if ours.ndim != wanted.ndim or len(ours) != len(wanted):
            return f"output {name} has shape {list(ours.shape)}, recorded was {list(wanted.shape)}."
        common = tuple(slice(min(pair)) for pair in zip(ours.shape, wanted.shape, strict=True))
        ours, wanted = ours[common], wanted[common]
        if np.issubdtype(wanted.dtype, np.inexact):
            equal = np.isclose(ours, wanted, rtol=close, atol=close, equal_nan=True)
        else:
            equal = np.asarray(ours == wanted)
        if not equal.all():
            place = tuple(int(i) for i in np.argwhere(~equal)[0])
            return f"output {name}{list(place)} is {ours[place]!r}, recorded was {wanted[place]!r}."
    return ""


def _samples(model: SavedModelFile) -> Iterator[Record]:
    """Requests made up for signatures that take strings alone."""
    for name, signature in model.signatures().items():
        infos = signature.inputs.values()
        if infos and all(
            info.dtype == tf.string.as_datatype_enum and len(info.tensor_shape.dim) == 1
            for info in infos
        ):
            texts = np.array([text.encode() for text in _SAMPLES], object)
            yield Record(name, dict.fromkeys(signature.inputs, texts), {})


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def disable_xla() -> None:
    """Turns XLA off in this process, for good."""
    folder = pathlib.Path(tf.__file__).parent
    getattr(ctypes.CDLL(str(folder / "libtensorflow_cc.so.2")), _DISABLE_XLA)()


def main(directory: str) -> None:
    """Prints what `replay` finds."""
    if importlib.util.find_spec("tensorflow_text"):
        import tensorflow_text  # noqa: F401  registers its ops, as the server links them
    disable_xla()
    for finding in replay(read(directory)):
        print(json.dumps(dataclasses.asdict(finding), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
