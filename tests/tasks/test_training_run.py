import dataclasses
import functools
import io
import json
import types

import keras
import pytest
from rich.console import Console

from tflm import models
from tflm.eval import Accuracy, GenerateAndScore
from tflm.models.base import Encoder
from tflm.tasks.fastest import Choice
from tflm.tasks.run_record import write_json
from tflm.tasks.training_run import TrainingRun
from tflm.tokenizers import SentencePieceTokenizer
from tflm.training.checkpoint import KeepLastWeights
from tflm.training.exclusive import exclusive
from tflm.training.weights import save_weights


@dataclasses.dataclass(frozen=True)
class Plan:
    """The least settings of a run."""

    preset: str = "gpt2/tiny"
    epochs: int = 3
    vocab_size: int = 99
    patience: int = 0
    score_every: int = 0
    algorithm: str = "char"
    accumulate: int = 1
    average_last: int = 1
    seed: int = 1
    dtype: str = "float32"
    younger: int = 5


DATA = {"train": ["a text"]}


class Run(TrainingRun):
    """What reads no data and makes no task."""

    Settings = Plan

    def fresh_network(self, vocab_sizes):
        network, config = models.find(self.settings.preset)
        return network, dataclasses.replace(config, vocab_size=sum(vocab_sizes))


def make(out, data=DATA, **changes):
    return Run(out, data, Plan(**changes), Console(file=io.StringIO()))


def test_a_directory_belongs_to_the_run_that_trained_in_it(tmp_path):
    make(tmp_path, dtype="bfloat16")
    (tmp_path / "checkpoint").touch()
    make(tmp_path, data={**DATA, "valid": ["text"]}, dtype="bfloat16", epochs=7, patience=2)
    make(tmp_path, dtype="bfloat16", epochs=7)
    assert json.loads((tmp_path / "run.json").read_text())["epochs"] == 7
    with pytest.raises(
        ValueError, match="the same run. Received: dtype: 'bfloat16' there, 'float32' now"
    ):
        make(tmp_path, epochs=7)


def test_nothing_is_touched_where_another_run_is_training(tmp_path):
    run = make(tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    (tmp_path / "tokenizer").mkdir()
    with exclusive(tmp_path):
        with pytest.raises(ValueError, match="in which nothing else is training"):
            make(tmp_path, younger=6)
        with pytest.raises(ValueError, match="in which nothing else is training"):
            run.train()
    assert (tmp_path / "run.json").read_bytes() == before
    assert (tmp_path / "tokenizer").is_dir()


def test_a_run_keeps_the_dtype_that_it_was_begun_with(tmp_path, monkeypatch):
    def fastest(dtype):
        choice = Choice(dtype, "reasons")
        monkeypatch.setattr("tflm.tasks.training_run.training_dtype", lambda: choice)

    fastest("mixed_bfloat16")
    assert make(tmp_path, dtype="auto").settings.dtype == "mixed_bfloat16"
    fastest("float32")
    assert make(tmp_path, dtype="auto").settings.dtype == "float32"  # nothing was learned yet
    fastest("mixed_bfloat16")
    make(tmp_path, dtype="auto")
    (tmp_path / "checkpoint").touch()
    fastest("float32")
    assert make(tmp_path, dtype="auto").settings.dtype == "mixed_bfloat16"
    assert json.loads((tmp_path / "run.json").read_text())["dtype"] == "mixed_bfloat16"
    with pytest.raises(ValueError, match="dtype: 'mixed_bfloat16' there, 'float32' now"):
        make(tmp_path, dtype="float32")


def test_a_dtype_that_nothing_trains_in_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="`dtype` must be one of auto, .* Received: dtype='w8a8'"):
        make(tmp_path, dtype="w8a8")
    assert not list(tmp_path.iterdir())


def test_a_setting_younger_than_the_run_has_its_default(tmp_path):
    make(tmp_path)
    saved = json.loads((tmp_path / "run.json").read_text())
    del saved["younger"]
    write_json(tmp_path / "run.json", saved)
    (tmp_path / "checkpoint").touch()
    make(tmp_path)
    with pytest.raises(ValueError, match="younger: 5 there, 6 now"):
        make(tmp_path, younger=6)


def test_a_run_goes_on_with_the_data_that_it_began_with_only(tmp_path):
    make(tmp_path)
    (tmp_path / "checkpoint").touch()
    saved = json.loads((tmp_path / "run.json").read_text())
    make(tmp_path, data={**DATA, "valid": ["text"]})
    with pytest.raises(ValueError, match="other training data, of 1 examples there, 2 now"):
        make(tmp_path, data={"train": ["a text", "一段"]})
    del saved["train_data"]  # a run from before it was written down
    write_json(tmp_path / "run.json", saved)
    make(tmp_path)
    with pytest.raises(ValueError, match="other training data"):
        make(tmp_path, data={"train": ["another"]})


class TextRun(Run):
    """What has rows of one text."""

    def texts_of_rows(self):
        return 1, ""


def test_a_run_says_what_its_cleaning_did_before_it_trains(tmp_path):
    console = Console(file=io.StringIO())
    rows = {"train": ["茶 ", "茶", "tea"], "valid": [" 茶", "茶"], "test": [" 茶"]}
    run = TextRun(tmp_path, rows, Plan(), console, ["whitespace", "duplicates"])
    assert list(run.data["train"]) == [("茶",), ("tea",)]
    assert list(run.validation_data) == [("茶",), ("茶",)]
    assert (run.data["valid"], run.data["test"]) == (rows["valid"], rows["test"])
    with pytest.raises(NotImplementedError):
        run.train()
    assert "kept 2 of 3 examples.\n  whitespace: 1 changed, 0 dropped\n" in console.file.getvalue()
    counts = json.loads((tmp_path / "cleaning.json").read_text())
    assert counts == run.cleaned.counts()
    assert counts["steps"][1] == {"step": "duplicates", "changed": 0, "dropped": 1}


def test_a_run_goes_on_only_with_the_same_cleaning(tmp_path):
    def start(*clean):
        return TextRun(tmp_path, DATA, Plan(), Console(file=io.StringIO()), clean)

    start("length", "unicode")
    saved = ["length:min=1,max=1000,unit=characters", "unicode:form=NFC"]
    assert json.loads((tmp_path / "run.json").read_text())["clean"] == saved
    (tmp_path / "checkpoint").touch()
    start("length:max=1000", "unicode")
    for clean in ((), ("unicode", "length"), ("length:max=999", "unicode")):
        with pytest.raises(ValueError, match="`out` must be .* clean: .*'length:min=1,max=1000"):
            start(*clean)


def test_cleaning_is_refused_where_examples_are_not_rows_of_texts(tmp_path):
    with pytest.raises(ValueError, match="`clean` must be left out where examples .* task=''"):
        Run(tmp_path / "out", DATA, Plan(), Console(file=io.StringIO()), ["unicode"])
    with pytest.raises(ValueError, match="`clean` must leave examples to learn from"):
        TextRun(tmp_path / "out", DATA, Plan(), Console(file=io.StringIO()), ["length:min=9"])
    assert not (tmp_path / "out").exists()


def test_a_run_that_never_trained_binds_nobody(tmp_path):
    make(tmp_path)
    (tmp_path / "tokenizer").mkdir()
    make(tmp_path, seed=2)
    assert not (tmp_path / "tokenizer").exists()


def test_what_cannot_train_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="`name` must be one of .*name='gpt2/pico'"):
        make(tmp_path / "out", preset="gpt2/pico")
    with pytest.raises(ValueError, match="`data` must hold examples. Received: none in split 'v'"):
        make(tmp_path / "out", data={**DATA, "v": []})
    with pytest.raises(ValueError, match="`patience` must be 0 without .*patience=2, splits .'tr"):
        make(tmp_path / "out", patience=2)
    with pytest.raises(
        ValueError, match="`patience` must be at least `score_every`.*patience=2, score_every=3"
    ):
        make(tmp_path / "out", data={**DATA, "valid": ["text"]}, patience=2, score_every=3)
    assert not (tmp_path / "out").exists()
    make(tmp_path / "out", data={**DATA, "valid": ["text"]}, patience=3, score_every=3)


def test_a_network_of_another_kind_is_told_before_anything_is_learned(tmp_path):
    class Reader(Run):
        TASK, NETWORKS = "reading", (Encoder,)

    with pytest.raises(
        ValueError,
        match="`preset` must be of the kind of network that reading takes, Encoder. .*'gpt2/tiny'",
    ):
        Reader(tmp_path / "out", DATA, Plan(), Console(file=io.StringIO()))
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_that_was_not_written_whole_is_learned_again(tmp_path):
    class Learns(Run):
        disk_is_full = True

        def train_tokenizer(self):
            tokenizer = SentencePieceTokenizer.train(["a text", "一段文字"] * 9, 300, "char")
            if not self.disk_is_full:
                return tokenizer

            def save(directory):
                directory.mkdir()
                raise OSError("No space left on device")

            return types.SimpleNamespace(save=save)

    run = Learns(tmp_path, DATA, Plan(), Console(file=io.StringIO()))
    with pytest.raises(OSError, match="No space left"):
        run.tokenizer()
    run.disk_is_full = False
    assert run.tokenizer().vocab_size == run.train_tokenizer().vocab_size > 256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "tokenizer"]


def test_what_a_subclass_must_say_is_asked_for(tmp_path):
    run = make(tmp_path)
    assert run.callbacks(None) == [] and run.monitor == ("val_loss", "min")
    for call, arguments in (
        (functools.partial(TrainingRun.fresh_network, run), ([99],)),
        (run.new_task, ()),
        (run.data_options, ()),
        (run.evaluate, ("test",)),
    ):
        with pytest.raises(NotImplementedError):
            call(*arguments)


TEXTS, LABELS = ["茶", "tea", "a long text"], ["yes", "yes", "no"]


class Watched(Run):
    """A run of a task with one weight, which is right where that is more than 3 and at most 11."""

    sampled = True

    def data_options(self):
        return {"seed": 3}

    def callbacks(self, task):
        scores = GenerateAndScore(task.answer, TEXTS, LABELS, [Accuracy(("no", "yes"))])
        return [keras.callbacks.Callback(), scores] if self.sampled else []


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize(
    ("weights", "mode", "chosen"),
    [
        ([5.0, 1.0, 2.0], "max", 5.0),  # the mean of the last two is worse than the best
        ([5.0, 3.5, 7.5], "max", 5.5),  # as good: the mean
        ([5.0, 12.0, 16.0], "min", 14.0),
        ([1.0, 2.0, 12.0], "min", 1.0),
    ],
)
def test_the_finished_task_is_the_better_by_what_is_watched(
    tmp_path, monkeypatch, weights, mode, chosen, sampled
):
    monkeypatch.setattr(Watched, "monitor", ("val_accuracy", mode))
    monkeypatch.setattr(Watched, "sampled", sampled)
    layer = keras.layers.Dense(1, use_bias=False)
    layer.build((None, 1))

    def answer(texts):
        return ["yes" if len(text) < float(layer.kernel[0, 0]) else "no" for text in texts]

    def evaluate(data=DATA["train"], data_options=None, **options):
        assert (data, data_options) == (DATA["train"], {"seed": 3})
        right = [one == other for one, other in zip(answer(TEXTS), LABELS, strict=True)]
        return {"loss": float(layer.kernel[0, 0]), "accuracy": sum(right) / 3}

    task = types.SimpleNamespace(parts={"": layer}, answer=answer, evaluate=evaluate)
    run = Watched(tmp_path, {**DATA, "valid": DATA["train"]}, Plan(), Console(file=io.StringIO()))
    keep = KeepLastWeights(tmp_path / "epochs", task.parts, 2, save_weights, *run.monitor)
    for epoch, weight in enumerate(weights):
        layer.kernel.assign([[weight]])
        logs = evaluate(data_options={"seed": 3})
        keep.on_epoch_end(epoch, {f"val_{name}": value for name, value in logs.items()})
    run._choose_weights(task, types.SimpleNamespace(epoch=3), keep)
    assert float(layer.kernel[0, 0]) == chosen
    said = " ".join(run.console.file.getvalue().split())
    assert said.startswith("val_accuracy: ") and "of the mean of the last 2 epochs" in said


def test_without_a_best_epoch_the_finished_task_is_the_mean(tmp_path):
    layer = keras.layers.Dense(1, use_bias=False)
    layer.build((None, 1))
    run = make(tmp_path)
    keep = KeepLastWeights(tmp_path / "epochs", {"": layer}, 2, save_weights)
    for epoch, weight in enumerate((2.0, 5.0)):
        layer.kernel.assign([[weight]])
        keep.on_epoch_end(epoch, {"loss": 1.0})
    task = types.SimpleNamespace(parts={"": layer})
    run._choose_weights(task, types.SimpleNamespace(epoch=2), keep)
    assert float(layer.kernel[0, 0]) == 3.5


def test_a_resumed_run_scores_its_sample_when_it_would_have_been_scored(tmp_path):
    class Sampled(Run):
        def data_options(self):
            return {}

        def callbacks(self, task):
            metrics = [Accuracy(("no", "yes"))]
            scores = GenerateAndScore(task.answer, TEXTS, LABELS, metrics, every=3, num_shown=0)
            return [scores]

    def fit(data, *, epochs, initial_epoch, callbacks, **options):
        scores, *_ = callbacks
        scores.set_params({"epochs": epochs})
        for epoch in range(initial_epoch, epochs):
            logs = {}
            scores.on_epoch_begin(epoch)
            scores.on_epoch_end(epoch, logs)
            seen.append(logs["val_accuracy"])

    seen = []
    task = types.SimpleNamespace(
        answer=lambda texts: LABELS,
        fit=fit,
        batches=lambda *_, **__: types.SimpleNamespace(num_batches=lambda epoch: 4),
        model=types.SimpleNamespace(count_params=lambda: 1),
    )
    at = types.SimpleNamespace(epoch=1, step=4, history=[{"epoch": 1, "val_accuracy": 0.25}])
    Sampled(tmp_path, DATA, Plan(epochs=5), Console(file=io.StringIO()))._fit(task, at, [])
    assert seen == [0.25, 1.0, 1.0, 1.0]
