"""opus-mt-en-de on newstest2016: BLEU 37.0.

The figure is of https://github.com/Helsinki-NLP/OPUS-MT-train, models/en-de, for the model of
2020-02-26, which is the one on the Hugging Face Hub.
"""

import pytest
import sacrebleu

from tflm import checkpoints
from tflm.eval import BLEU
from tflm.generation import Beam
from tflm.tasks import Translation

pytestmark = pytest.mark.network
REPOSITORY, PUBLISHED = "Helsinki-NLP/opus-mt-en-de", 37.0
BATCH = 32


def translated(task, sources):
    """Translations, of sentences of about one length together."""
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    found = [""] * len(sources)
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        for place, text in zip(places, task([sources[i] for i in places]), strict=True):
            found[place] = text
    return found


def test_opus_mt_has_the_published_bleu(safe_revision):
    model, tokenizer = checkpoints.from_pretrained(REPOSITORY, safe_revision(REPOSITORY))
    task = Translation(model, tokenizer, strategy=Beam(6, length_penalty="power", alpha=1.0))
    path = sacrebleu.get_source_file("wmt16", "en-de")
    sources = open(path, encoding="utf-8").read().splitlines()
    [path] = sacrebleu.get_reference_files("wmt16", "en-de")
    references = open(path, encoding="utf-8").read().splitlines()
    assert len(sources) == len(references) == 2999
    score = BLEU("de").score(translated(task, sources), references).value
    assert score >= PUBLISHED - 0.4
