import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tflm.serving.batching import Batcher
from tflm.serving.batching_parameters import BatchingParameters
from tflm.serving.status import Code, RequestError, invalid

SLOW = 20_000_000  # microseconds that no test waits for: batches run when they are full


class Doubles:
    """Gives twice its input, and keeps what it was asked; waits where it is told to."""

    def __init__(self, batching=None):
        self.batching = batching
        self.asked = []
        self.timeouts = []
        self.go = threading.Event()
        self.go.set()
        self.held = threading.Event()

    def answer(self, signature, inputs, outputs=(), timeout_ms=0):
        self.held.set()
        self.go.wait(20)
        self.asked.append(inputs["x"].tolist())
        self.timeouts.append(timeout_ms)
        if signature == "fails":
            raise invalid("坏")
        if signature == "breaks":
            raise KeyError("x")
        if signature == "scalar":
            return {"y": np.float32(3)}
        if signature == "wide":  # as wide as the largest
            return {"y": np.repeat(inputs["x"][:, None], int(inputs["x"].max()), axis=1)}
        if signature == "short":
            return {"y": inputs["x"][:1]}
        return {"y": inputs["x"] * 2}


@pytest.fixture
def make():
    made = []

    def make(*arguments, threads=1, **parameters):
        settings = BatchingParameters(num_batch_threads=threads, **parameters)
        made.append(Batcher(settings, *arguments))
        return made[-1]

    yield make
    for batcher in made:
        batcher.close()


def x(*values):
    return {"x": np.array(values, "float32")}


def ask_all(batcher, servable, requests, signature="s"):
    """Answers of requests that are asked one after the other, and wait for each other."""
    with ThreadPoolExecutor(len(requests)) as pool:
        found = []
        for request in requests:
            found.append(pool.submit(batcher.answer, servable, signature, request))
            time.sleep(0.02)
        return [each.result(20)["y"].tolist() for each in found]


def test_requests_run_together_and_get_their_own_rows(make):
    observed, servable = [], Doubles()
    batcher = make(
        False, lambda *batch: observed.append(batch), max_batch_size=4, batch_timeout_micros=SLOW
    )
    assert ask_all(batcher, servable, [x(1), x(2, 3), x(4)]) == [[2], [4, 6], [8]]
    assert servable.asked == [[1, 2, 3, 4]]
    ((rows, padding, waited),) = observed
    assert (rows, padding, len(waited)) == (4, 0, 3)


def test_a_batch_that_is_not_full_waits_so_long_and_no_longer(make):
    servable = Doubles()
    batcher = make(max_batch_size=9, batch_timeout_micros=30_000)
    began = time.monotonic()
    assert batcher.answer(servable, "s", x(5))["y"].tolist() == [10]
    assert 0.03 <= time.monotonic() - began


def test_a_batch_is_filled_up_to_a_size_that_is_allowed(make):
    observed, servable = [], Doubles()
    batcher = make(
        False,
        lambda *batch: observed.append(batch[:2]),
        max_batch_size=6,
        allowed_batch_sizes=(2, 6),
    )
    assert batcher.answer(servable, "s", x(1, 2, 3))["y"].tolist() == [2, 4, 6]
    assert servable.asked == [[1, 2, 3, 1, 1, 1]] and observed == [(3, 3)]


def test_what_does_not_fit_goes_into_the_next_batch(make):
    servable = Doubles()
    batcher = make(max_batch_size=3, batch_timeout_micros=SLOW)
    assert ask_all(batcher, servable, [x(1, 2), x(3, 4), x(5)]) == [[2, 4], [6, 8], [10]]
    assert servable.asked == [[1, 2], [3, 4, 5]]


def test_a_large_request_is_split_where_that_is_allowed(make):
    servable = Doubles()
    splitting = {"max_execution_batch_size": 3, "enable_large_batch_splitting": True}
    batcher = make(max_batch_size=8, batch_timeout_micros=SLOW, **splitting)
    assert ask_all(batcher, servable, [x(1), x(2, 3, 4, 5, 6)]) == [[2], [4, 6, 8, 10, 12]]
    assert servable.asked == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(RequestError, match="Task size 9 is larger than maximum input batch size 8"):
        batcher.answer(servable, "s", x(*range(9)))


def test_parts_of_a_request_that_are_not_alike_are_not_put_together(make):
    batcher = make(max_batch_size=2, max_execution_batch_size=1, enable_large_batch_splitting=True)
    assert batcher.answer(Doubles(), "wide", x(2, 2))["y"].tolist() == [[2, 2], [2, 2]]
    with pytest.raises(
        RequestError, match=r"outputs 'y' of different shapes: \(2,\), \(3,\). TF"
    ) as it:
        batcher.answer(Doubles(), "wide", x(2, 3))
    assert it.value.code == Code.FAILED_PRECONDITION


def test_inputs_of_other_shapes_are_filled_up_where_that_is_asked_for(make):
    servable = Doubles()
    batcher = make(
        max_batch_size=3,
        batch_timeout_micros=SLOW,
        allowed_batch_sizes=(3,),
        pad_variable_length_inputs=True,
    )
    asked = [{"x": np.array([[[5, 6, 7]]])}, {"x": np.array([[[1], [2]], [[3], [4]]])}]
    first, second = ask_all(batcher, servable, asked)
    assert servable.asked == [
        [[[5, 6, 7], [5, 5, 5]], [[1, 1, 1], [2, 1, 1]], [[3, 1, 1], [4, 1, 1]]]
    ]
    assert first == [[[10, 12, 14], [10, 10, 10]]] and len(second) == 2  # as wide as they ran
    texts = (
        {"x": np.array([["茶".encode(), b"\0"]], object)},
        {"x": np.array([[b"a\0"]] * 2, object)},
    )
    ask_all(batcher, servable, texts)
    assert servable.asked[1] == [["茶".encode(), b"\0"], [b"a\0", b"a\0"], [b"a\0", b"a\0"]]


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (np.ones((1, 3)), np.ones((1, 0)), "Got empty tensor in batch of non-empty tensors."),
        (np.ones((1,) * 7), np.ones((1,) * 6 + (2,)), "Only tensors with rank from 1 to 6 can be"),
        (np.ones((1, 2)), np.ones((1, 2, 2)), "Tensors with name 'x' .* different ranks or types"),
    ],
)
def test_what_cannot_be_filled_up_is_refused(make, one, other, message):
    batcher = make(max_batch_size=2, batch_timeout_micros=SLOW, pad_variable_length_inputs=True)
    with pytest.raises(RequestError, match=message):
        ask_all(batcher, Doubles(), [{"x": one}, {"x": other}])


def test_a_model_may_say_how_its_requests_are_put_together(make):
    own = BatchingParameters(max_batch_size=2, batch_timeout_micros=SLOW)
    for per_model, asked in ((True, [[1, 2]]), (False, [[1], [2]])):
        servable = Doubles(own)
        batcher = make(per_model)
        assert ask_all(batcher, servable, [x(1), x(2)]) == [[2], [4]]
        assert servable.asked == asked


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "Batching Run\\(\\) must have at least one input tensor"),
        ({"x": np.float32(1)}, "Batching Run\\(\\) input tensors must have at least one dimension"),
        (
            {"x": np.zeros(2), "y": np.zeros(3)},
            "Batching Run\\(\\) input tensors must have equal 0th-dimension size",
        ),
        ({"x": np.zeros(5)}, "Task size 5 is larger than maximum input batch size 4"),
    ],
)
def test_inputs_that_cannot_be_put_together_are_refused(make, inputs, message):
    with pytest.raises(RequestError, match=message):
        make(max_batch_size=4).answer(Doubles(), "s", inputs)


def test_no_rows_run_on_their_own(make):
    assert make().answer(Doubles(), "s", x())["y"].tolist() == []


@pytest.mark.parametrize(
    ("signature", "code", "message"),
    [
        ("fails", Code.INVALID_ARGUMENT, "坏"),
        ("breaks", Code.INTERNAL, "KeyError: 'x'"),
        ("scalar", Code.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions: y"),
        ("short", Code.FAILED_PRECONDITION, "0th dimension does not equal the sum"),
    ],
)
def test_what_fails_fails_for_the_batch_and_the_thread_goes_on(make, signature, code, message):
    batcher, servable = make(), Doubles()
    with pytest.raises(RequestError, match=message) as raised:
        batcher.answer(servable, signature, x(1, 2))
    assert raised.value.code == code
    assert batcher.answer(servable, "s", x(1))["y"].tolist() == [2]


def test_shapes_that_differ_fail(make):
    batcher = make(max_batch_size=2, batch_timeout_micros=SLOW)
    wide = {"x": np.zeros((1, 3), "float32")}
    with pytest.raises(RequestError, match="Tensors with name 'x' from different tasks have"):
        ask_all(batcher, Doubles(), [x(1), wide])


def test_too_many_that_wait_are_refused(make):
    servable = Doubles()
    servable.go.clear()
    batcher = make(max_batch_size=1, max_enqueued_batches=1)
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(batcher.answer, servable, "s", x(1))
        while not servable.held.is_set():
            time.sleep(0.01)
        waiting = pool.submit(batcher.answer, servable, "s", x(2))
        while not batcher._queues:
            time.sleep(0.01)
        with pytest.raises(RequestError, match="The batch scheduling queue .* is full") as raised:
            batcher.answer(servable, "s", x(3))
        assert raised.value.code == Code.UNAVAILABLE
        servable.go.set()
        assert running.result(20)["y"].tolist() == [2]
        assert waiting.result(20)["y"].tolist() == [4]
    assert not batcher._queues


def test_who_waited_too_long_is_told(make):
    servable = Doubles()
    batcher = make(max_batch_size=9, batch_timeout_micros=40_000)
    with pytest.raises(RequestError, match="timeout exceeded while waiting in batching queue"):
        batcher.answer(servable, "s", x(1), timeout_ms=5)
    assert not servable.asked
    batcher.answer(servable, "s", x(1), timeout_ms=900)
    assert 0 < servable.timeouts[0] <= 900


def test_at_the_end_what_waits_is_run_and_nothing_is_taken(make):
    servable = Doubles()
    batcher = make(max_batch_size=9, batch_timeout_micros=SLOW)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(batcher.answer, servable, "s", x(1))
        while not batcher._queues:
            time.sleep(0.01)
        batcher.close()
        assert waiting.result(20)["y"].tolist() == [2]
    with pytest.raises(RequestError, match="The server is shutting down"):
        batcher.answer(servable, "s", x(1))
