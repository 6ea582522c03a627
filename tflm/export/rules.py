"""What a stock TF Serving asks of a SavedModel, rule by rule, from its file alone.

Nothing of the model runs here. Facts and messages are TF Serving's: `g3doc/api_rest.md`,
`util/json_tensor.cc`, `batching/batching_session.cc` and `model_servers/main.cc`.
"""

import collections
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tensorflow.core.framework import types_pb2

from tflm.export.op_versions import PYTHON_ONLY, OpVersions
from tflm.export.saved_model_file import DEFAULT, SavedModelFile
from tflm.export.warmup import MOST_RECORDS, read_warmup

# `saved_model.pb` is one protocol buffer, which cannot be larger.
_LARGEST = 2**31 - 1
_JSON_TYPES = frozenset(
    "DT_FLOAT DT_DOUBLE DT_INT8 DT_INT16 DT_INT32 DT_INT64 DT_UINT8 DT_UINT16 DT_UINT32 DT_UINT64 "
    "DT_BOOL DT_STRING".split()
)
# What TensorFlow 2.21 sets on every variable and TensorFlow 2.12 ignores: for error messages only.
_ONLY_NAMES = frozenset({"VarHandleOp.debug_name"})
_GROWING_TABLES = frozenset(
    f"{kind}{version}"
    for kind in ("MutableHashTable", "MutableHashTableOfTensors", "MutableDenseHashTable")
    for version in ("", "V2")
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a rule found.

    Args:
        rule: the rule's name.
        status: "ok"; "warning", a server takes it and users may suffer; or "failure".
        message: what was found, in a line.
    """

    rule: str
    status: str
    message: str


def operations(model: SavedModelFile, targets: Sequence[str]) -> Iterator[Finding]:
    """Every op is linked into the server."""
    places = collections.defaultdict(list)
    for node in model.nodes():
        places[node.proto.op].append(node.place)
    functions = {f.signature.name for f in model.meta_graph.graph_def.library.function}
    missing = OpVersions.known().missing(places.keys() - functions, targets)
    for each in missing:
        where = f"{len(places[each.name])} times, first as {places[each.name][0]}"
        what = (
            f"is not in TF Serving {_span(each.targets)}"
            if each.is_known
            else "is neither TensorFlow's nor TF Text's: no stock server has it"
        )
        yield Finding("operations", "failure", f"Op {each.name} {what}; it stands {where}.")
    if not missing:
        yield Finding("operations", "ok", f"{len(places)} ops, all in TF Serving {_span(targets)}.")


def attributes(model: SavedModelFile, targets: Sequence[str]) -> Iterator[Finding]:
    """No op has an attribute that an older version does not know: it would ignore it."""
    places = collections.defaultdict(list)
    for node in model.nodes():
        for name in node.proto.attr:
            # Those with an underscore are hints, which no op declares.
            if not name.startswith("_") and f"{node.proto.op}.{name}" not in _ONLY_NAMES:
                places[f"{node.proto.op}.{name}"].append(node.place)
    missing = OpVersions.known().missing_attributes(places, targets)
    for each in missing:
        op, _, name = each.name.partition(".")
        yield Finding(
            "attributes",
            "warning",
            f"Attribute {name} of op {op} is ignored by TF Serving {_span(each.targets)}; it is "
            f"set {len(places[each.name])} times, first at {places[each.name][0]}.",
        )
    if not missing:
        yield Finding("attributes", "ok", f"All known to TF Serving {_span(targets)}.")


def python(model: SavedModelFile, targets: Sequence[str]) -> Iterator[Finding]:
    """No op calls back into Python."""
    found = [node for node in model.nodes() if node.proto.op in PYTHON_ONLY]
    for node in found:
        yield Finding(
            "python",
            "failure",
            f"Op {node.proto.op} runs in a Python process only (tf.py_function or "
            f"tf.numpy_function), at {node.place}.",
        )
    if not found:
        yield Finding("python", "ok", "Nothing calls back into Python.")


def xla(model: SavedModelFile, targets: Sequence[str]) -> Iterator[Finding]:
    """Nothing must be compiled by XLA, which the server turns off unless told otherwise."""
    found = model.compiled_functions()
    for name in found:
        yield Finding(
            "xla",
            "failure",
            f"Function {name} has jit_compile=True: it loads, and every request fails with "
            "'XLA compilation disabled' unless the server is started with "
            "--xla_cpu_compilation_enabled.",
        )
    # Every server knows these ops, and has nothing that runs them but XLA; `keras.ops.slice_update`
    # and what is built on it write them.
    needed = [node for node in model.nodes() if node.proto.op.startswith("Xla")]
    for node in needed:
        yield Finding(
            "xla",
            "failure",
            f"Op {node.proto.op} runs inside XLA only, at {node.place}: it loads, and every "
            "request fails.",
        )
    if not found and not needed:
        yield Finding("xla", "ok", "Nothing asks for XLA.")


def default_signature(model: SavedModelFile, targets: Sequence[str]) -> Iterator[Finding]:
    """There is a signature for requests that name none."""
    signatures = model.signatures()
    if DEFAULT in signatures:
        yield Finding("default_signature", "ok", f"Signatures: {', '.join(signatures)}.")
    else:
        names = ", ".join(signatures) or "none"
        yield Finding(
            "default_signature",
            "failure",
            f"There is no signature {DEFAULT!r}: every request has to name one of {names}.",
        )


def batch_dimension(model: SavedModelFile, targets: Sequence[str]) -> Iterator[Finding]:
    """Every input and output has a leading dimension of any size: REST rows and batching ask it."""
    found = False
    for where, info in _tensors(model):
        shape = info.tensor_shape
        if shape.unknown_rank:
            found = True
            yield Finding(
                "batch_dimension",
                "warning",
                f"{where} has no known rank: a REST request with 'instances' fails where it turns "
                "out to be a scalar.",
            )
        elif not shape.dim:
            found = True
            yield Finding(
                "batch_dimension",
                "failure",
                f"{where} is a scalar: 'instances' of REST and batching across requests need a "
                "leading batch dimension.",
            )
        elif shape.dim[0].size != -1:
            found = True
            yield Finding(
                "batch_dimension",
                "failure",
                f"{where} takes batches of {shape.dim[0].size} only: the first dimension must be "
                "unknown.",
            )
    if not found:
        yield Finding("batch_dimension", "ok", "Every input and output has one, of any size.")


def dtypes(model: SavedModelFile, targets: Sequence[str]) -> Iterator[Finding]:
    """REST can carry every input and output as JSON."""
    found = False
    for where, info in _tensors(model):
        name = types_pb2.DataType.Name(info.dtype)
        if name not in _JSON_TYPES:
            found = True
            yield Finding(
                "dtypes",
                "failure",
                f"{where} is {name}, which REST does not write; cast it to float32.",
            )
    if not found:
        yield Finding("dtypes", "ok", "REST carries all of them.")


def tables(model: SavedModelFile, targets: Sequence[str]) -> Iterator[Finding]:
    """No table can grow with what users send."""
    found = sorted({node.proto.op for node in model.nodes() if node.proto.op in _GROWING_TABLES})
    for op in found:
        message = f"Op {op}: a table that can grow with every request is never emptied."
        yield Finding("tables", "warning", message)
    if not found:
        yield Finding("tables", "ok", "No table grows.")


def size(model: SavedModelFile, targets: Sequence[str]) -> Iterator[Finding]:
    """The graph fits into one protocol buffer."""
    status = "ok" if model.size <= _LARGEST else "failure"
    limit = "" if status == "ok" else ", more than the 2 GiB of a protocol buffer"
    yield Finding("size", status, f"saved_model.pb has {model.size / 2**20:.1f} MiB{limit}.")


def warmup(model: SavedModelFile, targets: Sequence[str]) -> Iterator[Finding]:
    """There are requests with which the server warms up, of every signature."""
    try:
        records = read_warmup(model.path)
    except ValueError as error:
        yield Finding("warmup", "failure", f"{error} The server does not load such a model.")
        return
    asked = {record.signature or DEFAULT for record in records}
    left = [name for name in model.signatures() if name not in asked]
    unknown = sorted(asked - model.signatures().keys())
    if len(records) > MOST_RECORDS:
        message = f"{len(records)} records; the server takes {MOST_RECORDS} at most."
        yield Finding("warmup", "failure", message)
    elif unknown:
        message = f"Records for signatures that there are not: {', '.join(unknown)}."
        yield Finding("warmup", "failure", message)
    elif not records:
        message = "There are no warm-up requests: the first real one is slow."
        yield Finding("warmup", "warning", message)
    elif left:
        message = f"{len(records)} requests, none for {', '.join(left)}."
        yield Finding("warmup", "warning", message)
    else:
        yield Finding("warmup", "ok", f"{len(records)} requests for {len(asked)} signatures.")


Rule = Callable[[SavedModelFile, Sequence[str]], Iterator[Finding]]
RULES: tuple[Rule, ...] = (
    operations,
    attributes,
    python,
    xla,
    default_signature,
    batch_dimension,
    dtypes,
    tables,
    size,
    warmup,
)


def _tensors(model: SavedModelFile) -> Iterator[tuple[str, Any]]:
    """Every input and output of every signature, and what to call it."""
    for signature, proto in model.signatures().items():
        for side, tensors in (("Input", proto.inputs), ("Output", proto.outputs)):
            for name, info in sorted(tensors.items()):
                yield f"{side} {name} of signature {signature}", info


def _span(targets: Sequence[str]) -> str:
    return targets[0] if len(targets) == 1 else f"{targets[0]} to {targets[-1]}"
