import json
import re


def test_a_checkpoint_is_converted_and_back(tflm, refused, repository, tmp_path):
    fixture = repository / "tests" / "checkpoints" / "fixtures" / "bert"
    done = tflm("convert", fixture, tmp_path / "ours")
    assert done.code == 0 and f"{tmp_path / 'ours'}: Bert, 0.0 M parameters" in done.out
    done = tflm("convert", tmp_path / "ours", tmp_path / "theirs", "--to", "huggingface")
    assert done.code == 0
    config = json.loads((tmp_path / "theirs" / "config.json").read_text(encoding="utf-8"))
    assert (config["model_type"], config["vocab_size"]) == ("bert", 41)
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "pickled" / "pytorch_model.bin").touch()
    assert "can run any program" in refused("convert", tmp_path / "pickled", tmp_path / "out")
    assert "'onnx'" in refused("convert", fixture, tmp_path / "out", "--to", "onnx")
    assert not (tmp_path / "out").exists()


def test_the_zoo_is_listed(tflm, monkeypatch):
    zoo = json.loads(tflm("models", "--json").out)
    monkeypatch.setattr("tflm.models.presets", lambda: zoo)  # counting takes its time
    done = tflm("models")
    assert done.code == 0
    assert re.search(r"transformer/base\s.*6\+6\s.*512\s.*2,048\s.*8\s.*37,000", done.out)
    rows = {row["name"]: row for row in zoo}
    assert rows["transformer/tiny"]["hidden_dim"] == 128
    assert rows["transformer/big"]["parameters"] > rows["transformer/base"]["parameters"] > 5e7
    assert rows["bert/base"]["opens"] == ["bert", "BertBackbone"]
    assert {"llama", "mistral", "qwen2", "qwen3"} <= set(rows["llama/llama2_7b"]["opens"])
    assert rows["transformer/base"]["opens"] == []
    assert re.search(r"^bert +bert, BertBackbone", done.out, re.MULTILINE)
