import json
import re

import numpy as np
import pytest
import safetensors.numpy

from tflm import checkpoints, models
from tflm.checkpoints import loading

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "to", "##day", "今", "天"]


@pytest.fixture
def with_tokenizer(copy_of):
    """A checkpoint with a WordPiece vocabulary."""
    directory = copy_of("bert")
    (directory / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return directory


def test_a_directory_becomes_a_model_with_its_tokenizer(with_tokenizer):
    model, tokenizer = checkpoints.from_pretrained(with_tokenizer, dtype="mixed_bfloat16")
    assert type(model) is models.ARCHITECTURES["bert"]
    assert model.dtype_policy.name == "mixed_bfloat16"
    assert tokenizer.tokenize(["Today 今天"]).to_list() == [[5, 6, 7, 8]]


def test_a_string_names_a_directory_as_a_path_does(fixture_directory):
    model = checkpoints.load_model(str(fixture_directory("bert")), name="anything")
    assert model.name == "anything"


def test_our_own_directory_gives_model_and_tokenizer_back(with_tokenizer, tmp_path):
    model, tokenizer = checkpoints.from_pretrained(with_tokenizer)
    checkpoints.save_pretrained(model, tmp_path / "own", tokenizer)
    again, same = checkpoints.from_pretrained(tmp_path / "own")
    assert again.config == model.config
    assert same.tokenize(["今天 today"]).to_list() == tokenizer.tokenize(["今天 today"]).to_list()


def test_a_checkpoint_is_opened_without_reading_it(fixture_directory, monkeypatch):
    monkeypatch.setattr("tflm.checkpoints.tensors.SafetensorsFiles._read", None)
    found = checkpoints.open_checkpoint(fixture_directory("bert"))
    assert found.config["model_type"] == "bert"
    assert found.tensors.shape("embeddings.word_embeddings.weight") == (41, 12)
    assert found.family.MODEL is models.ARCHITECTURES["bert"]


def test_the_tensors_of_a_head_are_given_apart(copy_of):
    head = {
        "cls.predictions.bias": np.arange(41, dtype="float32"),
        "classifier.weight": np.ones((2, 12), "float32"),
    }
    found = checkpoints.open_checkpoint(copy_of("bert", tensors=head))
    assert found.heads.keys() == head.keys()
    for name, array in head.items():
        np.testing.assert_array_equal(found.heads[name], array)
    assert found.model().built


def test_a_checkpoint_of_a_model_with_a_head_has_a_prefix(copy_of, stored_tensors, results):
    directory = copy_of("bert")
    expected = checkpoints.load_model(directory)
    stored = stored_tensors(directory)
    with_prefix = {f"bert.{name}": array for name, array in stored.items()}
    safetensors.numpy.save_file(with_prefix, directory / "model.safetensors")
    found = checkpoints.load_model(directory)
    assert found.config == expected.config  # the pooler is found under its prefix too
    for one, other in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_unsupported_model_type_names_the_supported_ones(copy_of):
    with pytest.raises(ValueError, match=r"one of \[.*'bert'.*\]. Received: model_type='wavlm'"):
        checkpoints.load_model(copy_of("bert", {"model_type": "wavlm"}))


def test_quantized_weights_are_refused(copy_of):
    directory = copy_of("bert", {"quantization_config": {"bits": 4}})
    with pytest.raises(ValueError, match="not quantized. Received: quantization_config in"):
        checkpoints.load_model(directory)


def test_a_directory_without_a_configuration_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="`source` must hold config.json and safetensors"):
        checkpoints.load_model(tmp_path)


def test_a_directory_of_pickles_is_refused(copy_of):
    directory = copy_of("bert")
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"a pickle file can run any program .*pytorch_model.bin"):
        checkpoints.load_model(directory)


def test_a_file_is_refused_with_a_reason(copy_of):
    directory = copy_of("bert")
    with pytest.raises(ValueError, match="`source` must be a directory, which holds config.json"):
        checkpoints.load_model(directory / "model.safetensors")
    (directory / "model.pt").write_bytes(b"")
    with pytest.raises(ValueError, match="a pickle file can run any program"):
        checkpoints.load_model(directory / "model.pt")


@pytest.mark.parametrize("source", ["./nothing/here", "/nothing/here", "a/b/c"])
def test_what_is_neither_a_directory_nor_a_name_is_refused(source):
    with pytest.raises(FileNotFoundError, match=rf"KerasHub preset. Received: '{source}'"):
        checkpoints.load_model(source)


def test_a_checkpoint_without_a_tokenizer_says_so(copy_of):
    with pytest.raises(FileNotFoundError, match="tokenizer files"):
        checkpoints.load_tokenizer(copy_of("bert"))


def test_a_saved_architecture_that_is_gone_is_named(copy_of, tmp_path):
    (tmp_path / "model.json").write_text(json.dumps({"architecture": "gone", "config": {}}))
    with pytest.raises(ValueError, match=r"one of \[.*'bert'.*Received: 'gone' in .*model.json"):
        checkpoints.load_model(tmp_path)


def test_names_and_revisions_go_to_the_hub(monkeypatch, fixture_directory):
    asked = []

    def download(*arguments):
        asked.append(arguments)
        return fixture_directory("roberta")

    monkeypatch.setattr(loading.hub, "download", download)
    assert checkpoints.load_model("someone/roberta", revision="v2").built
    with pytest.raises(FileNotFoundError, match=re.escape(str(fixture_directory("roberta")))):
        checkpoints.load_tokenizer("someone/roberta", "v2")
    assert asked == [("someone/roberta", "v2", True), ("someone/roberta", "v2", False)]
