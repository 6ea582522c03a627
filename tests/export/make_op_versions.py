"""Writes `tflm/export/op_versions.json`: which ops each version of TensorFlow has.

    python tests/export/make_op_versions.py WHEELS

WHEELS is a folder of `tensorflow_cpu-*.whl`, one of each version, such as

    pip download --no-deps --only-binary :all: --python-version 3.11 \\
        --platform manylinux_2_17_x86_64 -d WHEELS tensorflow-cpu==2.12.1

gives. Of each wheel the C library is loaded in a process of its own and asked for its ops; of all
lists, what is written is the version in which each op, and each attribute of one, came first and,
where it did not stay, was last.
"""

import ctypes
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

OUT = pathlib.Path(__file__).resolve().parents[2] / "tflm" / "export" / "op_versions.json"
LIBRARIES = ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2")
OTHERS = re.compile(r"tensorflow/(libtensorflow_.*\.so\.2|include/external/.*\.so.*)$")


class Buffer(ctypes.Structure):
    """`TF_Buffer` of the C API."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    )


def op_list(folder: pathlib.Path) -> bytes:
    """The serialized `OpList` of the C library in a folder."""
    libraries = [ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL) for name in LIBRARIES]
    function = next(
        library.TF_GetAllOpList
        for library in reversed(libraries)
        if hasattr(library, "TF_GetAllOpList")
    )
    function.restype = ctypes.POINTER(Buffer)
    found = function().contents
    return ctypes.string_at(found.data, found.length)


def ops_of_wheel(wheel: pathlib.Path) -> dict[str, list[str]]:
    """Names of ops, each with the names of its attributes."""
    from tensorflow.core.framework import op_def_pb2

    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as file:
            for name in file.namelist():
                if OTHERS.match(name):
                    target = pathlib.Path(folder) / pathlib.Path(name).name
                    target.write_bytes(file.read(name))
        command = [sys.executable, __file__, "--ops", folder]
        ops = op_def_pb2.OpList.FromString(subprocess.run(command, stdout=-1, check=True).stdout)
    return {op.name: sorted(attr.name for attr in op.attr) for op in ops.op}


def spans(versions: list[str], found: dict[str, set[str]]) -> dict[str, list[str]]:
    """The first version of each name, and the last one where it is not the newest."""
    spans: dict[str, list[str]] = {}
    for name in sorted(set().union(*found.values())):
        present = [version for version in versions if name in found[version]]
        assert present == versions[versions.index(present[0]) :][: len(present)], name
        spans[name] = present[:1] + ([present[-1]] if present[-1] != versions[-1] else [])
    return spans


def main() -> None:
    if sys.argv[1:2] == ["--ops"]:
        sys.stdout.buffer.write(op_list(pathlib.Path(sys.argv[2])))
        return
    wheels = {}
    for wheel in pathlib.Path(sys.argv[1]).glob("tensorflow_cpu-*.whl"):
        wheels[".".join(wheel.name.split("-")[1].split(".")[:2])] = wheel
    versions = sorted(wheels, key=lambda version: int(version.partition(".")[2]))
    ops = {version: ops_of_wheel(wheels[version]) for version in versions}
    names = spans(versions, {version: set(ops[version]) for version in versions})
    attributes = spans(
        versions,
        {v: {f"{op}.{attr}" for op, attrs in ops[v].items() for attr in attrs} for v in versions},
    )
    later = {
        name: span for name, span in attributes.items() if span != names[name.partition(".")[0]]
    }
    oldest = [versions[0]]
    written = {
        "versions": versions,
        "ops": sorted(name for name, span in names.items() if span == oldest),
        "later_ops": {name: span for name, span in names.items() if span != oldest},
        "later_attributes": later,
    }
    OUT.write_text(json.dumps(written, indent=0) + "\n")


if __name__ == "__main__":
    main()
