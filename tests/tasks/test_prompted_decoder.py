import numpy as np
import pytest
import tensorflow as tf

from tflm.models import ARCHITECTURES
from tflm.tasks.prompted_decoder import PromptedDecoder
from tflm.tokenizers import SentencePieceTokenizer

PROMPT = "摘要：{text}\n\nTL;DR:\n"
SIZES = {
    "gpt2": {"hidden_dim": 24, "ffn_dim": 40, "num_heads": 3, "num_layers": 2, "max_length": 60},
    "lstm_lm": {"hidden_dim": 20, "num_layers": 1},
}


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(["TL;DR:", "摘要：", "Anna wants tea 张三 喝茶"] * 3, 310)


@pytest.fixture(scope="module", params=SIZES)
def prompted(request, tokenizer):
    network = ARCHITECTURES[request.param]
    model = network(network.Config(tokenizer.vocab_size, **SIZES[request.param]))
    model.build(None)
    return PromptedDecoder(model, tokenizer, PROMPT)


@pytest.fixture(scope="module")
def batch(tokenizer):
    """Two texts of other lengths, padded on the right, and what follows them."""
    rows = [[2, 290, 291, 295, 300, 301], [2, 299, 301]]
    ids = tf.ragged.constant(rows, tf.int32)
    return {
        "encoder_token_ids": ids.to_tensor(tokenizer.pad_id),  # (2, 6)
        "encoder_padding_mask": tf.sequence_mask(ids.row_lengths()),
        "decoder_token_ids": tf.constant([[303, 297, 295, 294], [303, 296, 292, 290]]),
    }


def test_the_prompt_stands_around_the_text(prompted, tokenizer):
    before, after = tokenizer.tokenize(["摘要：", "\n\nTL;DR:\n"]).to_list()
    assert prompted.SOURCE_START == (tokenizer.bos_id, *before)
    assert (*prompted.SOURCE_END, *prompted.TARGET_START) == tuple(after)
    assert len(prompted.TARGET_START) == 1
    assert prompted.num_special == len(before) + len(after)
    assert prompted.weights == prompted.model.weights


def test_it_reads_text_and_target_as_the_decoder_reads_them_in_one_row(prompted, batch):
    logits = prompted(batch)  # (2, 4, V)
    for row, length in enumerate((6, 3)):
        source = batch["encoder_token_ids"][row, :length]
        ids = tf.concat([source, batch["decoder_token_ids"][row]], axis=0)[None]
        whole = prompted.model({"token_ids": ids, "padding_mask": tf.ones_like(ids, tf.bool)})
        np.testing.assert_allclose(logits[row], whole[0, length:], atol=1e-5)


def test_a_step_with_a_cache_gives_what_the_whole_target_gives(prompted, batch):
    memory = prompted.encode(batch["encoder_token_ids"], batch["encoder_padding_mask"])
    cache = prompted.start(memory, batch["encoder_padding_mask"], 7)
    target = batch["decoder_token_ids"]
    first, cache = prompted.decode(target[:, :2], cache, 0)
    second, cache = prompted.decode(target[:, 2:3], cache, 2)
    third, _ = prompted.decode(target[:, 3:], cache, 3)
    steps = tf.concat([first, second, third], axis=1)
    np.testing.assert_allclose(steps, prompted(batch), atol=1e-5)


def test_the_last_tokens_logits_are_enough_of_what_is_read_first(prompted, batch):
    cache = prompted.start(batch["encoder_token_ids"], batch["encoder_padding_mask"])
    logits, _ = prompted.decode(batch["decoder_token_ids"], {**cache, "last_only": True})
    np.testing.assert_allclose(logits[:, -1], prompted(batch)[:, -1], atol=1e-5)


@pytest.mark.parametrize("prompt", ["TL;DR:", "{text}", "TL;DR: {text}", "{text} {text}:"])
def test_a_prompt_without_its_one_place_or_its_end_is_refused(prompted, tokenizer, prompt):
    with pytest.raises(ValueError, match=r"`prompt` must have {text} once, and something after it"):
        PromptedDecoder(prompted.model, tokenizer, prompt)


def test_a_tokenizer_without_an_end_is_refused(prompted, tokenizer):
    class Endless:
        eos_id = None
        tokenize = tokenizer.tokenize

    with pytest.raises(ValueError, match="must have the special token 'eos'"):
        PromptedDecoder(prompted.model, Endless(), PROMPT)
