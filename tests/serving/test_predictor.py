import numpy as np
import pytest

from tflm.serving.manager import Manager
from tflm.serving.metrics import Metrics
from tflm.serving.model_config import ModelConfig
from tflm.serving.predictor import Predictor, Target
from tflm.serving.status import RequestError, invalid


class Recorder:
    """A batcher that keeps what it is asked."""

    def __init__(self):
        self.asked = []

    def answer(self, servable, signature, inputs, timeout_ms):
        self.asked.append((signature, timeout_ms))
        return servable.answer(signature, inputs, timeout_ms=timeout_ms)


@pytest.fixture(scope="module")
def manager(upper):
    manager = Manager(lambda: [ModelConfig("m", upper)])
    manager.poll()
    yield manager
    manager.close()


INPUTS = {"text": np.array(["é你".encode(), b"b"], object)}


def test_a_request_is_answered_and_its_time_counted(manager):
    metrics = Metrics()
    predictor = Predictor(manager, metrics)
    with predictor.lease(Target("m", version=3)) as servable:
        found = predictor.run(servable, "serving_default", INPUTS, api="Other")
    assert found["text"].tolist() == ["é你".encode(), b"B"]
    assert 'runtime_latency_count{model_name="m",API="Other",runtime="TF1"} 1' in metrics.page()


def test_whole_answers_are_batched_and_parts_are_not(manager):
    batcher = Recorder()
    predictor = Predictor(manager, Metrics(), batcher)
    with predictor.lease(Target("m")) as servable:
        predictor.run(servable, "serving_default", INPUTS, timeout_ms=700)
        predictor.run(servable, "serving_default", INPUTS, ["text"])
        with pytest.raises(RequestError, match=r"Expects arg\[0\] to be string"):
            predictor.run(servable, "serving_default", {"text": np.zeros(2, "int32")})
    assert batcher.asked == [("serving_default", 700)]


def test_requests_are_counted_by_their_end(manager):
    metrics = Metrics()
    predictor = Predictor(manager, metrics)
    with predictor.counted("m", "Predict", "REST"):
        pass
    with pytest.raises(RequestError, match="bad"), predictor.counted("m", "Predict", "REST"):
        raise invalid("bad")
    with pytest.raises(KeyError, match="x"), predictor.counted("m", "Predict", "REST"):
        raise KeyError("x")
    with predictor.counted("made up", "Predict", "REST"):
        pass
    page = metrics.page()
    for status in ("OK", "INVALID_ARGUMENT", "INTERNAL"):
        assert f'request_count{{model_name="m",status="{status}"}} 1' in page
    assert 'request_latency_count{model_name="m",API="Predict",entrypoint="REST"} 1' in page
    assert "made up" not in page


def test_no_signature_is_the_default_one():
    assert Target("m").signature_name == "serving_default"
    assert Target("m", signature="n_best").signature_name == "n_best"
