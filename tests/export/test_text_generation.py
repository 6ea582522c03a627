import numpy as np
import pytest
import tensorflow as tf

from tflm.export import TextGenerator
from tflm.export.text_generation import _windows, pad_left
from tflm.generation import Beam, Greedy, Limits
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


def rolling_windows(length, skipped, size):
    """What lm-eval reads: inputs [start, end) and the first of them that counts."""
    return [
        (max(end - size, 0), end, first)
        for first in range(skipped, length, size)
        for end in [min(first + size, length)]
    ]


def test_padding_moves_to_the_left():
    ids, mask = pad_left(tf.ragged.constant([[1, 2, 3], [4], [5, 6]], dtype=tf.int32), 9)
    assert ids.numpy().tolist() == [[1, 2, 3], [9, 9, 4], [9, 5, 6]]
    assert mask.numpy().tolist() == [[True] * 3, [False, False, True], [False, True, True]]


@pytest.mark.parametrize("size", [1, 4, 7, None])
def test_windows_count_every_label_once_and_reach_back(size):
    rows = [list(range(0, 24)), [50], list(range(60, 69)), [80, 81]]
    skipped = [0, 0, 3, 1]
    found = _windows(tf.ragged.constant(rows, dtype=tf.int32), tf.constant(skipped), size)
    found = {name: value.numpy() for name, value in found.items()}
    expected = [
        (row, *window)
        for row, (ids, skip) in enumerate(zip(rows, skipped, strict=True))
        for window in rolling_windows(len(ids) - 1, skip, size or 23)
    ]
    assert found["row"].tolist() == [row for row, *_ in expected]
    for i, (row, start, end, first) in enumerate(expected):
        mask, counted = found["mask"][i], found["counted"][i]
        assert found["ids"][i][mask].tolist() == rows[row][start:end]
        assert found["labels"][i][counted].tolist() == rows[row][first + 1 : end + 1]


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
    assert sorted(signatures) == ["score", "serving_default"]
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
