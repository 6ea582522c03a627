"""An encoder-decoder that came in writes what `generate` of transformers writes."""

import pathlib
import runpy

import numpy as np
import pytest
import tensorflow as tf

from tflm import checkpoints
from tflm.export import special_ids
from tflm.generation import Beam, Greedy, Limits, generate

pytestmark = pytest.mark.parity
FOLDER = pathlib.Path(__file__).parent
CASES = ("bart", "marian", "t5", "t5_v1_1")
COUNT, LENGTH = 50, 12
EASY_ENDS = {"bart": 1.3, "marian": 1.5}


@pytest.fixture(scope="module")
def script():
    """The functions of the script that writes the fixtures."""
    pytest.importorskip("torch", reason="needs pip install 'tflm[parity]'")
    pytest.importorskip("transformers", reason="needs pip install 'tflm[parity]'")
    return runpy.run_path(str(FOLDER / "make_fixtures.py"))


@pytest.fixture(scope="module", params=CASES)
def both(request, script, tmp_path_factory):
    """Theirs and ours, with weights under which many texts end before the limit."""
    import torch

    theirs = script["reference"](request.param, seed=21)
    with torch.no_grad():
        for path, weight in theirs.named_parameters():
            # So that the sources decide what is written, not the biases.
            if "encoder_attn" in path or "EncDecAttention" in path:
                weight *= 3.0
            elif path.endswith("bias"):
                weight *= 0.1
        if hasattr(theirs, "final_logits_bias"):
            theirs.final_logits_bias[0, theirs.config.eos_token_id] += EASY_ENDS[request.param]
        else:
            theirs.lm_head.weight[theirs.config.eos_token_id] *= 1.5
    directory = tmp_path_factory.mktemp(request.param)
    script["save"](theirs, directory)
    return theirs, checkpoints.load_model(directory)


def sources(theirs):
    """50 texts of different lengths, without special tokens inside."""
    random = np.random.default_rng(3)
    config = theirs.config
    special = {config.pad_token_id, config.eos_token_id, getattr(config, "bos_token_id", None)}
    words = [i for i in range(config.vocab_size) if i not in special]
    lengths = random.integers(1, 10, COUNT)
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.where(mask, random.choice(words, mask.shape), config.pad_token_id)
    return ids.astype("int32"), mask


class SpecialIds:
    """What a tokenizer of theirs says about special tokens."""

    def __init__(self, config):
        self.pad_id, self.eos_id, self.bos_id = (
            config.pad_token_id,
            config.eos_token_id,
            getattr(config, "bos_token_id", None),
        )


def written_by_ours(ours, ids, mask, tokens, strategy):
    prompt = special_ids(tokens, ours.TARGET_START)
    generated = generate(
        ours.decode,
        ours.start(ours.encode(ids, mask), mask, LENGTH + len(prompt)),
        tf.tile([prompt], [len(ids), 1]),
        strategy=strategy,
        limits=Limits(max_length=LENGTH),
        eos_id=tokens.eos_id,
        pad_id=tokens.pad_id,
        blocked_ids=special_ids(tokens, ours.NEVER_WRITTEN),
    )
    rows = zip(generated.token_ids[:, 0].numpy(), generated.lengths[:, 0].numpy(), strict=True)
    texts = [row[:length].tolist() for row, length in rows]
    return texts, generated.scores[:, 0].numpy(), generated.finished[:, 0].numpy()


def written_by_theirs(theirs, ids, mask, prompt, **options):
    import torch

    settings = theirs.generation_config
    settings.forced_eos_token_id = None  # an end at the limit that the model did not write
    settings.pad_token_id, settings.eos_token_id = (
        theirs.config.pad_token_id,
        theirs.config.eos_token_id,
    )
    if theirs.config.model_type == "marian":  # as in the published generation_config.json
        settings.bad_words_ids = [[theirs.config.pad_token_id]]
    found = theirs.generate(
        torch.tensor(ids.astype("int64")),
        attention_mask=torch.tensor(mask),
        decoder_input_ids=torch.tensor([prompt] * len(ids)),
        do_sample=False,
        max_new_tokens=LENGTH,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    rows = found.sequences[:, len(prompt) :].tolist()
    eos, pad = theirs.config.eos_token_id, theirs.config.pad_token_id
    texts = [row[: row.index(eos)] if eos in row else row for row in rows]
    if pad != eos and theirs.config.model_type == "marian":
        assert not any(pad in text for text in texts)
    return texts, getattr(found, "sequences_scores", None)


@pytest.mark.parametrize("beams, alpha", [(1, 1.0), (4, 1.0), (3, 0.4)])
def test_texts_are_the_same(both, beams, alpha):
    theirs, ours = both
    ids, mask = sources(theirs)
    tokens = SpecialIds(theirs.config)
    strategy = Beam(num_beams=beams, length_penalty="power", alpha=alpha)
    options = {"num_beams": beams, "length_penalty": alpha, "early_stopping": "never"}
    if beams == 1:
        strategy, options = Greedy(), {"num_beams": 1}
    found, scores, finished = written_by_ours(ours, ids, mask, tokens, strategy)
    prompt = list(special_ids(tokens, ours.TARGET_START))
    expected, their_scores = written_by_theirs(theirs, ids, mask, prompt, **options)
    assert found == expected
    if their_scores is not None:
        np.testing.assert_allclose(scores, their_scores, atol=1e-4)
    assert 1 < finished.sum() < COUNT and len({tuple(text) for text in found}) > 10


def test_barts_forced_first_token_is_our_second(both):
    """transformers starts BART with `</s>` and forces `<s>`; ours starts with both."""
    theirs, ours = both
    if theirs.config.model_type != "bart":
        assert theirs.config.decoder_start_token_id == theirs.config.pad_token_id
        return
    ids, mask = sources(theirs)
    tokens = SpecialIds(theirs.config)
    found, _, _ = written_by_ours(ours, ids, mask, tokens, Greedy())
    theirs.generation_config.forced_bos_token_id = tokens.bos_id
    expected, _ = written_by_theirs(theirs, ids, mask, [tokens.eos_id], num_beams=1)
    theirs.generation_config.forced_bos_token_id = None
    # The forced token counts in their limit of new tokens.
    assert [text[: LENGTH - 1] for text in found] == [text[1:] for text in expected]
