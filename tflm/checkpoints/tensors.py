"""Named tensors on disk, read one at a time: safetensors files, whole or in shards.

A file starts with the length of its header (8 bytes, little-endian), the header (JSON: name ->
dtype, shape, byte range) and the tensors. `safetensors` checks a file when it is opened; tensors
are then read with ordinary reads, because the pages of a memory-mapped file count as memory of the
process as long as it is mapped, and the weights would be there twice.
"""

import json
import math
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import safetensors

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "uint16"}
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_OTHERS = (".h5", ".msgpack", ".index", ".onnx", ".gguf", ".ot")


class Tensors(Mapping[str, np.ndarray]):
    """Arrays by name, each made when it is asked for; shapes are known before."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]):
        self._shapes = dict(shapes)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def __contains__(self, name: object) -> bool:
        return name in self._shapes  # Mapping's own would read the tensor

    def __getitem__(self, name: str) -> np.ndarray:
        raise NotImplementedError

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, without reading it."""
        return self._shapes[name]

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """A part of a tensor along its first axis."""
        return self[name][start:stop]


class Subset(Tensors):
    """Some tensors of another collection, under the names they have there.

    Args:
        tensors: the collection.
        names: which of them.
    """

    def __init__(self, tensors: Tensors, names: Iterable[str]):
        super().__init__({name: tensors.shape(name) for name in names})
        self._tensors = tensors

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._shapes:
            raise KeyError(name)
        return self._tensors[name]

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """A part of a tensor along its first axis."""
        return self._tensors.rows(name, start, stop)


class SafetensorsFiles(Tensors):
    """The tensors of several safetensors files, as float32 (float64 stays what it is).

    Args:
        paths: the files.

    Raises:
        ValueError: a file is damaged or cut short, or two files hold the same name.
    """

    def __init__(self, paths: Iterable[str | os.PathLike]):
        self._entries: dict[str, tuple[pathlib.Path, int, dict[str, Any]]] = {}
        for path in map(pathlib.Path, paths):
            start, header = _header(path)
            twice = sorted(header.keys() & self._entries)
            if twice:
                raise ValueError(f"`paths` must hold every name once. Received: {twice} in {path}")
            self._entries |= {name: (path, start, entry) for name, entry in header.items()}
        super().__init__({name: tuple(e["shape"]) for name, (_, _, e) in self._entries.items()})

    def __getitem__(self, name: str) -> np.ndarray:
        return self._read(name, 0, math.prod(self.shape(name)), self.shape(name))

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """A part of a tensor along its first axis; nothing else of it is read."""
        shape = (stop - start, *self.shape(name)[1:])
        size = math.prod(shape[1:])
        return self._read(name, start * size, stop * size, shape)

    def _read(self, name: str, start: int, stop: int, shape: tuple[int, ...]) -> np.ndarray:
        """The elements `start … stop - 1`."""
        path, begin, entry = self._entries[name]
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None:
            raise ValueError(
                f"`{name}` must be stored as one of {sorted(_DTYPES)}: quantized weights are not "
                f"read. Received: {entry['dtype']} in {path}"
            )
        stored = np.empty(stop - start, dtype)
        with open(path, "rb", buffering=0) as file:
            file.seek(begin + entry["data_offsets"][0] + start * stored.itemsize)
            _read_into(file, stored.view("uint8"))
        return _as_float(stored, entry["dtype"]).reshape(shape)


def open_directory(directory: str | os.PathLike) -> SafetensorsFiles:
    """The tensors of a directory that holds `model.safetensors`, or its shards and their index.

    Raises:
        FileNotFoundError: a shard that the index names is missing, or there are no weights.
        ValueError: the weights are there in a format that is not read, pickle say; the message
            says why and what to do.
    """
    directory = pathlib.Path(directory)
    if (directory / INDEX_FILE).is_file():
        index = json.loads((directory / INDEX_FILE).read_text(encoding="utf-8"))
        names = sorted(set(index["weight_map"].values()))
        missing = [name for name in names if not (directory / name).is_file()]
        if missing:
            raise FileNotFoundError(
                f"`directory` must hold every file that {INDEX_FILE} names. "
                f"Received: {directory} without {missing}"
            )
        return SafetensorsFiles(directory / name for name in names)
    if (directory / WEIGHTS_FILE).is_file():
        return SafetensorsFiles([directory / WEIGHTS_FILE])
    refuse_other_formats(sorted(os.listdir(directory)), directory)
    raise FileNotFoundError(
        f"`directory` must hold {WEIGHTS_FILE} or {INDEX_FILE}. Received: {directory}"
    )


def refuse_other_formats(names: Iterable[str], where: Any) -> None:
    """Explains why files that are no safetensors are not opened, where there are such.

    Args:
        names: file names.
        where: named in the message.

    Raises:
        ValueError: there are weights in another format among the names.
    """
    names = list(names)
    pickles = [name for name in names if name.endswith(_PICKLES)]
    others = [name for name in names if name.endswith(_OTHERS)]
    remedy = (
        "Convert it once, where it is trusted: `AutoModel.from_pretrained(x).save_pretrained(y)` "
        "of the transformers library writes safetensors; on the Hugging Face Hub "
        "https://huggingface.co/spaces/safetensors/convert opens a pull request with them, which "
        "`revision='refs/pr/NUMBER'` selects"
    )
    if pickles:
        raise ValueError(
            "weights must be safetensors: a pickle file can run any program when it is opened, so "
            f"none is. {remedy}. Received: {pickles} in {where}"
        )
    if others:
        raise ValueError(f"weights must be safetensors. {remedy}. Received: {others} in {where}")


def _header(path: pathlib.Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Where a file's tensors begin, and their entries in its header."""
    try:
        with safetensors.safe_open(os.fspath(path), framework="numpy"):
            pass  # opening checks that the header is sound and covers the file
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"`{path.name}` must be a whole safetensors file. Received: {path} ({error})"
        ) from None
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return 8 + length, header


def _read_into(file: Any, array: np.ndarray) -> None:
    """Fills an array of bytes; one read may give less than is asked for."""
    view, done = memoryview(array.data), 0
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            raise ValueError(f"`{file.name}` must not change while it is read")
        done += count


def _as_float(stored: np.ndarray, dtype: str) -> np.ndarray:
    """Half precision as float32; a bfloat16 is the upper half of a float32."""
    if dtype not in ("F16", "BF16"):
        return stored
    if dtype == "F16":
        return stored.astype("float32")
    return np.left_shift(stored, np.uint32(16), dtype="uint32").view("float32")
