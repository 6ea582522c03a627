"""Requests of several clients in one run of the model.

As in TF Serving (`batching/batching_session.cc` and TensorFlow's `SharedBatchScheduler`), requests
of one signature are put together along their leading dimension, and what fails fails for the batch.
"""

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future

import numpy as np

from tflm.serving.batching_parameters import BatchingParameters
from tflm.serving.servable import Servable
from tflm.serving.status import Code, RequestError, invalid

_FULL = "The batch scheduling queue to which this task was submitted is full"
_LATE = "Run() timeout exceeded while waiting in batching queue"
_MOST_DIMENSIONS = 6


@dataclasses.dataclass
class _Task:
    inputs: Mapping[str, np.ndarray]
    rows: int
    deadline: float
    future: Future[dict[str, np.ndarray]]
    began: float


@dataclasses.dataclass
class _Batch:
    servable: Servable
    parameters: BatchingParameters
    signature: str
    began: float
    tasks: list[_Task] = dataclasses.field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(task.rows for task in self.tasks)


class Batcher:
    """Threads that run batches.

    Args:
        parameters: how large batches are, how long they wait, and how many run.
        per_model: whether a model's own parameters hold where it brings some; the number of
            threads is still the one above.
        observe: is told the rows of each batch, the rows it was filled up by, and the seconds that
            each of its requests waited.
    """

    def __init__(
        self,
        parameters: BatchingParameters,
        per_model: bool = False,
        observe: Callable[[int, int, list[float]], None] = lambda rows, padding, waited: None,
    ):
        self._parameters = parameters
        self._per_model = per_model
        self._observe = observe
        self._queues: dict[tuple[int, str], deque[_Batch]] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{number}", daemon=True)
            for number in range(parameters.num_batch_threads)
        ]
        for thread in self._threads:
            thread.start()

    def answer(
        self,
        servable: Servable,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        timeout_ms: int = 0,
    ) -> dict[str, np.ndarray]:
        """Outputs by name, of a run together with whoever asks at the same time.

        Raises:
            RequestError: the inputs have no common leading dimension, too many wait, or the run
                fails.
        """
        rows = _rows(inputs)
        if not rows:
            return servable.answer(signature, inputs, timeout_ms=timeout_ms)
        own = servable.batching if self._per_model else None
        parameters = own or self._parameters
        if rows > parameters.max_batch_size:
            raise invalid(
                f"Task size {rows} is larger than maximum input batch size "
                f"{parameters.max_batch_size}"
            )
        now = time.monotonic()
        deadline = now + timeout_ms / 1e3 if timeout_ms else float("inf")
        whole = _Task(inputs, rows, deadline, Future(), now)
        with self._changed:
            if self._closed:
                raise RequestError(Code.UNAVAILABLE, "The server is shutting down")
            tasks = self._enqueue(servable, signature, parameters, whole)
            self._changed.notify(len(tasks))
        found = [task.future.result() for task in tasks]
        if len(found) == 1:
            return found[0]
        return {alias: _rejoined(alias, [part[alias] for part in found]) for alias in found[0]}

    def close(self) -> None:
        """Runs what waits, then ends the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _enqueue(
        self, servable: Servable, signature: str, parameters: BatchingParameters, whole: _Task
    ) -> list[_Task]:
        """Puts a request into the batch that is filling, into a new one, or into several."""
        queue = self._queues.get((id(servable), signature), deque())
        largest = parameters.batch_rows
        room = largest - queue[-1].rows if queue else 0
        sizes = [whole.rows]
        if parameters.enable_large_batch_splitting:
            first = min(room or largest, whole.rows)
            sizes = [first, *_sizes(whole.rows - first, largest)]
        new = len(sizes) - (sizes[0] <= room)
        if len(queue) + new > parameters.max_enqueued_batches:
            raise RequestError(Code.UNAVAILABLE, _FULL)
        tasks = list(_split(whole, sizes))
        for number, task in enumerate(tasks):
            if number or task.rows > room:
                queue.append(_Batch(servable, parameters, signature, task.began))
            queue[-1].tasks.append(task)
        self._queues[id(servable), signature] = queue
        return tasks

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            try:
                self._run(batch)
            except RequestError as error:
                self._fail(batch, error)
            except Exception as error:  # whatever it is, the clients are waiting
                self._fail(batch, RequestError(Code.INTERNAL, f"{type(error).__name__}: {error}"))

    def _next(self) -> _Batch | None:
        """The oldest batch that is full or has waited long enough; `None` at the end."""
        with self._changed:
            while True:
                now, soonest = time.monotonic(), float("inf")
                for key, queue in sorted(self._queues.items(), key=lambda item: item[1][0].began):
                    first = queue[0]
                    patience = first.parameters.batch_timeout_micros / 1e6
                    full = len(queue) > 1 or first.rows >= first.parameters.batch_rows
                    if full or self._closed or now - first.began >= patience:
                        queue.popleft()
                        if not queue:  # a version that is gone leaves nothing behind
                            del self._queues[key]
                        self._changed.notify()  # somebody else sees to the rest
                        return first
                    soonest = min(soonest, first.began + patience)
                if self._closed:
                    return None
                self._changed.wait(None if soonest == float("inf") else soonest - now)

    def _run(self, batch: _Batch) -> None:
        now = time.monotonic()
        for task in batch.tasks:
            if task.deadline <= now:
                task.future.set_exception(RequestError(Code.RESOURCE_EXHAUSTED, _LATE))
        tasks = batch.tasks = [task for task in batch.tasks if not task.future.done()]
        if not tasks:
            return
        rows, sizes = batch.rows, batch.parameters.allowed_batch_sizes
        padded = next((size for size in sizes if size >= rows), rows)
        pads = batch.parameters.pad_variable_length_inputs
        inputs = {alias: _merged(tasks, alias, padded - rows, pads) for alias in tasks[0].inputs}
        remaining = max(task.deadline for task in tasks) - now
        timeout_ms = 0 if remaining == float("inf") else max(1, int(remaining * 1e3))
        outputs = batch.servable.answer(batch.signature, inputs, timeout_ms=timeout_ms)
        self._observe(rows, padded - rows, [now - task.began for task in tasks])
        for alias, array in outputs.items():
            if not array.ndim:
                raise RequestError(
                    Code.FAILED_PRECONDITION, f"Batched output tensor has 0 dimensions: {alias}"
                )
            if len(array) != padded:
                raise RequestError(
                    Code.FAILED_PRECONDITION,
                    f"Batched output tensor's 0th dimension does not equal the sum of the 0th "
                    f"dimension sizes of the input tensors: {alias}",
                )
        start = 0
        for task in tasks:
            end = start + task.rows
            task.future.set_result({alias: array[start:end] for alias, array in outputs.items()})
            start = end

    def _fail(self, batch: _Batch, error: RequestError) -> None:
        for task in batch.tasks:
            if not task.future.done():
                task.future.set_exception(error)


def _sizes(rows: int, largest: int) -> list[int]:
    return [min(largest, rows - start) for start in range(0, rows, largest)]


def _split(whole: _Task, sizes: Sequence[int]) -> Iterator[_Task]:
    """Parts of a request, each with an answer of its own."""
    if len(sizes) == 1:
        yield whole
        return
    start = 0
    for size in sizes:
        part = {alias: array[start : start + size] for alias, array in whole.inputs.items()}
        yield dataclasses.replace(whole, inputs=part, rows=size, future=Future())
        start += size


def _rows(inputs: Mapping[str, np.ndarray]) -> int:
    if not inputs:
        raise invalid("Batching Run() must have at least one input tensor")
    if not all(array.ndim for array in inputs.values()):
        raise invalid("Batching Run() input tensors must have at least one dimension")
    sizes = {len(array) for array in inputs.values()}
    if len(sizes) > 1:
        raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()


def _rejoined(alias: str, parts: list[np.ndarray]) -> np.ndarray:
    """An output of a request that ran in several batches, which may each be as wide as need be."""
    if len(shapes := {part.shape[1:] for part in parts}) > 1:
        raise RequestError(
            Code.FAILED_PRECONDITION,
            f"The parts of a request that was split have outputs '{alias}' of different shapes: "
            f"{', '.join(map(str, sorted(shapes)))}. TF Serving would put them together wrongly, "
            "or end. Ask for fewer rows at once, or turn enable_large_batch_splitting off.",
        )
    return np.concatenate(parts)


def _merged(tasks: list[_Task], alias: str, padding: int, pads: bool) -> np.ndarray:
    """An input of all requests, and its first row again where the batch is filled up."""
    arrays = [task.inputs[alias] for task in tasks]
    if pads and len({(array.ndim, array.dtype) for array in arrays}) == 1:
        sizes = np.max([array.shape[1:] for array in arrays], axis=0)
        arrays = [_padded(array, (len(array), *map(int, sizes))) for array in arrays]
    if len({(array.shape[1:], array.dtype) for array in arrays}) > 1:
        what, advice = "ranks or types", "Ensure"
        if not pads:
            what = "shapes and padding is turned off"
            advice = "Set pad_variable_length_inputs to true, or ensure"
        raise RequestError(
            Code.FAILED_PRECONDITION,
            f"Tensors with name '{alias}' from different tasks have different {what}. {advice} "
            "that all tensors with the same name have equal dimensions starting with the first "
            "dim.",
        )
    whole = np.concatenate(arrays)
    return np.concatenate([whole, np.repeat(whole[:1], padding, axis=0)]) if padding else whole


def _padded(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An input in a larger shape, filled up with its first element as `AddPadding` does."""
    if array.shape == shape:
        return array
    if array.ndim > _MOST_DIMENSIONS:
        raise invalid(f"Only tensors with rank from 1 to {_MOST_DIMENSIONS} can be padded.")
    if not array.size:
        raise invalid("Got empty tensor in batch of non-empty tensors.")
    whole = np.empty(shape, array.dtype)
    whole.fill(array.flat[0])
    whole[tuple(map(slice, array.shape))] = array
    return whole
