"""GPT-2 124M on WikiText-2, non-overlapping windows of 1,024 tokens: perplexity 29.94.

The figure is of https://huggingface.co/docs/transformers/perplexity, for the raw test set joined by
blank lines; the first token of each window is not predicted.
"""

import keras
import numpy as np
import pytest

from tflm import checkpoints
from tflm.eval import Likelihood, Perplexity

pytestmark = pytest.mark.network
PUBLISHED, TOKENS = 29.94, 287_644
WINDOW = 1024


def likelihood(model, ids):
    """Of all tokens of a window but the first."""
    batch = {"token_ids": ids[None].astype("int32"), "padding_mask": np.ones((1, len(ids)), bool)}
    logits = keras.ops.convert_to_numpy(model(batch))[0, :-1].astype("float64")  # (T - 1, V)
    top = logits.max(-1, keepdims=True)
    normalizers = top[:, 0] + np.log(np.exp(logits - top).sum(-1))
    found = np.take_along_axis(logits, ids[1:, None], axis=-1)[:, 0] - normalizers
    return Likelihood(found.sum(), len(found))


def windows(tokenizer, text):
    ids = tokenizer.tokenize([text]).flat_values.numpy()
    return [ids[start : start + WINDOW] for start in range(0, len(ids) - 1, WINDOW)]


def test_gpt2_has_the_published_perplexity():
    hub = pytest.importorskip("huggingface_hub", reason="needs pip install 'tflm[hub]'")
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pip install pyarrow")
    model, tokenizer = checkpoints.from_pretrained("openai-community/gpt2")
    path = hub.hf_hub_download(
        "Salesforce/wikitext",
        "wikitext-2-raw-v1/test-00000-of-00001.parquet",
        repo_type="dataset",
    )
    lines = parquet.read_table(path)["text"].to_pylist()
    parts = windows(tokenizer, "\n\n".join(lines))
    assert sum(map(len, parts)) == TOKENS
    found = [likelihood(model, ids) for ids in parts]
    score = Perplexity().score(found, [""] * len(found)).value
    assert score == pytest.approx(PUBLISHED, abs=0.05)
