"""Alternating rounds: every side runs in each round, so drifting machines drift for all."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib import metadata


def time_rounds(
    sides: Mapping[str, Callable[[], object]], rounds: int, warmups: int = 1, pause: float = 0.0
) -> dict[str, list[float]]:
    """Seconds of each side in each round.

    Args:
        sides: what to time, by name.
        rounds: how often each side is timed.
        warmups: calls of each side before timing starts; compilation happens there.
        pause: seconds before each timed call, in which the threads of the last side fall asleep:
            those of OpenMP look for work for a fifth of a second.
    """
    for name, call in sides.items():
        for _ in range(warmups):
            began = time.perf_counter()
            call()
            print(f"  warmed up {name}: {time.perf_counter() - began:.1f} s", flush=True)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, call in sides.items():
            time.sleep(pause)
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
        print(f"  round {number + 1}/{rounds}", flush=True)
    return seconds


def median_ratio(slow: list[float], fast: list[float]) -> float:
    """The median over rounds of `slow / fast`."""
    return statistics.median(s / f for s, f in zip(slow, fast, strict=True))


def machine() -> str:
    """The processor and the versions that a figure depends on."""
    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
        processor = f"{names[0]}, {len(names)} cores"
    except (OSError, IndexError):
        pass
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("tensorflow", "keras"))
    return f"{processor}; {versions}, keras-hub {metadata.version('keras-hub')}"
