import gzip
import io
import json

import numpy as np
import pytest
from rich.console import Console

from tflm.tasks import MaskedLM
from tflm.tasks.masked_lm_recipes import RECIPES, MaskedLMSettings
from tflm.tasks.masked_lm_run import MaskedLMRun
from tflm.tasks.runs import find_run
from tflm.tokenizers import SentencePieceTokenizer

TEXTS = ["two dogs and two cats", "公园很大，我喝茶。", "one six two four"] * 20
DATA = {"train": TEXTS, "valid": TEXTS[:12]}
SETTINGS = MaskedLMSettings(
    preset="bert/tiny",
    hidden_dim=12,
    num_layers=1,
    num_heads=3,
    dropout=0.0,
    vocab_size=400,
    algorithm="char",
    sequence_length=20,
    mask_rate=0.4,
    tokens_per_batch=100,
    warmup_steps=4,
    learning_rate=2e-2,
    epochs=2,
    dtype="float32",
)


def run(out):
    return MaskedLMRun(out, DATA, SETTINGS, Console(file=io.StringIO(), width=200))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    run(out).train()
    return out


@pytest.fixture(scope="module")
def report(whole):
    return run(whole).evaluate("valid")["masked"]


def test_a_run_leaves_a_finished_task(whole):
    task = MaskedLM.from_pretrained(whole / "model")
    config = task.model.config
    assert (config.hidden_dim, config.ffn_dim, config.max_length) == (12, 48, 20)
    assert isinstance(task.tokenizer, SentencePieceTokenizer)
    history = json.loads((whole / "history.json").read_text())["epochs"]
    assert history[1]["loss"] < history[0]["loss"]
    assert 0.0 <= history[1]["val_masked_accuracy"] <= 1.0


def test_the_share_of_masked_words_is_that_of_training_alone(whole, report):
    task, options = MaskedLM.from_pretrained(whole / "model"), run(whole).data_options()
    batches = task.batches(DATA["train"], training=True, **options)
    assert (batches.rate, batches.num_masked) == (0.4, round(0.4 * 19))
    assert "rate:0.15|" in report["masked_accuracy"].signature


def test_the_finished_task_is_scored_beside_guesses_on_the_same_tokens(whole, report):
    assert report.data == "valid"
    assert [score.name for score in report.scores] == ["masked_accuracy", "perplexity"]
    names = ["most_frequent", "left_neighbour", "either_neighbour"]
    assert [system.name for system in report.baselines] == names
    counted = {system["masked_accuracy"].num_examples for system in report.baselines}
    assert counted == {report["masked_accuracy"].num_examples}
    for scores in (report.scores, *(system.scores for system in report.baselines)):
        assert scores[0].interval.low <= scores[0].value <= scores[0].interval.high
        assert scores[0].interval.level == 0.95
    # Neighbours say more than nothing does: the texts are few.
    most, left, either = (system["masked_accuracy"].value for system in report.baselines)
    assert most < left <= either < 1.0
    written = json.loads((whole / "report" / "report.json").read_text())
    assert [system["name"] for system in written["baselines"]] == names
    assert run(whole).evaluate("valid")["masked"] == report


def test_the_score_is_the_metric_that_training_watches(whole, report):
    task = MaskedLM.from_pretrained(whole / "model")
    task.compile()
    options = {"sequence_length": 20, "tokens_per_batch": 100}
    found = task.evaluate(DATA["valid"], data_options=options, return_dict=True, verbose=0)
    assert report["masked_accuracy"].value == pytest.approx(found["masked_accuracy"], abs=1e-6)
    assert report["perplexity"].value == pytest.approx(found["perplexity"], rel=1e-4)
    assert report["masked_accuracy"].num_examples == found["tokens"]


def test_the_most_frequent_token_is_counted_in_the_training_text(whole):
    task = MaskedLM.from_pretrained(whole / "model")
    ids = np.concatenate(task.tokenizer.tokenize(TEXTS).to_list())
    counts = run(whole)._counts(task)
    assert counts.most_frequent == np.bincount(ids).argmax()


def test_the_recipe_replaces_what_the_data_set_marks(tmp_path):
    assert find_run("masked_lm", "wikitext2") == (MaskedLMRun, RECIPES["wikitext2"])
    for split in ("train", "valid", "test"):
        with gzip.open(tmp_path / f"{split}.txt.gz", "wt") as file:
            file.write(" \n = 3 @.@ 5 <unk> = \n")
    data = MaskedLMRun.recipe_data(RECIPES["wikitext2"], tmp_path, "raise", None)
    assert [list(rows) for rows in data.values()] == [[(" = 3.5 ⁇ = ",)]] * 3
