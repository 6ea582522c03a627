import json
import pickle

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from tflm.checkpoints.tensors import (
    SafetensorsFiles,
    Subset,
    Tensors,
    open_directory,
    refuse_other_formats,
)

ARRAYS = {
    "float64": np.arange(6, dtype="float64").reshape(2, 3) / 7,
    "float32": np.linspace(-3, 3, 20, dtype="float32").reshape(5, 4),
    "float16": np.array([[0.1, -65504.0, 6e-8]], "float16"),
    "bfloat16": np.array([1e-40, -3.3e38, 0.1, np.inf, np.nan], ml_dtypes.bfloat16),
    "scalar": np.array(2.5, "float32"),
    "nothing": np.zeros((0, 3), "float32"),
}


@pytest.fixture
def files(tmp_path):
    safetensors.numpy.save_file(ARRAYS, tmp_path / "model.safetensors", {"format": "pt"})
    return open_directory(tmp_path)


def test_every_tensor_is_read_as_a_float_of_at_least_32_bits(files):
    assert files.keys() == ARRAYS.keys() and len(files) == len(ARRAYS)
    for name, array in ARRAYS.items():
        expected = array.astype("float64" if name == "float64" else "float32")
        assert files.shape(name) == array.shape
        assert files[name].dtype == expected.dtype
        np.testing.assert_array_equal(files[name], expected)


@settings(max_examples=30, deadline=None)
@given(bits=st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=50))
def test_half_precision_is_converted_exactly(bits, tmp_path_factory):
    path = tmp_path_factory.mktemp("half") / "model.safetensors"
    stored = np.array(bits, "uint16")
    halves = {"b": stored.view(ml_dtypes.bfloat16), "f": stored.view("float16")}
    safetensors.numpy.save_file(halves, path)
    found = SafetensorsFiles([path])
    for name, array in halves.items():
        np.testing.assert_array_equal(found[name], array.astype("float32"))


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_rows_are_a_part_along_the_first_axis(files, name):
    array = ARRAYS[name]
    for start in range(len(array)):
        for stop in range(start, len(array) + 1):
            np.testing.assert_array_equal(files.rows(name, start, stop), array[start:stop])


def test_rows_of_half_precision_are_converted_too(files):
    expected = ARRAYS["bfloat16"][1:4].astype("float32")
    np.testing.assert_array_equal(files.rows("bfloat16", 1, 4), expected)


def test_a_subset_has_the_names_given_and_reads_only_those(files):
    subset = Subset(files, ["float32", "scalar"])
    assert sorted(subset) == ["float32", "scalar"]
    np.testing.assert_array_equal(subset["float32"], ARRAYS["float32"])
    np.testing.assert_array_equal(subset.rows("float32", 1, 3), ARRAYS["float32"][1:3])
    with pytest.raises(KeyError, match="float16"):
        subset["float16"]


def test_tensors_that_know_no_rows_are_read_whole():
    class Memory(Tensors):
        def __getitem__(self, name):
            return ARRAYS[name]

    memory = Memory({"float32": (5, 4)})
    np.testing.assert_array_equal(memory.rows("float32", 2, 4), ARRAYS["float32"][2:4])
    with pytest.raises(NotImplementedError):
        Tensors({"x": (1,)})["x"]
    assert "x" in Tensors({"x": (1,)})  # which reads nothing


def test_shards_are_found_by_their_index(tmp_path):
    names = ["float32", "float16"]
    for i, name in enumerate(names):
        safetensors.numpy.save_file({name: ARRAYS[name]}, tmp_path / f"part-{i}.safetensors")
    index = {"weight_map": {name: f"part-{i}.safetensors" for i, name in enumerate(names)}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    found = open_directory(tmp_path)
    assert sorted(found) == sorted(names)
    np.testing.assert_array_equal(found["float32"], ARRAYS["float32"])
    (tmp_path / "part-1.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"without \['part-1.safetensors'\]"):
        open_directory(tmp_path)


def test_a_name_in_two_files_is_refused(tmp_path):
    for name in ("a", "b"):
        safetensors.numpy.save_file({"x": ARRAYS["float32"]}, tmp_path / name)
    with pytest.raises(ValueError, match=r"every name once. Received: \['x'\] in .*b"):
        SafetensorsFiles([tmp_path / "a", tmp_path / "b"])


@pytest.mark.parametrize("size", [0, 5, 40, -8])
def test_a_file_cut_short_is_refused_when_it_is_opened(files, tmp_path, size):
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match="`model.safetensors` must be a whole safetensors file"):
        open_directory(tmp_path)


def test_a_file_that_changes_under_our_hands_is_noticed(files, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="must not change while it is read"):
        files["float32"]


def test_quantized_tensors_are_refused(tmp_path):
    safetensors.numpy.save_file({"x": np.zeros(3, "int8")}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"`x` must be stored as one of .*Received: I8 in"):
        open_directory(tmp_path)["x"]


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "model.pth", "epoch=3.ckpt", "weights.pkl"]
)
def test_pickle_files_are_refused_with_a_reason_and_a_remedy(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(
        ValueError, match=rf"can run any program .*save_pretrained.*\['{name}'\] in {tmp_path}"
    ):
        open_directory(tmp_path)


@pytest.mark.parametrize("name", ["tf_model.h5", "flax_model.msgpack", "model.ckpt.index"])
def test_other_formats_are_refused_with_a_remedy(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=rf"must be safetensors. Convert it .*\['{name}'\]"):
        open_directory(tmp_path)


def test_pickles_beside_safetensors_disturb_nobody(files, tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    assert open_directory(tmp_path).keys() == files.keys()
    assert refuse_other_formats(["config.json"], tmp_path) is None


def test_a_directory_without_weights_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="must hold model.safetensors or model.safetens"):
        open_directory(tmp_path)
