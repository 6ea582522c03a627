import json
import shutil
import types

import keras
import numpy as np
import pytest

import tflm.tasks.base
from tflm import checkpoints
from tflm.tasks import Task, Translation
from tflm.tasks.base import subclasses

PAIRS = [("a", "b")]


class Recorder(Task):
    """Remembers the batches it is trained on, in order."""

    def batches(self, examples, **options):
        return self.own_batches

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if training:
            self.seen.append(int(y[0, 0]))
        return super().compute_loss(x, y, y_pred, sample_weight, training)


@pytest.fixture
def make_recorder(numbered):
    def make(optimizer="sgd"):
        keras.utils.set_random_seed(1)
        task = Recorder(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
        task.compile(optimizer, "mse", run_eagerly=True)
        task.own_batches, task.seen = numbered, []
        return task

    return make


def test_gradients_are_not_accumulated_on_several_devices(make_recorder, monkeypatch):
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=3)
    assert make_recorder(optimizer).compiled
    two = types.SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(Task, "distribute_strategy", two, raising=False)
    with pytest.raises(ValueError, match="`optimizer` must .*accumulation_steps=3, 2 devices"):
        make_recorder(optimizer)


@pytest.mark.parametrize("step", [1, 4, 7, 10])
def test_fit_goes_on_from_any_update_with_the_batches_that_were_left(make_recorder, step):
    # Three epochs of as many batches as the first pass over the data has.
    whole = [0, 1, 2, 3, 10, 11, 12, 20, 21, 22, 23, 24]
    task = make_recorder()
    task.fit(PAIRS, epochs=3, initial_epoch=step // 4, start_step=step, verbose=0)
    assert task.seen == whole[step:]


def test_epochs_may_be_shorter_than_the_data(make_recorder):
    task = make_recorder()
    task.fit(PAIRS, epochs=2, steps_per_epoch=3, start_step=1, verbose=0)
    assert task.seen == [1, 2, 3, 10, 11]


def test_the_rest_of_an_epoch_ends_like_an_epoch(make_recorder):
    ended = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ended.append(epoch))
    options = {"start_step": 6, "initial_epoch": 1, "verbose": 0}
    make_recorder().fit(PAIRS, epochs=3, callbacks=[callback], **options)
    assert ended == [1, 2]
    history = make_recorder().fit(PAIRS, epochs=2, callbacks=callback, **options)
    assert ended == [1, 2, 1]
    assert history.epoch == [1]
    assert history.history["tokens"] == [2.0]


def test_callbacks_see_all_epochs_in_the_rest_of_one(make_recorder):
    seen = []

    class See(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, self.params["epochs"]))

    options = {"start_step": 6, "initial_epoch": 1, "verbose": 0}
    make_recorder().fit(PAIRS, epochs=5, callbacks=[See()], **options)
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5)]


def test_training_that_was_stopped_in_the_rest_of_an_epoch_stays_stopped(make_recorder):
    task = make_recorder()

    def stop(*_):
        task.stop_training = True

    callback = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    task.fit(PAIRS, epochs=3, start_step=2, callbacks=[callback], verbose=0)
    assert task.seen == [2, 3]


def test_a_moving_average_of_the_weights_does_not_disturb_what_is_resumed(make_recorder):
    def sgd():
        return keras.optimizers.SGD(1e-4, use_ema=True, ema_momentum=0.9)

    whole, before, after = make_recorder(sgd()), make_recorder(sgd()), make_recorder(sgd())
    whole.fit(PAIRS, epochs=2, verbose=0)

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        before.fit(PAIRS, epochs=2, callbacks=[Stop()], verbose=0)
    after.optimizer.build(after.trainable_variables)
    for old, new in zip(before.optimizer.variables, after.optimizer.variables, strict=True):
        new.assign(old)
    after.set_weights(before.get_weights())
    after.fit(PAIRS, epochs=2, start_step=2, verbose=0)
    for ours, theirs in zip(after.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_only_raw_examples_can_be_taken_up_again(make_recorder, numbered):
    batches = numbered.epoch(0)
    with pytest.raises(ValueError, match="`start_step` must be 0 unless .* start_step=2"):
        make_recorder().fit(batches, start_step=2)


def test_a_dataset_of_batches_is_taken_as_keras_takes_it(make_recorder, numbered, recwarn):
    task = make_recorder()
    task.fit(numbered.epoch(2), epochs=2, verbose=0)
    assert task.seen == [20, 21, 22, 23, 24] * 2
    assert not [each for each in recwarn if "shuffle" in str(each.message)]


def test_arrays_are_taken_as_keras_takes_them(make_recorder):
    task = make_recorder()
    x = np.arange(6, dtype="float32")[:, None]
    task.fit(x, x, batch_size=1, verbose=0)
    assert sorted(task.seen) == list(range(6))
    assert task.evaluate(x, x, return_dict=True, verbose=0)["loss"] > 0
    assert task.predict(x, verbose=0).shape == (6, 1)


def test_what_a_subclass_must_say_is_asked_for(tmp_path):
    task = Task(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    for call in (
        lambda: task.batches(PAIRS),
        lambda: task("a"),
        lambda: task.to_files(tmp_path),
        lambda: Task.from_files(tmp_path, {}),
    ):
        with pytest.raises(NotImplementedError):
            call()


def test_subclasses_are_found_however_far():
    assert {Translation, Recorder} <= set(subclasses(Task))
    assert {Task, Translation} <= set(subclasses(keras.Model))


def test_a_directory_without_a_task_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must hold a saved task \(task.json\). Received"):
        Translation.from_pretrained(tmp_path)


class Reader(Task):
    """A network and a tokenizer."""

    def __init__(self, model, tokenizer, **kwargs):
        super().__init__(model, **kwargs)
        self.tokenizer = tokenizer


def test_a_task_starts_from_a_public_checkpoint(tmp_path, repository, monkeypatch):
    fixture = repository / "tests" / "checkpoints" / "fixtures" / "bert"
    shutil.copytree(fixture, tmp_path / "bert")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "今", "天"]
    (tmp_path / "bert" / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    task = Reader.from_pretrained(tmp_path / "bert", dtype="mixed_bfloat16")
    expected = checkpoints.load_model(fixture)
    assert task.model.config == expected.config
    assert task.model.dtype_policy.name == "mixed_bfloat16"
    for ours, theirs in zip(task.model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert task.tokenizer.tokenize(["今天"]).to_list() == [[5, 6]]

    asked = []
    monkeypatch.setattr(
        tflm.tasks.base.checkpoints,
        "from_pretrained",
        lambda *names: asked.append(names) or (expected, task.tokenizer),
    )
    assert Reader.from_pretrained("someone/bert", "v2").tokenizer is task.tokenizer
    assert asked == [("someone/bert", "v2")]
    with pytest.raises(FileNotFoundError, match="must hold a saved task"):
        Task.from_pretrained(tmp_path / "bert")  # which task it would be, nothing says


def test_a_directory_of_another_task_is_refused(tmp_path, saved_task):
    (tmp_path / "task.json").write_text(json.dumps({"task": "Parsing"}))
    with pytest.raises(ValueError, match="must hold a task of class Translation. .* 'Parsing' in"):
        Translation.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="must hold a task of class Recorder. .* 'Translation' in"):
        Recorder.from_pretrained(saved_task)


@pytest.mark.parametrize(
    "missing, message",
    [
        ("model.safetensors", "model.safetensors"),
        ("tokenizer/sentencepiece.model", "must hold one of sentencepiece.model, .*copy/tokenizer"),
    ],
)
def test_a_directory_that_lacks_a_file_is_refused(tmp_path, saved_task, missing, message):
    shutil.copytree(saved_task, tmp_path / "copy")
    (tmp_path / "copy" / missing).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        Translation.from_pretrained(tmp_path / "copy")


def test_a_directory_is_no_task_before_it_is_complete(tmp_path, make_task, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    task = make_task()
    task.save_pretrained(tmp_path)
    assert (tmp_path / "task.json").is_file()
    monkeypatch.setattr(tflm.tasks.base, "save_weights", fail)
    with pytest.raises(OSError, match="disk full"):
        task.save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="must hold a saved task"):
        Task.from_pretrained(tmp_path)


def test_the_base_class_reads_any_task(saved_task, trained_task):
    task = Task.from_pretrained(saved_task)
    assert type(task) is Translation
    for ours, theirs in zip(task.get_weights(), trained_task.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_task_that_is_not_for_serving_says_so(tmp_path):
    with pytest.raises(
        NotImplementedError, match="A Recorder is not for serving: give its `model`"
    ):
        Recorder(keras.Sequential()).served()


def test_a_signature_that_there_is_not_is_refused_before_the_work(make_task, tmp_path):
    with pytest.raises(
        ValueError, match="`signatures` must be 'all' or some of .*Received: 'embd'"
    ):
        make_task().export(tmp_path / "model", signatures=["embd"])
    assert not (tmp_path / "model").exists()


def test_all_signatures_can_be_asked_for_in_a_list_too(make_task):
    served = make_task().served()
    every = set(served.offer("all").signatures())
    assert set(served.offer(["all"]).signatures()) == every
    assert set(served.offer(["explain", "all"]).signatures()) == every
    assert set(served.offer(["explain"]).signatures()) == {"serving_default", "explain"} < every
