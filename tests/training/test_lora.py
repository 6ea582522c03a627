import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import models
from tflm.tasks import SentimentAnalysis
from tflm.tokenizers import SentencePieceTokenizer
from tflm.training.lora import add_lora, has_lora, is_lora, lora_layers, merge_lora
from tflm.training.weights import load_weights, save_weights, set_weights, weights_of

BLOCKS = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3}
WORDS = {"hidden_dim": 12, "embedding_dim": 10}
STACKS = {"num_encoder_layers": 1, "num_decoder_layers": 1}
NETWORKS = {
    "bert": {**BLOCKS, "num_layers": 1},
    "gpt2": {**BLOCKS, "num_layers": 1},
    "transformer": {**BLOCKS, **STACKS},
    "recurrent": {**WORDS, **STACKS},
    "convs2s": {"embedding_dim": 10, "encoder_layers": "1x6x3", "decoder_layers": "1x6x2"},
    "text_cnn": {**WORDS, "min_width": 2, "max_width": 4},
    "lstm_encoder": {**WORDS, "num_layers": 1},
    "lstm_lm": {"hidden_dim": 12, "num_layers": 1},
}
ATTENTION = "block_0/attention/query_key_value"
TEXTS = ["一部感人的电影。", "a fine film", "a dull film"]
ROWS = [(TEXTS[0], "good"), (TEXTS[1], "good"), (TEXTS[2], "bad"), ("很差。", "bad")] * 4


def built(name, dtype=None, **fields):
    cls = models.ARCHITECTURES[name]
    sizes = {"vocab_size": 29, **NETWORKS.get(name, BLOCKS)}
    model = cls(cls.Config(**{**sizes, **fields}), dtype=dtype)
    model.build(None)
    return model


def outputs(model):
    """What a network makes of two rows, whatever it takes."""
    ids = np.random.default_rng(0).integers(1, 29, (2, 5))
    names = ("token_ids", "padding_mask")
    given = dict(zip(names, (ids, np.ones((2, 5), bool)), strict=True))
    if isinstance(model, models.EncoderDecoder):
        sides = ("encoder", "decoder")
        given = {f"{side}_{name}": value for side in sides for name, value in given.items()}
    return np.asarray(model(given, training=False), "float32")


def learn(model):
    """Gives every B other values than zeros."""
    random = np.random.default_rng(3)
    for weight in model.weights:
        if is_lora(weight) and weight.name.endswith("_b"):
            weight.assign(random.normal(0.0, 0.5, weight.shape))


SLOW = ("convs2s", "lstm_lm")  # of whose kind there is another


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.slow] * (each in SLOW)) for each in NETWORKS]
)
def test_any_network_answers_as_before_and_merged_as_adapted(name):
    model = built(name)
    kernels, before, count = weights_of(model), outputs(model), len(model.weights)
    found = add_lora(model, 2, alpha=6.0)
    np.testing.assert_allclose(outputs(model), before, atol=1e-6)
    assert len(found) == len(lora_layers(model)) >= 1
    assert len(model.trainable_weights) == len(model.weights) - count
    assert all(is_lora(weight) for weight in model.trainable_weights)

    learn(model)
    adapted = outputs(model)
    assert np.abs(adapted - before).max() > 1e-3
    saved = weights_of(model)
    own = {weight.name: np.asarray(weight) for weight in lora_layers(model)[0].weights}
    adapted_too = [each for each in own if f"lora_{each}_a" in own]
    for each in adapted_too:  # equation 3, with alpha / rank = 3
        path, added = f"{found[0]}/{each}", own[f"lora_{each}_a"] @ own[f"lora_{each}_b"]
        np.testing.assert_allclose(saved[path], kernels[path] + 3.0 * added, atol=1e-5)
    assert adapted_too
    twin = built(name)
    set_weights(twin, saved)
    np.testing.assert_allclose(outputs(twin), adapted, atol=1e-5)

    merge_lora(model)
    np.testing.assert_allclose(outputs(model), adapted, atol=1e-5)
    assert not has_lora([model]) and len(model.weights) == len(model.trainable_weights) == count


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("bert", [ATTENTION]),
        ("text_cnn", ["convolution2", "convolution3", "convolution4"]),
        ("lstm_encoder", ["backward_0", "forward_0"]),
        ("lstm_lm", ["layer_0"]),
    ],
)
def test_without_attention_all_that_multiplies_is_adapted(name, found):
    assert sorted(add_lora(built(name), 2)) == found


def test_layers_are_chosen_by_words_of_their_names_or_by_a_pattern():
    model = built("bert", num_layers=2)
    attention = [f"block_{i}/attention/query_key_value" for i in range(2)]
    for words in (("query", "value"), ("key_value",)):
        assert add_lora(model, 1, layers=words) == attention
        merge_lora(model)
    others = ["block_1/feed_forward/down", "block_1/feed_forward/up", "pooler"]
    assert add_lora(model, 1, layers="block_1/.*(up|down)$|pooler") == others


def test_a_layer_of_another_kind_is_merged_too():
    einsum = keras.layers.EinsumDense("abc,cde->abde", (None, 2, 7), name="heads")
    model = keras.Sequential([keras.Input((4, 6)), einsum])
    before = model(np.ones((1, 4, 6)))
    add_lora(model, 3, layers=".")
    learn(model)
    adapted = model(np.ones((1, 4, 6)))
    merge_lora(model)
    np.testing.assert_allclose(model(np.ones((1, 4, 6))), adapted, atol=1e-5)
    assert np.abs(adapted - before).max() > 1e-3


def test_what_was_frozen_stays_frozen_after_merging():
    model = built("bert")
    model.pooler.trainable = False
    add_lora(model, 2)
    merge_lora(model)
    assert len(model.trainable_weights) == len(model.weights) - 2
    merge_lora(model)  # without LoRA it stays as it is
    assert not model.pooler.trainable


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "bfloat16"])
def test_other_dtypes_merge_within_their_rounding(dtype):
    model = built("bert", dtype)
    add_lora(model, 2)
    learn(model)
    adapted, kernel = outputs(model), weights_of(model)[f"{ATTENTION}/kernel"]
    merge_lora(model)
    assert kernel.dtype == np.asarray(model.blocks[0].attention.query_key_value.kernel).dtype
    np.testing.assert_allclose(outputs(model), adapted, atol=0.15)


def test_a_file_of_weights_holds_no_lora_and_read_into_it_starts_it_anew(tmp_path):
    model, path = built("bert"), tmp_path / "model.safetensors"
    names = weights_of(model).keys()
    add_lora(model, 2)
    learn(model)
    adapted = outputs(model)
    save_weights(model, path)
    assert weights_of(model).keys() == names
    load_weights(model, path)
    np.testing.assert_allclose(outputs(model), adapted, atol=1e-5)
    assert has_lora([model]) and not np.any(lora_layers(model)[0].lora_kernel_b)


@pytest.fixture(scope="module")
def tuned():
    """A classifier of which only LoRA and the head have learned, and what it was before."""
    keras.utils.set_random_seed(7)
    tokenizer = SentencePieceTokenizer.train((text for text, _ in ROWS), 300, "char")
    sizes = {"vocab_size": tokenizer.vocab_size, "num_layers": 1, **BLOCKS}
    task = SentimentAnalysis(built("transformer_encoder", **sizes), tokenizer, ("bad", "good"))
    before = [each["score"] for each in task.classify(TEXTS)]  # traces a graph without LoRA
    kernels = weights_of(task.model)
    add_lora(task.model, 2)
    task.compile(keras.optimizers.Adam(0.05))
    task.fit(ROWS, epochs=2, verbose=0)
    return task, kernels, before


def scores(task):
    return [each["probabilities"] for each in task.classify(TEXTS)]


def test_only_lora_and_the_head_learn(tuned):
    task, kernels, before = tuned
    changed = {
        name for name, kernel in weights_of(task.model).items() if np.any(kernel != kernels[name])
    }
    assert changed == {f"{ATTENTION}/kernel"}
    assert len(task.trainable_weights) == 2 + len(task.head.weights)
    assert np.abs(np.array([max(each) for each in scores(task)]) - before).max() > 1e-3


def test_a_saved_task_is_an_ordinary_one(tuned, tmp_path):
    task, kernels, _ = tuned
    task.save_pretrained(tmp_path / "saved")
    again = SentimentAnalysis.from_pretrained(tmp_path / "saved")
    task.save(tmp_path / "task.keras")
    archived = keras.models.load_model(tmp_path / "task.keras")
    halved = task.to_dtype("float32")
    for other in (again, archived, halved):
        np.testing.assert_allclose(scores(other), scores(task), atol=1e-5)
        assert weights_of(other.model).keys() == kernels.keys()
        assert not any(is_lora(weight) for weight in other.weights)
    assert not archived.compiled  # other weights would learn
    assert has_lora([task.model])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text_cnn", "lstm_encoder"])
def test_convolutions_and_recurrent_layers_are_exported_merged(name, tmp_path):
    tokenizer = SentencePieceTokenizer.train((text for text, _ in ROWS), 300, "char")
    task = SentimentAnalysis(built(name, vocab_size=tokenizer.vocab_size), tokenizer)
    before = scores(task)
    add_lora(task.model, 2)
    task.compile()
    learn(task.model)
    expected = scores(task)
    directory = task.export(tmp_path / name)
    loaded = tf.saved_model.load(str(directory))
    served = loaded.signatures["serving_default"](text=tf.constant(TEXTS))
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-5)
    assert np.abs(np.array(expected) - before).max() > 1e-3
    assert b"lora" not in (directory / "saved_model.pb").read_bytes()
    variables = tf.train.list_variables(str(directory / "variables" / "variables"))
    assert variables and not [each for each, _ in variables if "lora" in each]


@pytest.mark.slow
def test_an_export_is_merged_and_the_task_goes_on_learning(tuned, tmp_path):
    task, _, _ = tuned
    expected = scores(task)
    directory = task.export(tmp_path / "exported")
    loaded = tf.saved_model.load(str(directory))
    served = loaded.signatures["serving_default"](text=tf.constant(TEXTS))
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-5)
    assert b"lora" not in (directory / "saved_model.pb").read_bytes()
    variables = tf.train.list_variables(str(directory / "variables" / "variables"))
    assert not [name for name, _ in variables if "lora" in name]

    assert has_lora([task.model])
    moved = functools.partial(np.array, lora_layers(task.model)[0].lora_kernel_b)
    before = moved()
    task.fit(ROWS, epochs=1, verbose=0)
    assert np.any(moved() != before)


def test_a_layer_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(
        ValueError, match=r"match a layer of the model: block_N/feed_forward/down, .*pooler\."
    ):
        add_lora(built("bert"), 2, layers=("quarry",))
    with pytest.raises(ValueError, match="decoder_block_N/cross_attention/out, .*, and 3 others"):
        add_lora(built("transformer"), 2, layers="^nothing$")
    with pytest.raises(ValueError, match="`model` must have a dense, .* Dropout 'drop', which has"):
        add_lora(keras.layers.Dropout(0.5, name="drop"), 2)


def test_what_cannot_be_adapted_is_refused():
    model = built("bert")
    for arguments, message in (((0,), "`rank` must be at least 1"), ((2,), "`alpha` must be")):
        with pytest.raises(ValueError, match=message):
            add_lora(model, *arguments, alpha=0.0)
    model.blocks[0].attention.trainable = False
    with pytest.raises(ValueError, match=f"must not be frozen .* {ATTENTION} .*trainable=False"):
        add_lora(model, 2)
    assert not has_lora([model])
    model.blocks[0].attention.trainable = True
    add_lora(model, 3, layers="block_0/attention")
    with pytest.raises(ValueError, match=f"must have no LoRA yet .*{ATTENTION} of rank 3"):
        add_lora(model, 2)
    dense = keras.layers.Dense(5, name="query")
    dense.build((None, 4))
    dense.quantize("int8")
    with pytest.raises(ValueError, match="must not be quantized .* in int8"):
        add_lora(dense, 2, layers=".")
