"""A model that came in writes what `generate` of the transformers library writes.

Their searches get every option here, none from a configuration. A decoder's prompts stand in one
batch with padding on the left; an encoder-decoder's sources have it on the right.
"""

import json
import pathlib
import runpy

import numpy as np
import pytest

from tflm import checkpoints
from tflm.export import special_ids
from tflm.generation import Beam, Greedy, Limits, generate

pytestmark = pytest.mark.parity
FOLDER = pathlib.Path(__file__).parent
CASES = sorted(
    path.stem
    for path in (FOLDER / "cases").glob("*.json")
    if json.loads(path.read_text(encoding="utf-8"))["kind"] != "encoder"
)
COUNT, LONGEST, WRITTEN = 56, 7, 9
# Beams, hypotheses returned, when theirs stops, their `length_penalty`. Their search is exact, as
# ours always is, with "never", and with False where the penalty does not grow with the length.
BEAMS = {
    "long texts": (4, 2, "never", 1.0),
    "short texts": (3, 1, "never", -0.5),
    "sums": (4, 3, False, 0.0),
}


class SpecialIds:
    """What a tokenizer would say about the special tokens of a configuration."""

    def __init__(self, config):
        ids = {role: getattr(config, f"{role}_token_id", None) for role in ("pad", "eos", "bos")}
        self.pad_id = 1 if ids["pad"] is None else ids["pad"]
        self.eos_id, self.bos_id = ids["eos"], ids["bos"]


class Pair:
    """Their model, ours with its weights, what both continue or translate, and an end."""

    def __init__(self, name, directory):
        import transformers

        script = runpy.run_path(str(FOLDER / "make_fixtures.py"))
        self.theirs = script["reference"](name, seed=21)
        _enliven(self.theirs)
        self.theirs.generation_config = transformers.GenerationConfig()  # nothing of its own
        script["save"](self.theirs, directory)
        self.ours = checkpoints.load_model(directory)
        self.is_decoder = script["case"](name)["kind"] == "decoder"
        self.vocab_size = script["case"](name)["config"]["vocab_size"]
        self.special = SpecialIds(self.theirs.config)
        self.pad_id = self.special.pad_id
        self.start = list(special_ids(self.special, getattr(self.ours, "TARGET_START", ())))
        self.start = [] if self.is_decoder else self.start
        self.ids, self.mask = self._inputs()
        self.eos_id = None
        self.eos_id = self._end()

    def _inputs(self):
        random = np.random.default_rng(8)
        lengths = 1 + np.arange(COUNT) % LONGEST
        mask = np.arange(LONGEST) < lengths[:, None]
        mask = mask[:, ::-1].copy() if self.is_decoder else mask
        words = [i for i in range(4, self.vocab_size) if i != self.pad_id]
        return np.where(mask, random.choice(words, mask.shape), self.pad_id), mask

    def _end(self):
        """The token at which endless texts end at the most different lengths."""
        texts = [row[0] for row in self.written_by_theirs(no_repeat_ngram_size=2)[0]]
        ends = [
            {text.index(token) for text in texts if token in text} if token != self.pad_id else ()
            for token in range(4, self.vocab_size)
        ]
        return 4 + int(np.argmax([len(found) for found in ends]))

    def written_by_theirs(
        self, num_beams=1, num_return_sequences=1, max_new_tokens=WRITTEN, **options
    ):
        """The texts of every input, best first, and the scores of beams."""
        import torch
        from transformers import GenerationConfig

        settings = GenerationConfig(
            do_sample=False,
            num_beams=num_beams,
            num_return_sequences=num_return_sequences,
            max_new_tokens=max_new_tokens,
            eos_token_id=self.eos_id,
            pad_token_id=self.pad_id,
            decoder_start_token_id=None if self.is_decoder else self.start[0],
            bad_words_ids=[[self.pad_id]],
            return_dict_in_generate=True,
            output_scores=True,
            **options,
        )
        given = {"attention_mask": torch.tensor(self.mask.astype("int64"))}
        if not self.is_decoder:
            given["decoder_input_ids"] = torch.tensor([self.start] * COUNT)
        ids = torch.tensor(self.ids.astype("int64"))
        found = self.theirs.generate(ids, generation_config=settings, **given)
        rows = found.sequences[:, LONGEST if self.is_decoder else len(self.start) :].tolist()
        rows = [row[: row.index(self.eos_id)] if self.eos_id in row else row for row in rows]
        firsts = range(0, len(rows), num_return_sequences)
        texts = [rows[first : first + num_return_sequences] for first in firsts]
        return texts, getattr(found, "sequences_scores", None)

    def written_by_ours(self, strategy, no_repeat_ngram_size=0, num_forced=0):
        """The texts of every input, and their scores."""
        ids, mask = self.ids.astype("int32"), self.mask
        if self.is_decoder:
            prompt, cache = ids, self.ours.start(mask, LONGEST + WRITTEN)
        else:
            prompt = np.array([self.start] * COUNT, "int32")
            memory = self.ours.encode(ids, mask)
            cache = self.ours.start(memory, mask, len(self.start) + WRITTEN)
        found = generate(
            self.ours.decode,
            cache,
            prompt,
            strategy=strategy,
            limits=Limits(WRITTEN, no_repeat_ngram_size=no_repeat_ngram_size),
            eos_id=self.eos_id,
            pad_id=self.pad_id,
            blocked_ids=(self.pad_id,),
            num_forced=num_forced,
        )
        texts = [
            [text[:length].tolist() for text, length in zip(texts, lengths, strict=True)]
            for texts, lengths in zip(found.token_ids.numpy(), found.lengths.numpy(), strict=True)
        ]
        return texts, found.scores.numpy()


def _enliven(model):
    """So that what was read decides what is written, not the biases or the last token alone."""
    import torch

    with torch.no_grad():
        for path, weight in model.named_parameters():
            if "attn" in path and weight.dim() > 1:  # T5's scores are large as they are
                weight *= 3.0
            elif path.endswith("bias"):
                weight *= 0.1


@pytest.fixture(scope="module", params=CASES)
def pair(request, tmp_path_factory):
    pytest.importorskip("torch", reason="needs pip install 'tflm[parity]'")
    pytest.importorskip("transformers", reason="needs pip install 'tflm[parity]'")
    return Pair(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("size", [0, 2])
def test_greedy_texts_are_the_same(pair, size):
    expected, _ = pair.written_by_theirs(no_repeat_ngram_size=size)
    found, _ = pair.written_by_ours(Greedy(), size)
    assert found == expected
    if size:  # without, small models soon repeat one token for ever
        assert len({tuple(texts[0]) for texts in found}) > COUNT / 3
        assert len({len(texts[0]) for texts in found}) > 3


@pytest.mark.parametrize("name", BEAMS)
def test_beams_find_the_same_texts(pair, name):
    beams, count, early_stopping, alpha = BEAMS[name]
    expected, scores = pair.written_by_theirs(
        beams, count, early_stopping=early_stopping, length_penalty=alpha
    )
    found, our_scores = pair.written_by_ours(Beam(beams, count, "power", alpha))
    assert found == expected
    np.testing.assert_allclose(our_scores.reshape(-1), scores, atol=1e-4, rtol=1e-4)


def test_where_their_search_stops_early_ours_finds_no_worse(pair):
    """Their default: the search ends once there are as many finished texts as beams."""
    expected, scores = pair.written_by_theirs(4, early_stopping=False, length_penalty=1.0)
    found, our_scores = pair.written_by_ours(Beam(4, 1, "power", 1.0))
    better = our_scores[:, 0] - scores.numpy()  # (B,)
    differ = np.array([ours != theirs for ours, theirs in zip(found, expected, strict=True)])
    assert (better > -1e-4).all() and (better[differ] > 0.0).all()
    assert differ.sum() < COUNT / 2


def test_a_forced_first_token_is_part_of_our_start(pair):
    """transformers starts BART with `</s>` and forces `<s>` to follow; ours starts with both."""
    if pair.is_decoder or len(pair.start) == 1:
        assert pair.start in ([], [pair.special.pad_id])
        return
    first, second = pair.start
    # The forced token counts in their limit of new tokens, and in their length penalty.
    options = {"forced_bos_token_id": second, "max_new_tokens": WRITTEN + 1}
    pair.start = [first]
    forced, _ = pair.written_by_theirs(no_repeat_ngram_size=2, **options)
    beams, scores = pair.written_by_theirs(4, early_stopping="never", length_penalty=1.0, **options)
    pair.start = [first, second]
    found, _ = pair.written_by_ours(Greedy(), 2)
    assert [texts[0] for texts in found] == [texts[0][1:] for texts in forced]
    found, our_scores = pair.written_by_ours(Beam(4, 1, "power", 1.0), num_forced=1)
    assert [texts[0] for texts in found] == [texts[0][1:] for texts in beams]
    np.testing.assert_allclose(our_scores[:, 0], scores, atol=1e-4, rtol=1e-4)
