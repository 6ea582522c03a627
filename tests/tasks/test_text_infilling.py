import keras
import numpy as np
import pytest

from tflm.generation import Limits
from tflm.models.bart import Bart, Config
from tflm.tasks import Task, TextInfilling
from tflm.tasks.causal_lm import default_optimizer
from tflm.tokenizers import SentencePieceTokenizer

TEXTS = ["two dogs. a cat", "公园很大。我喝茶", "one six two four"] * 24
SIZES = {"hidden_dim": 24, "ffn_dim": 48, "num_heads": 3, "dropout": 0.0, "max_length": 30}
LAYERS = {"num_encoder_layers": 1, "num_decoder_layers": 1}
DAMAGED = ["two <mask>. a cat", "公园<mask>。我喝茶", "one six two four", "a cat two dogs."]


@pytest.fixture(scope="module")
def trained():
    """A task that has learned its texts by heart. Do not train it further."""
    keras.utils.set_random_seed(3)
    tokenizer = SentencePieceTokenizer.train(TEXTS, 400, "char", control_symbols=["<mask>"])
    model = Bart(Config(tokenizer.vocab_size, **SIZES, **LAYERS))
    task = TextInfilling(model, tokenizer, limits=Limits(max_length=25))
    task.compile(default_optimizer(2e-2, 20, 200))
    options = {"sequence_length": 24, "tokens_per_batch": 200}
    watched = {"validation_data": TEXTS[:9], "validation_freq": 14}
    task.fit(TEXTS, epochs=14, data_options=options, **watched, verbose=0)
    return task


def test_the_loss_falls_on_whole_texts(trained):
    history = trained.history.history
    assert history["loss"][-1] < 0.2 * history["loss"][0]
    assert history["val_token_accuracy"][-1] > 0.8


def test_damaged_texts_are_written_anew(trained):
    assert trained(DAMAGED) == ["two dogs. a cat", "公园很大。我喝茶", "one six two four", TEXTS[0]]
    assert trained(["", DAMAGED[0]]) == ["", TEXTS[0]]


def test_the_mask_is_spelled_as_the_tokenizer_spells_it(trained):
    tokenizer = SentencePieceTokenizer.train(TEXTS, 400, "char", control_symbols=["[MASK]"])
    task = TextInfilling(Bart(Config(tokenizer.vocab_size, **SIZES, **LAYERS)), tokenizer)
    assert (trained.mask_token, task.mask_token) == ("<mask>", "[MASK]")
    assert task.spelled_out.find("a [MASK] b <mask>") == ["[MASK]"]
    assert TextInfilling.CONTROL_SYMBOLS == ["<mask>"]


def test_what_is_saved_is_read_again(trained, tmp_path):
    trained.save_pretrained(tmp_path / "task")
    trained.save(tmp_path / "task.keras")
    saved = Task.from_pretrained(tmp_path / "task")
    other = keras.saving.load_model(tmp_path / "task.keras")
    assert saved(DAMAGED) == trained(DAMAGED)
    for task in (saved, other):
        assert type(task) is TextInfilling
        assert task.settings() == trained.settings()
        assert task.tokenizer.model == trained.tokenizer.model
        for theirs, ours in zip(task.weights, trained.weights, strict=True):
            np.testing.assert_array_equal(theirs, ours)
