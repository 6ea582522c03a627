import numpy as np
import pytest

from tflm import checkpoints
from tflm.checkpoints import backbones

SIZES = {
    "vocabulary_size": 41,
    "num_layers": 2,
    "num_heads": 3,
    "hidden_dim": 12,
    "intermediate_dim": 20,
    "max_sequence_length": 13,
}
CASES = {
    "BertBackbone": {**SIZES, "num_segments": 4},
    "DistilBertBackbone": SIZES,
    "RobertaBackbone": SIZES,
}


@pytest.fixture(scope="module", params=CASES)
def backbone(request):
    import keras_hub

    backbone = getattr(keras_hub.models, request.param)(**CASES[request.param])
    random = np.random.default_rng(2)
    for weight in backbone.weights:
        weight.assign(random.normal(0.1, 0.4, weight.shape))
    return backbone


def batch(backbone):
    random = np.random.default_rng(4)
    mask = np.arange(7) < np.array([7, 3, 5])[:, None]
    inputs = {"token_ids": random.integers(4, 41, (3, 7), "int32"), "padding_mask": mask}
    if "segment_ids" in backbone.input:
        inputs["segment_ids"] = random.integers(0, 4, (3, 7), "int32")
    return inputs


def assert_same_outputs(model, backbone):
    inputs = batch(backbone)
    expected, mask = backbone(inputs), inputs["padding_mask"]
    hidden = model(inputs)
    if isinstance(expected, dict):
        found = model.pooled(hidden)
        np.testing.assert_allclose(found, expected["pooled_output"], atol=1e-4)
        expected = expected["sequence_output"]
    np.testing.assert_allclose(np.asarray(hidden)[mask], np.asarray(expected)[mask], atol=1e-4)


def test_a_backbone_becomes_a_model_that_computes_the_same(backbone):
    assert backbones.is_backbone(backbone)
    assert_same_outputs(checkpoints.load_model(backbone), backbone)


def test_the_model_keeps_its_weights_when_the_backbone_is_trained_further(backbone):
    model = checkpoints.load_model(backbone)
    table = np.array(model.embedding.embeddings)
    weight = next(w for w in backbone.weights if w.shape == table.shape)
    own = np.array(weight)
    weight.assign(own + 1.0)
    np.testing.assert_array_equal(model.embedding.embeddings, table)
    weight.assign(own)


def test_a_preset_directory_becomes_a_model(backbone, tmp_path):
    backbone.save_to_preset(str(tmp_path / "preset"))
    assert backbones.is_preset(str(tmp_path / "preset"))
    model = checkpoints.load_model(tmp_path / "preset", dtype="mixed_bfloat16")
    assert model.dtype_policy.name == "mixed_bfloat16"
    assert_same_outputs(checkpoints.load_model(tmp_path / "preset"), backbone)


def test_presets_are_known_by_name(fixture_directory):
    assert backbones.is_preset("bert_tiny_en_uncased")
    assert backbones.is_preset("kaggle://keras/bert/keras/bert_tiny_en_uncased/2")
    for other in ("bert-base-uncased", "google/bert", str(fixture_directory("bert"))):
        assert not backbones.is_preset(other)


def test_a_preset_is_opened_by_keras_hub(monkeypatch, backbone):
    asked = []
    monkeypatch.setattr(backbones, "open_preset", lambda name: asked.append(name) or backbone)
    assert_same_outputs(checkpoints.load_model("roberta_base_en"), backbone)
    assert asked == ["roberta_base_en"]


def test_a_backbone_has_no_tokenizer(backbone):
    with pytest.raises(
        TypeError, match=f"`load_model` takes it. Received: {type(backbone).__name__}"
    ):
        checkpoints.from_pretrained(backbone)


def test_what_is_no_backbone_is_none():
    assert not backbones.is_backbone("bert") and not backbones.is_backbone(3)


def test_an_unknown_backbone_is_refused():
    import keras_hub

    backbone = keras_hub.models.AlbertBackbone(
        **{**SIZES, "num_groups": 1, "num_inner_repetitions": 1, "embedding_dim": 5}
    )
    with pytest.raises(ValueError, match="one of .*'BertBackbone'.* Received: AlbertBackbone"):
        checkpoints.load_model(backbone)


PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "to", "##day", "To", "今", "天", "è", "e"]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def byte_letters():
    """GPT-2's letter for each of the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


@pytest.mark.parametrize("lowercase", [True, False])
def test_the_tokenizer_of_a_preset_comes_along(lowercase, tmp_path):
    import keras_hub

    theirs = keras_hub.models.BertTokenizer(vocabulary=PIECES, lowercase=lowercase)
    backbone = keras_hub.models.BertBackbone(**{**SIZES, "vocabulary_size": len(PIECES)})
    backbone.save_to_preset(str(tmp_path))
    theirs.save_to_preset(str(tmp_path))
    model, ours = checkpoints.from_pretrained(tmp_path)
    texts = ["Today 今天", "to è TO"]
    expected = [np.asarray(theirs(text)).tolist() for text in texts]
    assert ours.tokenize(texts).to_list() == expected
    assert (ours.pad_id, model.config.vocab_size) == (0, len(PIECES))


def test_a_byte_level_tokenizer_of_a_preset_comes_along(tmp_path):
    import keras_hub

    pieces = [*SPECIAL, *byte_letters(), "to", "Ġto", "da", "day"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges = ["t o", "Ġ to", "d a", "da y"]
    theirs = keras_hub.models.RobertaTokenizer(vocabulary=vocabulary, merges=merges)
    keras_hub.models.RobertaBackbone(**SIZES).save_to_preset(str(tmp_path))
    theirs.save_to_preset(str(tmp_path))
    ours = backbones.open_tokenizer(str(tmp_path))
    texts = ["today to day", "to 今天"]
    assert ours.tokenize(texts).to_list() == [np.asarray(theirs(text)).tolist() for text in texts]
    assert (ours.pad_id, ours.bos_id, ours.eos_id) == (1, 0, 2)


def test_a_sentencepiece_tokenizer_of_a_preset_comes_along(tmp_path, monkeypatch):
    import keras_hub

    from tflm.tokenizers import SentencePieceTokenizer

    texts = ["ein kleiner Hund läuft", "eine kleine Katze schläft", "今天天气很好"] * 5
    SentencePieceTokenizer.train(texts, 290).save(tmp_path / "trained")
    (path,) = (tmp_path / "trained").glob("*.model")
    theirs = keras_hub.tokenizers.SentencePieceTokenizer(proto=path.read_bytes())
    monkeypatch.setattr(keras_hub.models.Tokenizer, "from_preset", lambda _: theirs)
    ours = backbones.open_tokenizer("a_preset")
    assert ours.tokenize(texts[:3]).to_list() == [np.asarray(theirs(t)).tolist() for t in texts[:3]]


def test_another_tokenizer_is_refused(monkeypatch, tmp_path):
    import keras_hub

    monkeypatch.setattr(keras_hub.models.Tokenizer, "from_preset", lambda _: object())
    with pytest.raises(ValueError, match="or SentencePiece tokenizer. Received: object"):
        backbones.open_tokenizer(str(tmp_path))
