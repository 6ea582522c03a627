import pytest
import tensorflow as tf

from tflm.export.saved_model_file import read, version_directory


def test_a_model_is_read_whole(upper):
    model = read(upper)
    assert list(model.signatures()) == ["serving_default"]
    assert set(model.signatures()["serving_default"].outputs) == {"text", "length"}
    assert model.size == (upper / "saved_model.pb").stat().st_size
    found = {node.proto.op: node for node in model.nodes()}
    assert "Placeholder" in found and found["Placeholder"].function == ""
    assert found["StringUpper"].function in found["StringUpper"].place
    assert model.compiled_functions() == []


def test_of_a_models_directory_the_newest_version_is_read(upper, tmp_path):
    for version in ("9", "10", "tmp-11", "12"):
        (tmp_path / version).mkdir()
    for version in ("9", "10"):
        (tmp_path / version / "saved_model.pb").write_bytes((upper / "saved_model.pb").read_bytes())
    (tmp_path / "12").rmdir()
    assert version_directory(tmp_path) == tmp_path / "10"
    assert read(tmp_path).path == tmp_path / "10"


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="`directory` must hold saved_model.pb.*nowhere"):
        read(tmp_path / "nowhere")
    (tmp_path / "1").mkdir()
    with pytest.raises(FileNotFoundError, match="numbered versions that do"):
        read(tmp_path)


def test_a_damaged_file_is_refused(upper, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes((upper / "saved_model.pb").read_bytes()[:-7])
    with pytest.raises(ValueError, match="`directory` must hold a whole saved_model.pb"):
        read(tmp_path)


def test_a_model_for_something_else_than_serving_is_refused(tmp_path):
    from tensorflow.core.protobuf import saved_model_pb2

    other = saved_model_pb2.SavedModel()
    other.meta_graphs.add().meta_info_def.tags.append("train")
    (tmp_path / "saved_model.pb").write_bytes(other.SerializeToString())
    with pytest.raises(ValueError, match=r"a graph with the tag 'serve'. .* tags \[\['train'\]\]"):
        read(tmp_path)


def test_functions_for_xla_are_found(save, tmp_path):
    @tf.function(jit_compile=True)
    def doubled(x):
        return 2.0 * x

    spec = tf.TensorSpec([None], tf.float32, name="x")
    model = read(save(tmp_path, lambda x: {"y": doubled(x)}, spec))
    assert any("doubled" in name for name in model.compiled_functions())
