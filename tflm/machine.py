"""What this machine's processors can do, without importing anything that computes with them."""

import contextlib
import math
import os
import pathlib
import platform
import sys
import warnings

_CPUINFO = pathlib.Path("/proc/cpuinfo")
_OWN_GROUP = pathlib.Path("/proc/self/cgroup")
_GROUPS = pathlib.Path("/sys/fs/cgroup")  # with the shares of processes, in one of two forms
_NO_ONEDNN = (
    "TensorFlow was imported before tflm and multiplies without oneDNN, which makes training on "
    "this processor slower. Import tflm before TensorFlow and Keras, or set the environment "
    "variable TF_ENABLE_ONEDNN_OPTS to 1; with 0 oneDNN stays off and this is not said."
)


def instructions() -> frozenset[str]:
    """Names of the instruction sets that an x86 has, as Linux calls them; none elsewhere."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return frozenset(next(flags, "").split())


def multiplies_bfloat16() -> bool:
    """Whether matrices of bfloat16 are multiplied faster than those of float32."""
    return is_x86() and bool(instructions() & {"avx512_bf16", "amx_bf16"})


def multiplies_int8() -> bool:
    """Whether there are dot products of eight-bit numbers (VNNI)."""
    return is_x86() and bool(instructions() & {"avx512_vnni", "avx_vnni", "amx_int8"})


def is_x86() -> bool:
    """Whether it is a processor as Intel and AMD make them."""
    return platform.machine().lower() in ("x86_64", "amd64")


def num_cpus() -> int:
    """How many processors this process may use at a time, a part of one counted as one.

    The least of what the system has, what the process is bound to and, in a container, the share
    that it may take, which TensorFlow does not look at: with two of 64 it would start 64 threads.
    """
    return math.ceil(min(_bound_to(), _share()))


def prepare_tensorflow() -> None:
    """Sets what TensorFlow reads of the environment when it is imported.

    Each of its pools gets no more threads than `num_cpus`. On an x86 it multiplies with oneDNN,
    which it does by itself only on a processor with VNNI or products of bfloat16; on others a
    training step took half as long with it. `TF_NUM_INTRAOP_THREADS`, `TF_NUM_INTEROP_THREADS` and
    `TF_ENABLE_ONEDNN_OPTS` that are set already stay as they are. Where TensorFlow has been
    imported it is too late, which a warning says if oneDNN is off for that.
    """
    if "tensorflow" in sys.modules:
        slow = is_x86() and not (multiplies_bfloat16() or multiplies_int8())
        if slow and "TF_ENABLE_ONEDNN_OPTS" not in os.environ:
            warnings.warn(_NO_ONEDNN, stacklevel=3)
        return
    if num_cpus() < _bound_to():
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ.setdefault(name, str(num_cpus()))
    if is_x86():
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def chose_onednn() -> bool:
    """Whether TensorFlow has been told to multiply with oneDNN."""
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "1"


def _bound_to() -> int:
    """Processors that the process may run on, those that TensorFlow counts."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _share() -> float:
    """How many processors' time the process may take; infinite where nothing limits it."""
    shares = [math.inf]
    for files in _limits():
        with contextlib.suppress(OSError, ValueError):
            quota, period = " ".join(file.read_text() for file in files).split()
            if int(quota) > 0:
                shares.append(int(quota) / int(period))
    return min(shares)


def _limits() -> list[list[pathlib.Path]]:
    """The files that limit the process: of its group, and of those that hold that one."""
    found = [[_GROUPS / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period")]]
    group = ""
    with contextlib.suppress(OSError):
        lines = _OWN_GROUP.read_text(encoding="utf-8").splitlines()
        group = next((line[3:] for line in lines if line.startswith("0::")), "")
    path = _GROUPS / group.strip("/")
    inside = [each for each in (path, *path.parents) if each.is_relative_to(_GROUPS)]
    return [*found, *([each / "cpu.max"] for each in inside)]
