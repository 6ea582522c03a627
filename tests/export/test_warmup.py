import numpy as np
import pytest
import tensorflow as tf

from tflm.export.warmup import FILE, Record, read_warmup, write_warmup

RECORDS = [
    Record(
        "", {"text": np.array([b"one", "你好".encode()], object)}, {"score": np.array([0.5, 1])}
    ),
    Record("n_best", {"text": np.array([b""], object), "k": np.array([3], "int32")}, {}),
]


def test_records_come_back_as_they_were(tmp_path):
    path = write_warmup(tmp_path, "greeter", RECORDS)
    assert path == tmp_path / "assets.extra" / FILE
    found = read_warmup(tmp_path)
    assert [record.signature for record in found] == ["", "n_best"]
    for ours, theirs in zip(found, RECORDS, strict=True):
        for mine, wanted in ((ours.inputs, theirs.inputs), (ours.outputs, theirs.outputs)):
            assert mine.keys() == wanted.keys()
            for name, array in wanted.items():
                np.testing.assert_array_equal(mine[name], array)
                assert mine[name].dtype == array.dtype


def test_the_servers_own_messages_read_them(tmp_path):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    path = write_warmup(tmp_path, "greeter", RECORDS)
    first, second = (
        logs.PredictionLog.FromString(each.numpy()) for each in tf.data.TFRecordDataset(str(path))
    )
    assert first.predict_log.request.model_spec.name == "greeter"
    assert tf.make_ndarray(first.predict_log.request.inputs["text"])[1].decode() == "你好"
    assert tf.make_ndarray(first.predict_log.response.outputs["score"]).tolist() == [0.5, 1.0]
    assert second.predict_log.request.model_spec.signature_name == "n_best"


def test_a_model_without_records_has_none(tmp_path):
    assert read_warmup(tmp_path) == []


def test_a_damaged_file_is_refused(tmp_path):
    path = write_warmup(tmp_path, "greeter", RECORDS)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=f"{FILE} must be TFRecords of PredictionLog"):
        read_warmup(tmp_path)


def test_other_requests_than_predict_are_refused(tmp_path):
    path = tmp_path / "assets.extra" / FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"")
    with pytest.raises(ValueError, match=f"{FILE} must hold Predict requests. .* number 0"):
        read_warmup(tmp_path)
