import shutil
import threading

import numpy as np
import pytest
import tensorflow as tf

from tflm.export.warmup import Record, write_warmup
from tflm.serving.servable import Servable
from tflm.serving.status import Code, RequestError


def texts(*values):
    return {"text": np.array([value.encode() for value in values], object)}


@pytest.fixture(scope="module")
def servable(upper):
    return Servable("upper", 3, upper / "3")


@pytest.fixture(scope="module")
def kinds(saved_models):
    return Servable("kinds", 123, saved_models / "kinds" / "123")


@pytest.fixture
def copy(upper, tmp_path):
    return shutil.copytree(upper / "3", tmp_path / "3")


def test_a_version_answers_by_names(servable):
    answer = servable.answer("serving_default", texts("abc", "你好é", "a\0"))
    assert answer["text"].tolist() == [b"ABC", "你好é".encode(), b"A\0"]
    assert servable.signature("serving_default").inputs.keys() == {"text"}
    assert servable.signature("x") is None
    assert "__saved_model_init_op" in servable.signature_defs


def test_a_part_of_the_outputs_is_enough(kinds):
    inputs = {"a": np.array([b"x"], object), "b": np.ones((1, 2), "float32")}
    assert kinds.answer("pair", inputs, ["sum"]).keys() == {"sum"}


def test_scalars_are_arrays_too(kinds):
    total = kinds.answer("total", {"x": np.array([1.5, 2], "float32")})["total"]
    assert total.shape == () and total.dtype == np.float32 and total == 3.5


@pytest.mark.parametrize(
    ("signature", "inputs", "message"),
    [
        (
            "serving_default",
            {"text": np.array([1])},
            r"Expects arg\[0\] to be string but int64 is provided",
        ),
        (
            "pair",
            {"a": np.array([b"x"], object), "b": np.ones((1, 2))},
            r"Expects arg\[1\] to be float but double is provided",
        ),
        (
            "pair",
            {"a": np.array([b"x"], object), "b": np.ones((1, 3), "float32")},
            r"Cannot feed value of shape \(1, 3\) for Tensor pair_b:0, which has shape \(None, 2\)",
        ),
        (
            "floats",
            {"x": np.float32(1)[()].reshape(())},
            r"Cannot feed value of shape \(\) for Tensor floats_x:0, which has shape \(None,\)",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(kinds, signature, inputs, message):
    with pytest.raises(RequestError, match=message):
        kinds.check(signature, inputs)


def test_what_the_graph_fails_on_is_told(kinds):
    with pytest.raises(RequestError, match="^INVALID_ARGUMENT: assertion failed"):
        kinds.answer("checked", texts("坏"))


def test_a_run_that_takes_too_long_is_ended(kinds):
    with pytest.raises(RequestError) as raised:
        kinds.answer("count", {"n": np.array([2_000_000_000], "int32")}, timeout_ms=50)
    assert raised.value.code == Code.DEADLINE_EXCEEDED


def test_it_is_unloaded_when_nobody_holds_it(copy):
    servable = Servable("upper", 3, copy)
    with servable.lease():
        closing = threading.Thread(target=servable.close)
        closing.start()
        closing.join(0.05)
        assert closing.is_alive()
        assert servable.answer("serving_default", texts("a"))["text"].tolist() == [b"A"]
    closing.join(20)
    assert not closing.is_alive()
    with pytest.raises(RequestError, match="closed"):
        servable.answer("serving_default", texts("a"))


def test_what_runs_when_the_time_is_up_is_cancelled(saved_models):
    servable = Servable("kinds", 123, saved_models / "kinds" / "123")
    raised, begun = [], threading.Event()

    def run():
        with servable.lease(), pytest.raises(RequestError) as error:
            begun.set()
            servable.answer("count", {"n": np.array([2_000_000_000], "int32")})
        raised.append(error.value.code)

    running = threading.Thread(target=run)
    running.start()
    assert begun.wait(20)
    servable.close(seconds=0.5)
    running.join(20)
    assert raised == [Code.CANCELLED]


def test_it_is_warmed_up_by_the_requests_that_it_brings(copy):
    write_warmup(copy, "upper", [Record("", texts("é", "b"), {}), Record("", texts(""), {})])
    assert Servable("upper", 3, copy).warmup_records == 2


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (Record("x", texts("a"), {}), "Warmup request 0 does not fit signature 'x'"),
        (Record("", {}, {}), "Warmup request 0 does not fit signature 'serving_default'"),
        (Record("", {"text": np.zeros((1, 1, 2), "float32")}, {}), "Warmup request 0 fails: "),
    ],
)
def test_a_request_to_warm_up_that_fails_fails_the_load(copy, record, message):
    write_warmup(copy, "upper", [record])
    with pytest.raises(RequestError, match=message):
        Servable("upper", 3, copy)


def test_more_requests_to_warm_up_than_a_server_takes_are_refused(copy, monkeypatch):
    monkeypatch.setattr("tflm.serving.servable.MOST_RECORDS", 1)
    write_warmup(copy, "upper", [Record("", texts(text), {}) for text in "ab"])
    with pytest.raises(RequestError, match=r"exceeds the maximum \(1\): 2"):
        Servable("upper", 3, copy)


def test_a_damaged_file_of_requests_fails_the_load(copy):
    file = write_warmup(copy, "upper", [Record("", texts("a"), {})])
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(RequestError, match="DATA_LOSS: tf_serving_warmup_requests must be"):
        Servable("upper", 3, copy)


def test_its_own_batching_is_read_with_it(copy):
    (copy / "batching_params.pbtxt").write_text("max_batch_size { value: 7 }")
    assert Servable("upper", 3, copy).batching.max_batch_size == 7
    (copy / "batching_params.pbtxt").write_text("max_batch_size { value: 0 }")
    with pytest.raises(RequestError, match="`max_batch_size` must be positive. Received: 0"):
        Servable("upper", 3, copy)


def test_a_version_that_is_broken_says_why(copy, tmp_path):
    with pytest.raises(RequestError, match="NOT_FOUND: Could not find SavedModel .pb or .pbtxt at"):
        Servable("upper", 3, tmp_path)
    (copy / "variables").rename(copy / "elsewhere")
    (copy / "saved_model.pb").write_bytes(b"\xff\xff broken")
    with pytest.raises(RequestError, match="DATA_LOSS: `directory` must hold a whole"):
        Servable("upper", 3, copy)


def test_an_op_that_is_not_there_says_so(copy):
    file = copy / "saved_model.pb"
    file.write_bytes(file.read_bytes().replace(b"StringUpper", b"StringUppex"))
    with pytest.raises(RequestError, match="StringUppex"):
        Servable("upper", 3, copy)


def test_nothing_of_a_models_python_is_run(tmp_path):
    ran = []

    def spy(text):
        ran.append(text)
        return text

    def serve(text):
        return {"text": tf.py_function(spy, [text], tf.string)}

    spec = tf.TensorSpec([None], tf.string, name="text")
    signature = tf.function(serve, input_signature=[spec], autograph=False)
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"), signatures={"serving_default": signature})
    (tmp_path / "1" / "keras_metadata.pb").write_bytes(b"\x80\x04cos\nsystem\n")
    ran.clear()
    with pytest.raises(RequestError, match="NOT_FOUND: Op EagerPyFunc runs in a Python process"):
        Servable("spy", 1, tmp_path / "1")
    assert not ran
