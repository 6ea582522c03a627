"""A SavedModel's file as it lies on the disk: read, never run."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

SERVE = "serve"  # the tag that TF Serving loads
DEFAULT = "serving_default"  # the signature of requests that name none
INIT_OP = "__saved_model_init_op"


@dataclasses.dataclass(frozen=True)
class Node:
    """An operation of a graph.

    Args:
        function: name of the function that it stands in; "" for the graph itself.
        proto: its `NodeDef`.
    """

    function: str
    proto: Any

    @property
    def place(self) -> str:
        """Where it is, for a reader of an error."""
        return f"{self.proto.name} of {self.function}" if self.function else self.proto.name


@dataclasses.dataclass(frozen=True)
class SavedModelFile:
    """What TF Serving reads of a SavedModel.

    Args:
        path: the directory with `saved_model.pb`.
        size: bytes of `saved_model.pb`.
        meta_graph: its `MetaGraphDef` for serving.
    """

    path: pathlib.Path
    size: int
    meta_graph: Any

    def nodes(self) -> Iterator[Node]:
        """All operations: a TensorFlow 2 export has nearly all of them in functions."""
        graph = self.meta_graph.graph_def
        for proto in graph.node:
            yield Node("", proto)
        for function in graph.library.function:
            for proto in function.node_def:
                yield Node(function.signature.name, proto)

    def compiled_functions(self) -> list[str]:
        """Names of the functions made with `jit_compile=True`."""
        functions = self.meta_graph.graph_def.library.function
        found = {f.signature.name for f in functions if f.attr["_XlaMustCompile"].b}
        found |= {
            node.proto.attr["f"].func.name or node.place
            for node in self.nodes()
            if "_XlaMustCompile" in node.proto.attr and node.proto.attr["_XlaMustCompile"].b
        }
        return sorted(found)

    def signatures(self) -> dict[str, Any]:
        """`SignatureDef`s by name, without the one that initialises tables."""
        return {
            name: signature
            for name, signature in sorted(self.meta_graph.signature_def.items())
            if name != INIT_OP
        }


def version_directory(directory: str | os.PathLike[str]) -> pathlib.Path:
    """The directory itself where it is a SavedModel, else the newest version in it.

    Raises:
        FileNotFoundError: there is neither.
    """
    path = pathlib.Path(directory)
    if (path / "saved_model.pb").is_file():
        return path
    versions = [child for child in path.glob("*") if child.name.isdecimal() and child.is_dir()]
    newest = max(versions, key=lambda child: int(child.name), default=None)
    if newest is None or not (newest / "saved_model.pb").is_file():
        raise FileNotFoundError(
            "`directory` must hold saved_model.pb, or numbered versions that do. "
            f"Received: {directory}"
        )
    return newest


def read(directory: str | os.PathLike[str]) -> SavedModelFile:
    """Reads a SavedModel, or the newest version of a model.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the file is damaged, or holds nothing for serving.
    """
    path = version_directory(directory)
    content = (path / "saved_model.pb").read_bytes()
    try:
        saved_model = saved_model_pb2.SavedModel.FromString(content)
    except DecodeError as error:
        raise ValueError(
            f"`directory` must hold a whole saved_model.pb. Received: {path}"
        ) from error
    for meta_graph in saved_model.meta_graphs:
        if SERVE in meta_graph.meta_info_def.tags:
            return SavedModelFile(path, len(content), meta_graph)
    tags = [sorted(each.meta_info_def.tags) for each in saved_model.meta_graphs]
    raise ValueError(
        f"`directory` must hold a graph with the tag {SERVE!r}. Received: {path} with tags {tags}"
    )
