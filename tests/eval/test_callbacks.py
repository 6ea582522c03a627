import csv
import io
import sys

import keras
import numpy as np
import pytest

from tflm.eval.callbacks import GenerateAndScore
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.ter import TER

SOURCES = ["a dog runs", "where is the park", "it is late"]
REFERENCES = ["ein Hund läuft", ["公园在哪里", "公园在哪"], "es ist spät"]
GOOD = ["ein Hund läuft", "公园在哪里", "es ist spät"]
FAIR = ["ein Hund läuft", "公园", "es war spät"]
POOR = ["ein", "", "es"]


class Script:
    """A `predict` that answers by a list of answers and counts its calls."""

    def __init__(self, *answers):
        self.answers = answers
        self.num_calls = 0

    def __call__(self, sources):
        self.num_calls += 1
        return self.answers[self.num_calls - 1]


def fit(callbacks, epochs, **kwargs):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse", jit_compile=False)
    inputs, outputs = np.ones((4, 3), "float32"), np.zeros((4, 2), "float32")
    return model.fit(
        inputs, outputs, epochs=epochs, callbacks=callbacks, verbose=0, **kwargs
    ).history


def value(hypotheses):
    return CHRF().score(hypotheses, REFERENCES).value


def score(predict, **kwargs):
    return GenerateAndScore(predict, SOURCES, REFERENCES, [CHRF()], **{"num_shown": 0, **kwargs})


def test_scores_are_in_the_history_under_their_names():
    metrics = [BLEU("de"), CHRF(), TER("de")]
    callback = GenerateAndScore(Script(POOR, GOOD), SOURCES, REFERENCES, metrics, num_shown=0)
    history = fit([callback], epochs=2)
    assert history["val_chrf"] == [value(POOR), value(GOOD)]
    assert history["val_bleu"][1] == pytest.approx(BLEU("de").score(GOOD, REFERENCES).value)
    assert history["val_ter"][1] == 0
    assert len(history["loss"]) == 2


def test_the_prefix_is_an_argument():
    assert fit([score(Script(FAIR), prefix="test_")], epochs=1)["test_chrf"] == [value(FAIR)]


def test_a_model_can_predict_inside_the_callback():
    vocabulary = ["ein", "Hund"]

    def predict(sources):
        inputs = np.ones((len(sources), 3), "float32")
        chosen = callback.model.predict(inputs, verbose=0).argmax(-1)
        return [vocabulary[index] for index in chosen]

    callback = score(predict)
    assert len(fit([callback], epochs=2)["val_chrf"]) == 2
    assert set(callback.hypotheses) <= set(vocabulary)


def test_other_epochs_repeat_the_last_scores():
    predict = Script(POOR, FAIR, GOOD, FAIR)
    history = fit([score(predict, every=2)], epochs=5)
    # Scored in the first epoch, in epochs 2 and 4, and in the last.
    expected = [value(POOR), value(FAIR), value(FAIR), value(GOOD), value(FAIR)]
    assert history["val_chrf"] == expected
    assert predict.num_calls == 4


def test_a_resumed_fit_scores_in_its_first_epoch():
    predict = Script(POOR, GOOD)
    history = fit([score(predict, every=10)], epochs=5, initial_epoch=2)
    assert history["val_chrf"] == [value(POOR), value(POOR), value(GOOD)]


def test_a_second_fit_forgets_the_first():
    callback = score(Script(GOOD, POOR), every=10)
    fit([callback], epochs=1)
    assert fit([callback], epochs=1)["val_chrf"] == [value(POOR)]


def test_model_checkpoint_keeps_the_best_score_only(tmp_path):
    path = str(tmp_path / "{epoch:d}-{val_chrf:.0f}.weights.h5")
    checkpoint = keras.callbacks.ModelCheckpoint(
        path, monitor="val_chrf", mode="max", save_best_only=True, save_weights_only=True
    )
    # Epochs 1 to 6 have poor, fair, fair (repeated), poor, poor (repeated), good.
    fit([score(Script(POOR, FAIR, POOR, GOOD), every=2), checkpoint], epochs=6)
    saved = sorted(path.name.split("-")[0] for path in tmp_path.iterdir())
    assert saved == ["1", "2", "6"]
    assert checkpoint.best == value(GOOD)


def test_early_stopping_sees_a_repeated_score_as_no_improvement():
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_chrf", mode="max", patience=3, restore_best_weights=True
    )
    predict = Script(POOR, GOOD, FAIR, FAIR)
    history = fit([score(predict, every=2), stopping], epochs=20)
    assert len(history["val_chrf"]) == 5
    assert stopping.best_epoch == 1


def test_reduce_lr_on_plateau_and_csv_logger_see_the_scores(tmp_path):
    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor="val_chrf", mode="max", factor=0.5, patience=2
    )
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    history = fit([score(Script(GOOD, FAIR, FAIR)), plateau, log], epochs=3)
    assert history["learning_rate"] == pytest.approx([0.01, 0.01, 0.01])
    assert float(plateau.model.optimizer.learning_rate) == pytest.approx(0.005)
    with open(tmp_path / "log.csv", encoding="utf-8") as file:
        logged = [float(row["val_chrf"]) for row in csv.DictReader(file)]
    assert logged == history["val_chrf"]


def test_examples_are_printed_in_any_script(capsys):
    fit([score(Script(FAIR), num_shown=2)], epochs=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"Epoch 1: val_chrf {value(FAIR):.2f} on 3 examples"
    assert "  source      where is the park" in lines
    assert "  hypothesis  公园" in lines
    assert "  reference   公园在哪里" in lines
    assert "  reference   公园在哪" in lines
    assert not [line for line in lines if "it is late" in line]


def test_nothing_is_printed_when_no_examples_are_wanted(capsys):
    fit([score(Script(FAIR), num_shown=0)], epochs=1)
    assert capsys.readouterr().out == ""


def test_a_terminal_without_chinese_does_not_end_the_training(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    history = fit([score(Script(FAIR), num_shown=2)], epochs=1)
    terminal.flush()
    printed = terminal.buffer.getvalue().decode("ascii")
    assert "\\u516c\\u56ed" in printed
    assert history["val_chrf"] == [value(FAIR)]


def test_the_last_scores_and_hypotheses_stay_readable():
    callback = score(Script(POOR, FAIR))
    fit([callback], epochs=2)
    assert callback.hypotheses == FAIR
    assert callback.scores["chrf"] == CHRF().score(FAIR, REFERENCES)


def test_an_epoch_without_logs_still_scores():
    callback = score(Script(FAIR))
    callback.on_epoch_end(0)
    assert callback.scores["chrf"].value == value(FAIR)


@pytest.mark.parametrize(
    "sources, references, message",
    [
        ([], [], "`sources` must hold at least one string. Received: an empty list"),
        (["a", "b"], ["a"], "each of `sources`. Received: 2 sources, 1 references"),
        (["a", "b"], ["a", []], r"`references\[1\]` must hold at least one string"),
    ],
)
def test_a_bad_sample_is_refused_before_training(sources, references, message):
    with pytest.raises(ValueError, match=message):
        GenerateAndScore(Script(), sources, references, [CHRF()])


def test_a_wrong_number_of_predictions_is_refused():
    with pytest.raises(ValueError, match="`predict` must .* Received: 2 strings for 3 sources"):
        fit([score(Script(["a", "b"]))], epochs=1)


def test_no_metrics_are_refused():
    with pytest.raises(ValueError, match="`metrics` must hold at least one metric"):
        GenerateAndScore(Script(), SOURCES, REFERENCES, [])


def test_every_must_be_positive():
    with pytest.raises(ValueError, match="`every` must be 1 or more. Received: every=0"):
        score(Script(), every=0)


def test_num_shown_must_not_be_negative():
    with pytest.raises(ValueError, match="`num_shown` must be 0 or more. Received: num_shown=-1"):
        score(Script(), num_shown=-1)
