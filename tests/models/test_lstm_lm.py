import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import models
from tflm.models.lstm_lm import Config, LSTMLanguageModel

SIZES = {"vocab_size": 29, "hidden_dim": 12}
CONTRACT = [{**SIZES, "num_layers": 3, "dropout": 0.3, "tie_output": True}, SIZES]
B, T, V = 3, 7, 29


def built(**fields):
    model = LSTMLanguageModel(Config(**{**SIZES, "dropout": 0.0, **fields}))
    model.build()
    random = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(random.normal(0.05, 0.35, weight.shape))
    return model


def texts(length=T):
    return np.random.default_rng(0).integers(4, V, (B, length), "int32")


def logits_of(model, ids, mask=None, **inputs):
    mask = np.ones(ids.shape, bool) if mask is None else mask
    return np.array(model({"token_ids": ids, "padding_mask": mask, **inputs}))


@pytest.mark.parametrize("tie_output", [False, True])
def test_the_whole_network_is_kerass(tie_output):
    model, ids = built(tie_output=tie_output), texts()
    tables = [np.array(w) for w in model.weights if w.path.endswith("embeddings")]
    assert len(tables) == 2 - tie_output
    x = tables[0][ids] * np.sqrt(12)
    for cell in model.cells:
        layer = keras.layers.LSTM(12, return_sequences=True)
        layer.build((None, None, 12))
        layer.set_weights(cell.get_weights())
        x = layer(x)
    np.testing.assert_allclose(logits_of(model, ids), x @ tables[-1].T, rtol=1e-4, atol=1e-4)


def test_token_by_token_equals_the_whole():
    model, ids = built(), texts()
    cache, pieces, index = model.start(np.ones((B, 2), bool)), [], 0
    for size in (2, 1, 3, 1):
        logits, cache = model.decode(ids[:, index : index + size], cache, index)
        pieces.append(logits)
        index += size
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), logits_of(model, ids), atol=1e-5)


def test_padding_on_either_side_is_inert():
    model, ids = built(), texts()
    expected = logits_of(model, ids)
    noise = texts(4)
    for both, real in (((noise, ids), slice(4, None)), ((ids, noise), slice(None, T))):
        mask = np.zeros((B, T + 4), bool)
        mask[:, real] = True
        found = logits_of(model, np.concatenate(both, axis=1), mask)
        np.testing.assert_allclose(found[:, real], expected, atol=1e-5)


def test_prompts_of_unequal_lengths_go_on_as_each_alone():
    model, ids = built(), texts()
    left = [0, 3, 1]
    mask = np.arange(4) >= np.array(left)[:, None]
    _, cache = model.decode(ids[:, :4], model.start(mask), 0)
    assert cache["step"]["left_padding"].dtype == "int32"
    found, _ = model.decode(ids[:, 4:], cache, 4)
    for row, skipped in enumerate(left):
        alone = logits_of(model, ids[row : row + 1, skipped:])[0]
        np.testing.assert_allclose(found[row], alone[4 - skipped :], atol=1e-5)


def test_packed_texts_do_not_see_each_other():
    model, ids = built(), texts()
    segments = np.array([[1, 1, 1, 2, 2, 2, 3], [1] * 7, [4, 4, 5, 5, 5, 5, 5]])
    found = logits_of(model, ids, segment_ids=segments)
    for row in range(B):
        for segment in np.unique(segments[row]):
            inside = segments[row] == segment
            alone = logits_of(model, ids[row : row + 1, inside])[0]
            np.testing.assert_allclose(found[row, inside], alone, atol=1e-5)


def test_a_graph_of_unknown_sizes_gives_the_same():
    model, ids = built(), texts()
    mask = np.arange(T) >= np.array([0, 2, 5])[:, None]
    signature = [tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None], tf.bool)]
    traced = tf.function(
        lambda ids, mask: model({"token_ids": ids, "padding_mask": mask}),
        input_signature=signature,
    )
    found = np.array(traced(ids, mask))
    np.testing.assert_allclose(found[mask], logits_of(model, ids, mask)[mask], atol=1e-5)


@pytest.mark.parametrize(
    "preset, units, published", [("small", 200, 5e6), ("medium", 650, 20e6), ("large", 1500, 66e6)]
)
def test_presets_have_the_published_number_of_parameters(preset, units, published):
    found = models.num_parameters(f"lstm_lm/{preset}")
    assert found == 2 * 10000 * units + 2 * 4 * units * (2 * units + 1)
    assert found == pytest.approx(published, rel=0.08)
