import json
import os
import stat

import numpy as np
import pytest

from tflm import checkpoints, models
from tflm.checkpoints import saving

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "今", "天"]


@pytest.fixture
def model(fixture_directory):
    return checkpoints.load_model(fixture_directory("bert"))


def assert_same_weights(found, expected):
    assert found.config == expected.config
    for one, other in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", saving.FORMATS)
def test_large_weights_are_written_in_shards(model, tmp_path, name):
    checkpoints.save_pretrained(model, tmp_path / "out", format=name, shard_bytes=4000)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    files = sorted(set(index["weight_map"].values()))
    assert files == sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert files[0] == f"model-00001-of-{len(files):05}.safetensors" and len(files) > 2
    assert index["metadata"]["total_size"] == 4 * model.count_params()
    for path in files:
        names = [key for key, file in index["weight_map"].items() if file == path]
        assert len(names) == 1 or (tmp_path / "out" / path).stat().st_size < 4000 + 2000
    assert_same_weights(checkpoints.load_model(tmp_path / "out"), model)


def test_fewer_shards_leave_none_of_the_old_ones(model, tmp_path):
    out = tmp_path / "out"
    checkpoints.save_pretrained(model, out, format="huggingface", shard_bytes=4000)
    (out / "notes.txt").write_text("mine")
    checkpoints.save_pretrained(model, out)
    assert {path.name for path in out.iterdir()} == {
        "model.json",
        "model.safetensors",
        "notes.txt",
    }
    assert_same_weights(checkpoints.load_model(out), model)


def test_an_architecture_without_public_checkpoints_is_saved_in_our_format(tmp_path):
    config = models.find("transformer/tiny")[1]
    model = models.build("transformer/tiny")
    model.build(None)
    checkpoints.save_pretrained(model, tmp_path / "out")
    found = checkpoints.load_model(tmp_path / "out")
    assert found.config == config
    assert_same_weights(found, model)
    with pytest.raises(ValueError, match="`model` must be one of .*Received: Transformer"):
        checkpoints.save_pretrained(model, tmp_path / "theirs", format="huggingface")
    assert not (tmp_path / "theirs").exists()


def test_half_precision_stays_half(fixture_directory, tmp_path):
    model = checkpoints.load_model(fixture_directory("bert"), dtype="bfloat16")
    checkpoints.save_pretrained(model, tmp_path / "out", format="huggingface")
    found = checkpoints.open_checkpoint(tmp_path / "out")
    assert found.config["dtype"] == "bfloat16"
    assert_same_weights(checkpoints.load_model(tmp_path / "out", dtype="bfloat16"), model)


def test_a_failure_leaves_what_was_there(model, tmp_path, monkeypatch):
    checkpoints.save_pretrained(model, tmp_path / "out", format="huggingface")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(saving, "_write_file", fail)
    with pytest.raises(OSError, match="no space left"):
        checkpoints.save_pretrained(model, tmp_path / "out", format="huggingface")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_others_may_read_what_is_written(model, tmp_path):
    checkpoints.save_pretrained(model, tmp_path / "deep" / "out", format="huggingface")
    for path in (tmp_path / "deep" / "out", *(tmp_path / "deep" / "out").iterdir()):
        assert os.stat(path).st_mode & stat.S_IROTH


def test_unknown_formats_and_tokenizers_for_others_are_refused(model, tmp_path):
    for write in (checkpoints.save_pretrained, checkpoints.convert):
        with pytest.raises(
            ValueError, match=r"`format` must be one of \['tflm', 'huggingface'\]. .*='onnx'"
        ):
            write(model, tmp_path / "out", format="onnx")
    with pytest.raises(ValueError, match="`tokenizer` must be None unless `format` is 'tflm'"):
        checkpoints.save_pretrained(model, tmp_path / "out", object(), format="huggingface")
    assert not (tmp_path / "out").exists()


def test_convert_brings_the_tokenizer_along(copy_of, tmp_path):
    source = copy_of("bert")
    (source / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    (source / "generation_config.json").write_text('{"num_beams": 6}')
    model = checkpoints.convert(source, tmp_path / "ours")
    found, tokenizer = checkpoints.from_pretrained(tmp_path / "ours")
    assert_same_weights(found, model)
    assert tokenizer.tokenize(["今天"]).to_list() == [[5, 6]]
    checkpoints.convert(source, tmp_path / "theirs", format="huggingface")
    for name in ("vocab.txt", "generation_config.json"):
        assert (tmp_path / "theirs" / name).read_bytes() == (source / name).read_bytes()
    assert_same_weights(checkpoints.load_model(tmp_path / "theirs"), model)


def test_convert_takes_a_model_without_a_tokenizer(fixture_directory, tmp_path):
    model = checkpoints.convert(fixture_directory("roberta"), tmp_path / "ours")
    assert_same_weights(checkpoints.load_model(tmp_path / "ours"), model)
    again = checkpoints.convert(tmp_path / "ours", tmp_path / "theirs", format="huggingface")
    assert checkpoints.open_checkpoint(tmp_path / "theirs").config["model_type"] == "roberta"
    assert_same_weights(again, model)
