"""Continued prompts are those of `generate` of the transformers library, token for token."""

import functools
import json
import pathlib
import runpy

import numpy as np
import pytest

from tflm import checkpoints
from tflm.generation import Beam, Greedy, Limits, generate

pytestmark = pytest.mark.parity
FOLDER = pathlib.Path(__file__).parent
CASES = sorted(
    path.stem
    for path in (FOLDER / "cases").glob("*.json")
    if json.loads(path.read_text(encoding="utf-8"))["kind"] == "decoder"
)
PROMPTS, LONGEST, WRITTEN, PAD = 50, 7, 10, 1


@functools.cache
def opened(name, directory):
    """Their model, ours with its weights, prompts, and an id that often comes up to end texts."""
    pytest.importorskip("torch", reason="needs pip install 'tflm[parity]'")
    pytest.importorskip("transformers", reason="needs pip install 'tflm[parity]'")
    script = runpy.run_path(str(FOLDER / "make_fixtures.py"))
    theirs = script["reference"](name, seed=21)
    script["save"](theirs, directory / name)
    random = np.random.default_rng(8)
    vocab_size = script["case"](name)["config"]["vocab_size"]
    prompts = [random.integers(4, vocab_size, 1 + i % LONGEST) for i in range(PROMPTS)]
    endless = their_texts(theirs, prompts, None)
    counts = [sum(token in text[0][1:] for text in endless) for token in range(vocab_size)]
    eos_id = int(np.argmin(np.abs(np.array(counts) - PROMPTS / 2)))
    return theirs, checkpoints.load_model(directory / name), prompts, eos_id


def their_texts(model, prompts, eos_id, **options):
    """The continuations of every prompt up to eos, without padding: equal lengths together."""
    import torch
    from transformers import GenerationConfig

    num_return = options.get("num_return_sequences", 1)
    settings = GenerationConfig(
        do_sample=False,
        max_new_tokens=WRITTEN,
        eos_token_id=eos_id,
        pad_token_id=PAD,
        **options,
    )
    texts = {}
    for length in {len(prompt) for prompt in prompts}:
        which = [i for i, prompt in enumerate(prompts) if len(prompt) == length]
        ids = torch.tensor(np.stack([prompts[i] for i in which]))
        found = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
        rows = [row[length:].tolist() for row in found]
        rows = [row[: row.index(eos_id)] if eos_id in row else row for row in rows]
        for place, i in enumerate(which):
            texts[i] = rows[place * num_return : (place + 1) * num_return]
    return [texts[i] for i in range(len(prompts))]


def our_texts(model, prompts, eos_id, strategy):
    """Those of all prompts in one batch, padded on the left."""
    ids = np.full((len(prompts), LONGEST), PAD, "int32")
    for row, prompt in zip(ids, prompts, strict=True):
        row[LONGEST - len(prompt) :] = prompt
    mask = np.arange(LONGEST) >= LONGEST - np.array([len(prompt) for prompt in prompts])[:, None]
    found = generate(
        model.decode,
        model.start(mask, LONGEST + WRITTEN),
        ids,
        strategy=strategy,
        limits=Limits(WRITTEN),
        eos_id=eos_id,
        pad_id=PAD,
    )
    lengths, tokens = found.lengths.numpy(), found.token_ids.numpy()
    return [
        [text[:length].tolist() for text, length in zip(texts, row, strict=True)]
        for texts, row in zip(tokens, lengths, strict=True)
    ]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("generation")


@pytest.mark.parametrize("name", CASES)
def test_greedy_texts_are_the_same(name, directory):
    theirs, ours, prompts, eos_id = opened(name, directory)
    expected = their_texts(theirs, prompts, eos_id)
    assert len({len(texts[0]) for texts in expected}) > 2
    assert our_texts(ours, prompts, eos_id, Greedy()) == expected


@pytest.mark.parametrize(
    "early_stopping, alpha",
    # Where their search is exact, as ours always is: "never", and False where the penalty does not
    # grow with the length. In the other cases they may stop before the best text is found.
    [("never", 1.0), ("never", -0.5), (False, 0.0)],
)
@pytest.mark.parametrize("name", CASES)
def test_beams_find_the_same_texts(name, early_stopping, alpha, directory):
    theirs, ours, prompts, eos_id = opened(name, directory)
    options = {"num_beams": 4, "num_return_sequences": 2}
    options |= {"early_stopping": early_stopping, "length_penalty": alpha}
    expected = their_texts(theirs, prompts, eos_id, **options)
    assert len({len(texts[0]) for texts in expected}) > 2
    assert our_texts(ours, prompts, eos_id, Beam(4, 2, "power", alpha)) == expected
