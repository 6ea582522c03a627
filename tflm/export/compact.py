"""A SavedModel's file without what no reader of it needs.

TensorFlow names every operation after its place in the model and spells that again wherever the
result is read; it writes the shapes of results, which whoever loads them infers again; the same
constant and the same arithmetic on shapes stand in a function dozens of times; and there are the
gradients that a training would use. Without these a graph is less than half as large, and further
signatures, which share the weights, add little to a model. What is computed stays the same, and so
do all names that something outside of the graph says: those of signatures, inputs, outputs,
functions that can be called, and variables.
"""

import hashlib
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

# Without the gradients that its author defined; TensorFlow derives those of what is left.
OPTIONS = tf.saved_model.SaveOptions(experimental_custom_gradients=False)

_SHAPES = "_output_shapes"
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})  # of them no shape is inferred


def compact(directory: str | os.PathLike[str]) -> None:
    """Writes `saved_model.pb` of a SavedModel again, smaller. Its fingerprint is removed.

    Args:
        directory: where `tf.saved_model.save` wrote it, with `OPTIONS`.
    """
    file = pathlib.Path(directory, "saved_model.pb")
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for meta_graph in model.meta_graphs:
        graph = meta_graph.graph_def
        ops = meta_graph.meta_info_def.stripped_op_list.op
        pure = frozenset(op.name for op in ops if not op.is_stateful)
        shorten_variables(graph.node)
        for function in graph.library.function:
            forget_hints(function)
            merge_equal(function, pure)
            shorten_names(function)
        share_equal(graph, meta_graph.object_graph_def.concrete_functions)
    file.write_bytes(model.SerializeToString(deterministic=True))
    pathlib.Path(directory, "fingerprint.pb").unlink(missing_ok=True)  # of the file as it was


def shorten_variables(nodes: Sequence[Any]) -> None:
    """Gives the operations that stand for variables, in a graph's nodes, names of few letters.

    A variable's own name is their `shared_name`.
    """
    taken = {node.name for node in nodes if node.op != "VarHandleOp"}
    free = (name for name in (f"v{i:x}" for i in range(2 * len(nodes))) if name not in taken)
    names = {node.name: next(free) for node in nodes if node.op == "VarHandleOp"}
    for node in nodes:
        node.name = names.get(node.name, node.name)
        node.attr.pop("debug_name", None)
        _rename_inputs(node, names)


def forget_hints(function: Any) -> None:
    """Leaves out of a `FunctionDef` the shapes that are inferred, or said twice, and hints."""
    for node in function.node_def:
        node.ClearField("experimental_debug_info")
        for hint in ("_class", "_gradient_op_type"):
            node.attr.pop(hint, None)
        if node.op not in _CALLS:
            node.attr.pop(_SHAPES, None)
    for place, argument in enumerate(function.signature.input_arg):
        attributes = function.arg_attr[place].attr
        attributes.pop("_user_specified_name", None)
        if "_input_shapes" in function.attr or argument.type == types_pb2.DT_RESOURCE:
            attributes.pop(_SHAPES, None)
        if not attributes:
            del function.arg_attr[place]


def merge_equal(function: Any, pure: frozenset[str]) -> None:
    """Leaves one of all operations of a `FunctionDef` that compute the same from the same.

    Args:
        function: the function, which is changed.
        pure: names of ops without a state, whose results depend on nothing but what they read.
    """
    merged: dict[str, str] = {}
    known: dict[bytes, str] = {}
    for node in function.node_def:  # behind those that it reads, or its twin is not found
        _rename_inputs(node, merged)
        if node.op in pure:
            name, node.name = node.name, ""
            twin = known.setdefault(_digest(node), name)
            node.name = name
            if twin != name:
                merged[name] = twin
    _keep(function.node_def, [node.name not in merged for node in function.node_def])
    for node in function.node_def:
        _rename_inputs(node, merged)
    _rename_results(function, merged)


def shorten_names(function: Any) -> None:
    """Gives operations, arguments and results of a `FunctionDef` names of few letters."""
    signature = function.signature
    names = {argument.name: f"a{i:x}" for i, argument in enumerate(signature.input_arg)}
    names |= {node.name: f"n{i:x}" for i, node in enumerate(function.node_def)}
    for each in (*signature.input_arg, *function.node_def):
        each.name = names[each.name]
    for node in function.node_def:
        _rename_inputs(node, names)
    results = [function.ret[output.name] for output in signature.output_arg]
    function.ret.clear()
    for i, (output, result) in enumerate(zip(signature.output_arg, results, strict=True)):
        output.name = f"o{i:x}"
        function.ret[output.name] = result
    _rename_results(function, names)


def share_equal(graph: Any, named: Mapping[str, Any]) -> None:
    """Leaves one of all functions of a `GraphDef` that are the same.

    Args:
        graph: the graph, which is changed; its functions have the names of `shorten_names`.
        named: functions that something outside of the graph names; they stay.
    """
    library = graph.library.function
    while True:  # those that call what was shared may be the same then
        shared: dict[str, str] = {}
        known: dict[bytes, str] = {}
        for function in sorted(library, key=lambda each: each.signature.name not in named):
            name, function.signature.name = function.signature.name, ""
            twin = known.setdefault(_digest(function), name)
            function.signature.name = name
            if twin != name and name not in named:
                shared[name] = twin
        if not shared:
            return
        _keep(library, [function.signature.name not in shared for function in library])
        for nodes in (graph.node, *(function.node_def for function in library)):
            for called in (each for node in nodes for each in _called(node)):
                called.name = shared.get(called.name, called.name)


def _digest(message: Any) -> bytes:
    """The same for equal messages; what it is made of may be as large as the weights."""
    return hashlib.sha256(message.SerializeToString(deterministic=True)).digest()


def _keep(messages: Any, kept: Sequence[bool]) -> None:
    """Takes the others out of a message's list."""
    for place in reversed(range(len(kept))):
        if not kept[place]:
            del messages[place]


def _called(node: Any) -> Iterator[Any]:
    """The functions that an operation calls."""
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func
        yield from value.list.func


def _rename_results(function: Any, names: Mapping[str, str]) -> None:
    """What a function gives, and what has to have run, by the other names of its operations."""
    for output, source in list(function.ret.items()):
        function.ret[output] = _renamed(source, names)
    run = dict.fromkeys(_renamed(name, names) for name in function.control_ret.values())
    function.control_ret.clear()
    function.control_ret.update({name: name for name in run})
    function.signature.control_output[:] = list(run)


def _rename_inputs(node: Any, names: Mapping[str, str]) -> None:
    node.input[:] = [_renamed(each, names) for each in node.input]


def _renamed(source: str, names: Mapping[str, str]) -> str:
    """Where a value comes from, "node:output:0", "argument" or "^node", by its other name."""
    caret = "^" * source.startswith("^")
    name, colon, output = source[len(caret) :].partition(":")
    return f"{caret}{names.get(name, name)}{colon}{output}"
