"""What Prometheus reads, in the names and buckets of TF Serving (`util/prometheus_exporter.cc`)."""

import bisect
import itertools
import threading
from collections.abc import Sequence

PATH = "/monitoring/prometheus/metrics"
CONTENT_TYPE = "text/plain"

# `Buckets::Exponential(10, 1.8, 33)` microseconds, to about twenty minutes.
_LATENCY = tuple(10 * 1.8**power for power in range(33))
_SIZES = tuple(float(2**power) for power in range(20))


class Counter:
    """Counts by labels.

    Args:
        name: with slashes, as TensorFlow's monitoring has it.
        labels: names of the labels.
    """

    def __init__(self, name: str, labels: Sequence[str]):
        self.name = name
        self._labels = tuple(labels)
        self._values: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()

    def add(self, *labels: str) -> None:
        """Counts one more."""
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + 1

    def lines(self) -> list[str]:
        """What is exported."""
        with self._lock:
            values = sorted(self._values.items())
        name = _metric_name(self.name)
        found = [f"{name}{{{_labels(self._labels, labels)}}} {value}" for labels, value in values]
        return [f"# TYPE {name} counter", *found]


class Histogram:
    """Counts by labels and size.

    Args:
        name: with slashes, as TensorFlow's monitoring has it.
        labels: names of the labels.
        limits: upper limits of the buckets but the last.
    """

    def __init__(self, name: str, labels: Sequence[str], limits: Sequence[float]):
        self.name = name
        self._labels = tuple(labels)
        self._limits = tuple(limits)
        self._values: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}
        self._lock = threading.Lock()

    def add(self, value: float, *labels: str) -> None:
        """Counts a value."""
        with self._lock:
            counts, total = self._values.setdefault(labels, ([0] * (len(self._limits) + 1), [0.0]))
            counts[bisect.bisect_right(self._limits, value)] += 1
            total[0] += value

    def lines(self) -> list[str]:
        """What is exported."""
        name = _metric_name(self.name)
        found = [f"# TYPE {name} histogram"]
        with self._lock:
            values = sorted(
                (key, list(counts), total[0]) for key, (counts, total) in self._values.items()
            )
        limits = [*(f"{limit:g}" for limit in self._limits), "+Inf"]
        for key, counts, total in values:
            labels = _labels(self._labels, key)
            before = f"{labels}," if labels else ""
            sums = list(itertools.accumulate(counts))
            found += [
                f'{name}_bucket{{{before}le="{limit}"}} {count}'
                for limit, count in zip(limits, sums, strict=True)
            ]
            found += [f"{name}_sum{{{labels}}} {total:g}", f"{name}_count{{{labels}}} {sums[-1]}"]
        return found


class Metrics:
    """All that is counted."""

    def __init__(self):
        prefix = "/tensorflow/serving"
        self.request_count = Counter(f"{prefix}/request_count", ("model_name", "status"))
        self.request_latency = Histogram(
            f"{prefix}/request_latency", ("model_name", "API", "entrypoint"), _LATENCY
        )
        self.runtime_latency = Histogram(
            f"{prefix}/runtime_latency", ("model_name", "API", "runtime"), _LATENCY
        )
        self.warmup_latency = Histogram(
            f"{prefix}/model_warmup_latency", ("model_path", "status"), _LATENCY
        )
        batching = f"{prefix}/batching_session"
        self.queuing_latency = Histogram(f"{batching}/queuing_latency", (), _LATENCY)
        self.batch_size = Histogram(f"{batching}/processed_batch_size", (), _SIZES)
        self.padding_size = Histogram(f"{batching}/padding_size", (), _SIZES)

    def observe_batch(self, rows: int, padding: int, waited: Sequence[float]) -> None:
        """Counts a batch: its rows, what it was filled up by, the seconds its requests waited."""
        self.batch_size.add(rows + padding)
        self.padding_size.add(padding)
        for seconds in waited:
            self.queuing_latency.add(seconds * 1e6)

    def page(self) -> str:
        """What Prometheus is given."""
        everything = [each for each in vars(self).values() if isinstance(each, Counter | Histogram)]
        lines = itertools.chain.from_iterable(
            each.lines() for each in sorted(everything, key=lambda each: each.name)
        )
        return "\n".join(lines) + "\n"


def _metric_name(name: str) -> str:
    return name.replace("/", ":")


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    quoted = (
        value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for value in values
    )
    return ",".join(f'{name}="{value}"' for name, value in zip(names, quoted, strict=True))
