"""Statistics of large corpora on several cores.

Workers are plain Python processes that import `tflm.eval` and get blocks of examples through a
pipe. They are not `multiprocessing`'s: fork is unsafe once TensorFlow has started its threads, and
its two other ways run the user's own script again in each worker, which then needs a main guard and
loads TensorFlow there as well.
"""

import concurrent.futures
import contextlib
import functools
import logging
import os
import pickle
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from tflm.eval.metrics.base import Metric
from tflm.eval.metrics.examples import check_lengths

# Statistics of one block by each metric, in the order of the metrics.
_Rows = list[np.ndarray]
_Block = tuple[Sequence[Any], Sequence[Any]]

_EXAMPLES_PER_BLOCK = 1000
# To start a worker takes two seconds of imports, about as long as to score this many characters.
_CHARACTERS_PER_WORKER = 1_000_000
# Each takes about 250 MB, most of it NLTK.
_MAX_WORKERS = 4
_WORKER = """
import signal, pickle, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = pickle.load(sys.stdin.buffer)
from tflm.eval.parallel import serve
serve()
"""


def compute_statistics(
    metrics: Sequence[Metric],
    hypotheses: Sequence[Any],
    references: Sequence[Any],
    *,
    num_processes: int | None = None,
) -> list[np.ndarray]:
    """Return `metric.statistics(hypotheses, references)` of each metric, computed on several cores
    where that pays.

    Args:
        metrics: The metrics. Where one cannot be sent to another process, because it is defined in
            the user's own script or holds what cannot be pickled, all are computed in this one.
        hypotheses: One per example.
        references: One, or several, per example.
        num_processes: Processes to share the work, this one included. None is one per core and at
            most four, and this one alone where the text is too short to pay for more.

    Raises:
        TypeError: When an example is not what a metric takes.
        ValueError: When there is no example, or hypotheses and references differ in number.
        RuntimeError: When a process dies.
    """
    if num_processes is None:
        num_processes = _processes_that_pay(hypotheses, references)
    num_blocks = -(-len(hypotheses) // _EXAMPLES_PER_BLOCK)
    num_workers = min(num_processes, num_blocks) - 1
    packed = _packed(metrics) if num_workers > 0 else None
    if packed is None:
        return _statistics(metrics, (hypotheses, references))
    check_lengths("hypotheses", hypotheses, references)
    starts = range(0, len(hypotheses), _EXAMPLES_PER_BLOCK)
    parts = [slice(start, start + _EXAMPLES_PER_BLOCK) for start in starts]
    blocks = [(hypotheses[part], references[part]) for part in parts]
    rows = _shared(functools.partial(_statistics, metrics), blocks, packed, num_workers)
    return [np.concatenate(found) for found in zip(*rows, strict=True)]


def serve() -> None:
    """Be a worker: read metrics and then blocks from standard input, and write the statistics of
    each block, or what went wrong, to standard output. All are pickles."""
    # What a library prints must not get between the pickles.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answer(sys.stdin.buffer, replies)


def answer(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer the requests of a stream until it ends, as `serve` does."""
    metrics = pickle.load(requests)
    with _one_warning_is_enough():
        while True:
            try:
                block = pickle.load(requests)
            except EOFError:
                return
            try:
                reply: _Rows | Exception = _statistics(metrics, block)
            except Exception as error:
                reply = error
            pickle.dump(reply, replies)
            replies.flush()


def _statistics(metrics: Sequence[Metric], block: _Block) -> _Rows:
    return [metric.statistics(*block) for metric in metrics]


def _shared(
    compute: Callable[[_Block], _Rows], blocks: list[_Block], packed: bytes, num_workers: int
) -> list[_Rows]:
    """Return the statistics of each block, computed by workers and by this process."""
    rows: list[_Rows] = [[] for _ in blocks]
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(1, len(blocks)):
        waiting.put(index)

    def work(ask: Callable[[_Block], _Rows]) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                index = waiting.get_nowait()
                rows[index] = ask(blocks[index])

    with (
        concurrent.futures.ThreadPoolExecutor(num_workers) as threads,
        contextlib.ExitStack() as stack,
    ):
        workers = [stack.enter_context(_Worker(packed)) for _ in range(num_workers)]
        # The first block here: its errors and warnings come before any other's.
        rows[0] = compute(blocks[0])
        helping = [threads.submit(work, worker.ask) for worker in workers]
        with _one_warning_is_enough():
            work(compute)
        for future in helping:
            future.result()
    return rows


class _Worker:
    """Another process that computes statistics."""

    def __init__(self, packed: bytes) -> None:
        # -P: no file of the current directory may stand in for a module of the library.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._send(pickle.dumps(sys.path) + packed)

    def ask(self, block: _Block) -> _Rows:
        """Return the statistics of a block, or raise what the worker raised."""
        self._send(pickle.dumps(block))
        try:
            reply = pickle.load(self._process.stdout)  # type: ignore[arg-type]
        except EOFError:
            status = self._process.wait()
            raise RuntimeError(
                f"A process that computes metrics died. Received: exit status {status}"
            ) from None
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _send(self, data: bytes) -> None:
        # A worker that died is noticed when its reply is read.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(data)  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        # It may leave a request half read, which cannot be flushed any more.
        with contextlib.suppress(BrokenPipeError), self._process:
            pass  # closes the pipes and waits


def _processes_that_pay(hypotheses: Sequence[Any], references: Sequence[Any]) -> int:
    if len(hypotheses) <= _EXAMPLES_PER_BLOCK:
        return 1
    num_characters = sum(map(_num_characters, (*hypotheses, *references)))
    return min(_num_cores(), _MAX_WORKERS, num_characters // _CHARACTERS_PER_WORKER)


def _num_characters(entry: Any) -> int:
    """Return the length of a text or of several; other kinds of examples are scored in no time."""
    if isinstance(entry, str):
        return len(entry)
    texts = entry if isinstance(entry, (list, tuple)) else ()
    return sum(len(text) for text in texts if isinstance(text, str))


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _packed(metrics: Sequence[Metric]) -> bytes | None:
    """Return metrics as bytes that another process can load, None where it could not."""
    if any(type(metric).__module__ == "__main__" for metric in metrics):
        return None
    try:
        return pickle.dumps(list(metrics))
    # What pickle raises depends on what the metric holds; MeCab's tagger raises TypeError.
    except (pickle.PicklingError, TypeError, AttributeError):
        return None


@contextlib.contextmanager
def _one_warning_is_enough() -> Iterator[None]:
    """Keep sacreBLEU from warning of tokenized text once a block."""
    logger = logging.getLogger("sacrebleu")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
