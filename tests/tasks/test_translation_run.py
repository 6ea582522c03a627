import io
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from tflm.eval.file_evaluation import compare_paths
from tflm.models.transformer import Config, Transformer
from tflm.tasks import Translation
from tflm.tasks.run_record import fingerprint
from tflm.tasks.translation_recipes import TranslationSettings
from tflm.tasks.translation_run import TranslationRun
from tflm.training.checkpoint import Checkpoint, Interrupted
from tflm.training.files import load_tensors

LAYERS = {"num_encoder_layers": 1, "num_decoder_layers": 1}
NANO = Config(hidden_dim=12, ffn_dim=20, num_heads=3, **LAYERS)
SETTINGS = {
    "languages": "en-de",
    "preset": "transformer/nano",
    "vocab_size": 310,
    "epochs": 3,
    "tokens_per_batch": 256,
    "max_length": 48,
    "learning_rate": 5e-3,
    "warmup_steps": 10,
    "average_last": 2,
    "score_every": 0,
    "beam": 2,
    "dtype": "float32",
}


@pytest.fixture(autouse=True)
def nano(monkeypatch):
    """A preset that trains in a test."""
    monkeypatch.setitem(Transformer.PRESETS, "nano", NANO)


@pytest.fixture(autouse=True)
def handlers():
    """What handles signals is what did before: a power cut in a test gives nothing back."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def data(toy_pairs):
    return {"train": toy_pairs[:140], "valid": toy_pairs[140:160], "test": toy_pairs[160:170]}


@pytest.fixture(scope="module")
def training_text(data):
    """Nothing to validate on, which changes no weights and saves time."""
    return {"train": data["train"]}


@pytest.fixture
def make_run(data):
    """A run, and what it wrote to its console as `run.said()`."""

    def make(out, data=data, **changes):
        text = io.StringIO()
        console = Console(file=text, width=200)
        settings = TranslationSettings(**{**SETTINGS, **changes})
        run = TranslationRun(out, data, settings, console)
        run.said = text.getvalue
        return run

    return make


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A run that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Transformer.PRESETS, "nano", NANO)
        TranslationRun(out, data, TranslationSettings(**SETTINGS), Console(quiet=True)).train()
    return out


def weights(out):
    return load_tensors(out / "model" / "model.safetensors")[0]


def same_weights(ours, theirs, epoch=3):
    ours, theirs = (
        load_tensors(out / "epochs" / f"epoch-000{epoch}.safetensors")[0] for out in (ours, theirs)
    )
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], atol=1e-5, err_msg=name)


def unfinished(out):
    """Files under names of their own that writing leaves behind."""
    return [path for path in out.rglob("*") if path.name.startswith(".")]


class PowerCut(BaseException):
    """Nothing catches it."""


def cut_before(monkeypatch, owner, name, call):
    """Lets the power fail when `owner.name` is called for the `call`-th time."""
    original, calls = getattr(owner, name), []

    def fail(*arguments, **kwargs):
        calls.append(arguments)
        if len(calls) == call:
            raise PowerCut
        return original(*arguments, **kwargs)

    monkeypatch.setattr(owner, name, fail)


def signal_at(monkeypatch, step, number=signal.SIGINT):
    """Sends this process a signal when `step` updates are done."""
    original = Checkpoint.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        if self.step + 1 == step:
            os.kill(os.getpid(), number)
        original(self, batch, logs)

    monkeypatch.setattr(Checkpoint, "on_train_batch_end", on_train_batch_end)


def steps_per_epoch(out):
    tensors, metadata = load_tensors(out / "checkpoint")
    position = json.loads(metadata["position"])
    assert tensors
    return position["step"] // position["epoch"]


def test_a_run_leaves_what_it_promises(whole, data):
    assert sorted(path.name for path in whole.iterdir()) == [
        "checkpoint",
        "epochs",
        "history.json",
        "model",
        "run.json",
        "tokenizer",
    ]
    assert sorted(path.name for path in (whole / "epochs").iterdir()) == [
        "best.safetensors",
        "epoch-0002.safetensors",
        "epoch-0003.safetensors",
    ]
    assert not unfinished(whole)
    saved = json.loads((whole / "run.json").read_text())
    assert saved.pop("task") == "translation"
    assert saved.pop("train_data") == fingerprint(data["train"])
    assert TranslationSettings(**saved) == TranslationSettings(**SETTINGS)
    history = json.loads((whole / "history.json").read_text())
    assert [logs["epoch"] for logs in history["epochs"]] == [1, 2, 3]
    assert history["epochs"][2]["val_loss"] < history["epochs"][0]["val_loss"]
    assert history["seconds"] > 0


def test_the_finished_task_is_the_mean_of_the_last_epochs_or_the_best_one(whole, data):
    files = [whole / "epochs" / f"epoch-000{number}.safetensors" for number in (2, 3)]
    mean = {
        name: (array.astype("float64") + load_tensors(files[1])[0][name]) / 2
        for name, array in load_tensors(files[0])[0].items()
    }
    best = load_tensors(whole / "epochs" / "best.safetensors")[0]
    task = Translation.from_pretrained(whole / "model")
    own = weights(whole)
    is_mean, is_best = (
        all(np.allclose(own[name], array, atol=1e-6) for name, array in candidate.items())
        for candidate in (mean, best)
    )
    assert is_mean != is_best
    task.compile()
    options = {"tokens_per_batch": SETTINGS["tokens_per_batch"]}
    loss = task.evaluate(data["valid"], data_options=options, return_dict=True, verbose=0)["loss"]
    history = json.loads((whole / "history.json").read_text())["epochs"]
    lowest = min(logs["val_loss"] for logs in history)
    assert (loss < lowest) if is_mean else loss == pytest.approx(lowest, rel=1e-3)


@pytest.mark.slow  # the test of the command interrupts a run once
def test_a_run_interrupted_again_and_again_ends_like_one_that_was_not(
    whole, make_run, training_text, tmp_path, monkeypatch
):
    steps = steps_per_epoch(whole)
    generator = np.random.default_rng()
    first, second = generator.integers(1, steps), generator.integers(steps + 1, 2 * steps)
    with monkeypatch.context() as patch:  # while the vocabulary is written
        cut_before(patch, os, "replace", 2)
        with pytest.raises(PowerCut):
            make_run(tmp_path, training_text).train()
    assert not list(tmp_path.rglob("*.model"))
    with monkeypatch.context() as patch:
        signal_at(patch, first)
        with pytest.raises(Interrupted, match=f"stopped after {first} updates; saved in"):
            make_run(tmp_path, training_text).train()
    with monkeypatch.context() as patch:
        signal_at(patch, second, signal.SIGTERM)
        with pytest.raises(Interrupted, match=f"stopped after {second} updates; saved in"):
            make_run(tmp_path, training_text).train()
    run = make_run(tmp_path, training_text)
    run.train()
    said = run.said()
    assert f"Resuming after {second} updates." in said
    assert re.search(r"transformer/nano: [\d,]+ parameters, \d+ updates an epoch, 3 epochs", said)
    assert re.search(r"epoch 3/3 .*loss \d.* tokens/s .*ETA 0:00:00", said)
    assert "Trained 3 epochs in 0:0" in said
    same_weights(tmp_path, whole)
    assert not unfinished(tmp_path)


@pytest.mark.slow
def test_a_signal_after_the_last_update_of_an_epoch_lets_the_epoch_end(
    whole, make_run, training_text, tmp_path, monkeypatch
):
    steps = steps_per_epoch(whole)
    with monkeypatch.context() as patch:
        signal_at(patch, steps)
        with pytest.raises(Interrupted, match="stopped after 1 epochs; saved in"):
            make_run(tmp_path, training_text, epochs=2).train()
    # More epochs go on with the run, too.
    run = make_run(tmp_path, training_text, epochs=3)
    run.train()
    assert f"Resuming after {steps} updates." in run.said()
    same_weights(tmp_path, whole)
    assert json.loads((tmp_path / "run.json").read_text())["epochs"] == 3


KILLED = """
import json, os, pathlib, signal, sys
from rich.console import Console
from tflm.eval.file_evaluation import compare_paths
from tflm.models.transformer import Config, Transformer
from tflm.tasks.translation_recipes import TranslationSettings
from tflm.tasks.translation_run import TranslationRun

out, preset, settings, data = json.loads(sys.stdin.read())
Transformer.PRESETS["nano"] = Config(**preset)
replace, names = os.replace, []

def die(source, target):
    names.append(pathlib.Path(target).name)
    if names.count("checkpoint") == 2:  # the second epoch's, whole but not yet in its place
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = die
data = {split: [tuple(pair) for pair in pairs] for split, pairs in data.items()}
TranslationRun(pathlib.Path(out), data, TranslationSettings(**settings), Console()).train()
"""


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_from_its_last_checkpoint(
    whole, make_run, training_text, tmp_path
):
    arguments = [str(tmp_path), vars(NANO), SETTINGS, training_text]
    done = subprocess.run(
        [sys.executable, "-c", KILLED], input=json.dumps(arguments), text=True, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [path.name[:12] for path in unfinished(tmp_path)] == [".checkpoint."]
    assert not (tmp_path / "model").exists()
    (tmp_path / ".own.unfinished.txt").touch()  # somebody else's
    run = make_run(tmp_path, training_text)
    run.train()
    assert f"Resuming after {steps_per_epoch(whole)} updates." in run.said()
    same_weights(tmp_path, whole)
    assert [path.name for path in unfinished(tmp_path)] == [".own.unfinished.txt"]


def test_a_finished_run_is_finished_again_without_training(whole, make_run, monkeypatch):
    before = weights(whole)
    monkeypatch.setattr(TranslationRun, "_fit", None)  # not called
    run = make_run(whole)
    run.train()
    assert "Trained 3 epochs" in run.said()
    for name, array in weights(whole).items():
        np.testing.assert_array_equal(array, before[name])


def test_another_run_in_the_same_directory_is_refused(whole, make_run):
    before = (whole / "run.json").read_bytes()
    message = "seed: 1 there, 2 now, vocab_size: 310 there, 320 now"
    with pytest.raises(ValueError, match=f"`out` must be a new directory .* Received: {message}"):
        make_run(whole, vocab_size=320, seed=2)
    assert (whole / "run.json").read_bytes() == before


def test_a_run_that_failed_before_it_trained_binds_nobody(make_run, tmp_path):
    with pytest.raises(ValueError, match="`vocab_size` must be at most"):
        make_run(tmp_path, vocab_size=5000).train()
    with pytest.raises(ValueError, match="`tokens_per_batch` must be at least `max_length`"):
        make_run(tmp_path, vocab_size=320, tokens_per_batch=20).train()
    assert (tmp_path / "tokenizer" / "joint" / "sentencepiece.model").is_file()
    make_run(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["vocab_size"] == 310
    assert not (tmp_path / "tokenizer").exists()


def test_each_side_has_its_own_vocabulary_within_one_language_too(make_run, tmp_path):
    pairs = [("a plain text", "一段文字"), ("another text", "另一段文字")] * 9
    run = make_run(
        tmp_path,
        {"train": pairs},
        languages="zh-zh",
        joint=False,
        algorithm="char",
        vocab_size=300,
    )
    source, target = run._tokenizers()
    assert sorted(path.name for path in (tmp_path / "tokenizer").iterdir()) == ["source", "target"]
    spelled = [len(each.tokenize(["一段文字"])[0]) for each in (source, target)]
    assert spelled[0] > spelled[1]


def test_what_cannot_train_leaves_nothing_behind(make_run, tmp_path):
    with pytest.raises(ValueError, match="one of .*'transformer/tiny'.* name='transformer/pico'"):
        make_run(tmp_path / "out", preset="transformer/pico")
    with pytest.raises(
        ValueError, match="`data` must hold examples. Received: none in split 'valid'"
    ):
        make_run(tmp_path / "out", data={"train": [("a", "b")], "valid": []})
    with pytest.raises(ValueError, match="`target_vocab_size` must be a field .*_vocab_size=310"):
        make_run(tmp_path / "out", preset="bart/base", joint=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_training_text_alone_is_enough(make_run, training_text, tmp_path):
    run = make_run(
        tmp_path,
        training_text,
        joint=False,
        vocab_size=290,
        epochs=1,
        ema=0.5,
        score_every=1,
    )
    task = run.train()
    assert sorted(path.name for path in (tmp_path / "tokenizer").iterdir()) == ["de", "en"]
    assert task.source_tokenizer.model != task.target_tokenizer.model
    assert not (tmp_path / "epochs" / "best.safetensors").exists()
    # The epoch's file holds the moving average, and so does the finished task.
    last = load_tensors(tmp_path / "epochs" / "epoch-0001.safetensors")[0]
    own = weights(tmp_path)
    assert all(np.array_equal(own[name], array) for name, array in last.items())
    largest = max(own.values(), key=lambda array: array.size)
    equal = {
        name.partition("/")[0]
        for name, array in load_tensors(tmp_path / "checkpoint")[0].items()
        if np.array_equal(array, largest)
    }
    assert equal == {"optimizer"}


@pytest.fixture(scope="module")
def reports(whole, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Transformer.PRESETS, "nano", NANO)
        run = TranslationRun(whole, data, TranslationSettings(**SETTINGS), Console(quiet=True))
        return run.evaluate("test")


def test_a_test_set_is_scored_with_beam_and_greedy(whole, reports):
    assert list(reports) == ["beam", "greedy"]
    for name, report in reports.items():
        assert [score.name for score in report.scores] == ["bleu", "chrf", "ter", "bleu_lc"]
        folder = whole / "report" / name
        written = json.loads((folder / "report.json").read_text())
        assert written["settings"]["strategy"] == {"beam": "Beam", "greedy": "Greedy"}[name]
        assert (written["task"], written["target_language"]) == ("translation en-de", "de")
        assert len((folder / "hypotheses.txt").read_text().splitlines()) == 10
        assert all(re.search(r"version:\d", score.signature) for score in report.scores)


def test_the_two_searches_can_be_compared(whole, reports):
    found = compare_paths([str(whole / "report" / name) for name in ("greedy", "beam")], [], None)
    assert [system.name for system in found.systems] == ["greedy", "beam"]
