import io
import json

import numpy as np
import pytest
from rich.console import Console

from tflm.tasks import CausalLM
from tflm.tasks.causal_lm_recipes import CausalLMSettings
from tflm.tasks.causal_lm_run import CausalLMRun
from tflm.training.checkpoint import Checkpoint, Interrupted

TEXT = "To be,\nor not to be.\n公园很大。\n" * 12
DATA = {"train": [TEXT], "valid": [TEXT[:90]]}
SETTINGS = CausalLMSettings(
    preset="gpt2/tiny",
    hidden_dim=12,
    num_layers=1,
    num_heads=3,
    vocab_size=400,
    algorithm="char",
    continuous=True,
    sequence_length=20,
    tokens_per_batch=60,
    warmup_steps=2,
    learning_rate=2e-2,
    epochs=2,
    dtype="float32",
)


def run(out):
    console = Console(file=io.StringIO(), width=200)
    return CausalLMRun(out, DATA, SETTINGS, console)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    run(out).train()
    return out


def test_a_run_leaves_a_finished_task(whole):
    task = CausalLM.from_pretrained(whole / "model")
    config = task.model.config
    assert (config.hidden_dim, config.ffn_dim, config.num_layers) == (12, 48, 1)
    assert (config.max_length, config.attention_dropout, config.dropout) == (20, 0.0, 0.1)
    assert task.continuous
    history = json.loads((whole / "history.json").read_text())["epochs"]
    assert history[1]["val_loss"] < history[0]["val_loss"]


def test_the_finished_task_is_scored(whole):
    report = run(whole).evaluate("valid")["likelihood"]
    scores = {score.name: score for score in report.scores}
    assert sorted(scores) == ["bits_per_byte", "bits_per_character", "perplexity"]
    task = CausalLM.from_pretrained(whole / "model")
    bits = -task.score(DATA["valid"])[0] / np.log(2) / len(DATA["valid"][0])
    assert scores["bits_per_character"].value == pytest.approx(bits, rel=1e-5)
    written = json.loads((whole / "report" / "report.json").read_text())
    assert [score["name"] for score in written["scores"]] == list(scores)
    assert (written["num_examples"], written["examples"]) == (1, [])


@pytest.mark.slow
def test_an_interrupted_run_ends_like_one_that_was_not(whole, tmp_path, monkeypatch):
    original = Checkpoint.on_train_batch_end

    def interrupt(self, batch, logs=None):
        self._signal = 2 if self.step == 7 else None
        original(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_train_batch_end", interrupt)
        with pytest.raises(Interrupted, match="stopped after 8 updates"):
            run(tmp_path).train()
    run(tmp_path).train()
    ours, theirs = (
        CausalLM.from_pretrained(out / "model").get_weights() for out in (tmp_path, whole)
    )
    for array, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(array, expected, atol=1e-5)


def test_texts_are_read_from_a_file_or_a_split(tmp_path):
    text = "one two\n\n公园\n"

    def texts(path, split="", documents="line"):
        return CausalLMRun.open_split(path, split, {"documents": documents}, "raise", None)

    (tmp_path / "test.txt").write_text(text)
    for path, split in ((tmp_path, "test"), (tmp_path / "test.txt", "test"), (tmp_path, "")):
        assert texts(path, split) == ["one two", "公园"]
        assert texts(path, split, "none") == [text]
    (tmp_path / "empty.txt").touch()
    for documents in ("line", "none"):
        with pytest.raises(ValueError, match="`data` must hold at least one text. Received: .*"):
            texts(tmp_path / "empty.txt", "", documents)
    with pytest.raises(FileNotFoundError, match="`data` must hold valid.txt, valid.txt.gz or"):
        texts(tmp_path, "valid")
