"""What this machine's processors can do, without importing anything that computes with them."""

import os
import pathlib
import platform

_CPUINFO = pathlib.Path("/proc/cpuinfo")
_QUOTAS = pathlib.Path("/sys/fs/cgroup")  # of a container, in one of two forms


def instructions() -> frozenset[str]:
    """Names of the instruction sets that a processor has, as Linux calls them; none elsewhere."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
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
    """How many processors this process may use at a time, whole ones.

    The least of what the system has, what the process is bound to and, in a container, the share
    that it may take, which TensorFlow does not look at: with two of 64 it would start 64 threads.
    """
    count = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        count = min(count, len(os.sched_getaffinity(0)))
    share = _quota()
    return max(1, min(count, int(share))) if share else count


def limit_threads() -> None:
    """Lets TensorFlow start no more threads than `num_cpus`, where it would start more.

    It must be called before TensorFlow is imported. `TF_NUM_INTRAOP_THREADS` and
    `TF_NUM_INTEROP_THREADS` of the environment, which TensorFlow reads, go before.
    """
    share = _quota()
    if share and int(share) < (os.cpu_count() or 1):
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ.setdefault(name, str(num_cpus()))


def _quota() -> float:
    """Processors that the container may use; 0 where nothing limits them."""
    try:
        quota, period = (_QUOTAS / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (_QUOTAS / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (_QUOTAS / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return 0.0
    return int(quota) / int(period) if quota.isdigit() and int(period) else 0.0
