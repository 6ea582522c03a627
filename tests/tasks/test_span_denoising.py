import keras
import numpy as np
import pytest

from tflm.generation import Limits
from tflm.models.t5 import T5, Config
from tflm.tasks import SpanDenoising, Task
from tflm.tasks.causal_lm import default_optimizer
from tflm.tokenizers import SentencePieceTokenizer

TEXTS = ["two dogs and a cat", "公园很大我喝茶", "one six two four"] * 24
SENTINELS = [f"<extra_id_{i}>" for i in range(5)]
SIZES = {"hidden_dim": 24, "ffn_dim": 48, "num_heads": 3, "head_dim": 8, "dropout": 0.0}
LAYERS = {"num_encoder_layers": 1, "num_decoder_layers": 1}
QUESTIONS = ["two <extra_id_0> and a cat", "公园很<extra_id_0>我喝茶", "one six two <extra_id_0>"]


@pytest.fixture(scope="module")
def trained():
    """A task that has learned its texts by heart. Do not train it further."""
    keras.utils.set_random_seed(3)
    symbols = list(reversed(SENTINELS))
    tokenizer = SentencePieceTokenizer.train(TEXTS, 400, "char", control_symbols=symbols)
    model = T5(Config(tokenizer.vocab_size, **SIZES, **LAYERS))
    task = SpanDenoising(model, tokenizer, limits=Limits(max_length=20))
    task.compile(default_optimizer(2e-2, 20, 200))
    options = {"sequence_length": 24, "tokens_per_batch": 200}
    watched = {"validation_data": TEXTS[:9], "validation_freq": [1, 22]}
    task.fit(TEXTS, epochs=22, data_options=options, **watched, verbose=0)
    return task


def ids_of(task, text):
    return task.tokenizer.tokenize([text]).to_list()[0]


def test_the_loss_falls_on_lost_spans(trained):
    history = trained.history.history
    assert history["loss"][-1] < 0.35 * history["loss"][0]
    assert history["val_loss"][-1] < 0.5 * history["val_loss"][0]
    assert trained.tokenizer.mask_id == -1


def test_what_is_written_behind_a_sentinel_takes_its_place(trained):
    s = list(trained.sentinels.values())
    written = [s[0], *ids_of(trained, " dogs"), s[1], *ids_of(trained, "cat"), s[2]]
    text = "Two<extra_id_0> and a <extra_id_1>!"
    assert trained.restored(text, written) == "Two dogs and a cat!"
    assert trained.restored("公园<extra_id_1>。<extra_id_0>", written) == "公园cat。 dogs"
    assert trained.restored("a<extra_id_3>b", written) == "ab"  # nothing was written for it
    assert trained.restored("a<extra_id_0>", ids_of(trained, "cat")) == "a"  # nor behind any


def test_a_text_is_answered_whole(trained):
    answers = trained(QUESTIONS)
    for question, answer in zip(QUESTIONS, answers, strict=True):
        before, after = question.split("<extra_id_0>")
        assert answer.startswith(before) and answer.endswith(after)
    assert sum(answer in TEXTS for answer in answers) >= 1


def test_sentinels_are_those_of_the_tokenizer_in_whatever_order(trained):
    assert list(trained.sentinels) == SENTINELS
    assert list(trained.sentinels.values()) == [8, 7, 6, 5, 4]
    assert SpanDenoising.CONTROL_SYMBOLS[-1] == "<extra_id_99>"


@pytest.mark.parametrize("text", ["no sentinel", "twice <extra_id_0> and <extra_id_0>"])
def test_texts_without_sentinels_or_with_one_twice_are_refused(trained, text):
    with pytest.raises(ValueError, match="`texts` must hold sentinels, .* each once. Received: "):
        trained([text])


def test_what_is_saved_is_read_again(trained, tmp_path):
    trained.save_pretrained(tmp_path / "task")
    trained.save(tmp_path / "task.keras")
    saved = Task.from_pretrained(tmp_path / "task")
    other = keras.saving.load_model(tmp_path / "task.keras")
    assert saved(QUESTIONS) == trained(QUESTIONS)
    for task in (saved, other):
        assert type(task) is SpanDenoising
        assert task.settings() == trained.settings()
        assert task.tokenizer.model == trained.tokenizer.model
        for theirs, ours in zip(task.weights, trained.weights, strict=True):
            np.testing.assert_array_equal(theirs, ours)
