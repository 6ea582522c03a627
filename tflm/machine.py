"""What this machine's processors can do, without importing anything that computes with them."""

import contextlib
import math
import os
import pathlib
import platform

_CPUINFO = pathlib.Path("/proc/cpuinfo")
_OWN_GROUP = pathlib.Path("/proc/self/cgroup")
_GROUPS = pathlib.Path("/sys/fs/cgroup")  # with the shares of processes, in one of two forms


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


def limit_threads() -> None:
    """Lets each of TensorFlow's pools have no more threads than `num_cpus`.

    It must be called before TensorFlow is imported. `TF_NUM_INTRAOP_THREADS` and
    `TF_NUM_INTEROP_THREADS` of the environment, which TensorFlow reads, go before.
    """
    if num_cpus() < _bound_to():
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ.setdefault(name, str(num_cpus()))


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
