import numpy as np
import pytest
import tensorflow as tf

from tflm.export import TextGenerator
from tflm.export.options import OPTIONS
from tflm.generation import Beam, Greedy, Limits, Sample
from tflm.models.gpt2 import GPT2, Config
from tflm.tokenizers import SentencePieceTokenizer

LINES = ["two dogs and a cat", "公园很大。", "six seven eight"] * 3
TEXTS = ["two", "", "公园很大。 two dogs and a cat six seven eight", "a", "😀\n"]


@pytest.fixture(scope="module")
def make_generator():
    tokenizer = SentencePieceTokenizer.train(LINES, 310)
    sizes = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1, "max_length": 17}
    model = GPT2(Config(tokenizer.vocab_size, **sizes))
    model.build(None)

    def make(**changes):
        options = {
            "begin_id": tokenizer.bos_id,
            "end_id": tokenizer.eos_id,
            "pad_id": tokenizer.pad_id,
            "strategy": Greedy(),
            "limits": Limits(max_length=6),
            "max_prompt_length": 11,
            "context_length": 17,
        }
        return TextGenerator(model, tokenizer, **{**options, **changes})

    return make


def test_scores_do_not_depend_on_what_is_scored_together(make_generator, monkeypatch):
    generator = make_generator()
    whole = generator.log_probability(tf.constant(TEXTS))
    monkeypatch.setattr("tflm.export.text_generation._LOGITS_AT_ONCE", 1)  # one window at a time
    apart = generator.log_probability(tf.constant(TEXTS))
    np.testing.assert_allclose(whole["log_probability"], apart["log_probability"], rtol=1e-4)
    assert whole["num_tokens"].numpy().tolist() == apart["num_tokens"].numpy().tolist()
    assert whole["num_tokens"].numpy()[1] == 0
    assert whole["is_greedy"].numpy()[1]


def test_signatures_have_a_batch_dimension_and_take_nothing(make_generator):
    signatures = make_generator().signatures()
    assert sorted(signatures) == ["score", "serving_default", "tokenize"]
    for function in signatures.values():
        for count in (0, 1, 5):
            found = function(tf.constant(TEXTS[:count], tf.string))
            assert {value.shape[0] for value in found.values()} == {count}


def test_frozen_weights_give_the_same(make_generator):
    texts = tf.constant(TEXTS)
    variables, constants = (make_generator(freeze=freeze).signatures() for freeze in (False, True))
    for name, function in variables.items():
        ours, theirs = function(texts), constants[name](texts)
        for key, value in ours.items():
            if value.dtype == tf.string:
                assert value.numpy().tolist() == theirs[key].numpy().tolist()
            else:
                np.testing.assert_allclose(value, theirs[key], atol=1e-4)


def test_a_long_prompt_is_read_from_its_end_and_reported(make_generator):
    generator = make_generator(max_prompt_length=4)
    tokenizer = generator.tokenizer
    text = TEXTS[2]
    end = tokenizer.tokenize([text]).to_list()[0][-3:]
    found = generator.continuations(tf.constant([text, "a"]))
    prompt = [[tokenizer.bos_id, *end]]
    ids, _ = generator.prompts(tf.constant([text]))
    assert ids.to_list() == prompt
    assert found["truncated"].numpy().tolist() == [True, False]


def test_several_continuations_come_best_first(make_generator):
    generator = make_generator(strategy=Beam(num_beams=3, num_return=3), end_id=None)
    found = generator.continuations(tf.constant(TEXTS))
    assert found["text"].shape == (5, 3)
    assert (np.diff(found["score"].numpy()) <= 0).all()
    assert not found["finished"].numpy().any()


def test_a_text_ends_before_a_stop_string(make_generator):
    texts = tf.constant(TEXTS)
    whole = [text.decode() for text in make_generator().continuations(texts)["text"][:, 0].numpy()]
    stop = (whole[0][1:3], "用户：")
    found = make_generator(stop=stop).continuations(texts)
    assert [text.decode() for text in found["text"][:, 0].numpy()] == [
        text.partition(stop[0])[0] for text in whole
    ]
    assert found["finished"].numpy()[0]
    with pytest.raises(ValueError, match="`stop` must hold strings that are not empty"):
        make_generator(stop=[""])


def test_options_write_as_strategies_do(make_generator):
    generator = make_generator()
    texts = tf.constant(TEXTS[:3])
    values = {name: np.zeros(3) for name in OPTIONS}
    values |= {"temperature": [0.0, 1.4, 1.4], "top_k": [0, 7, 7], "seed": [0, 5, 5]}
    given = {name: tf.constant(values[name], dtype) for name, dtype in OPTIONS.items()}
    found = generator.by_options(texts, given)
    greedy = generator.continuations(texts[:1])
    drawing = make_generator(strategy=Sample(temperature=1.4, top_k=7))
    drawn = drawing.continuations(texts[1:], seed=tf.constant([5, 5]))
    expected = [greedy["text"][0, 0], *drawn["text"][:, 0]]
    assert found["text"].numpy().tolist() == [text.numpy() for text in expected]
    assert set(found) == {"text", "score", "finished", "truncated"}
    none = generator.by_options(texts[:0], {name: value[:0] for name, value in given.items()})
    assert {len(value) for value in none.values()} == {0}
