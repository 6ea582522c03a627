import csv
import io
import sys

import keras
import numpy as np
import pytest

from tflm.eval.callbacks import GenerateAndScore
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.calibration import AUROC, BrierScore
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.classification import Accuracy
from tflm.eval.metrics.lengths import LengthRatio
from tflm.eval.metrics.precision_recall import F1
from tflm.eval.metrics.squad2 import Answer, Squad2F1
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
    model.compile("sgd", "mse", run_eagerly=True)  # a graph for each would take most of the time
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


def test_a_sample_is_scored_outside_training_too():
    callback = score(Script(FAIR), prefix="test_")
    assert callback.score() == {"test_chrf": value(FAIR)}
    assert callback.hypotheses == FAIR and callback.best is None


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


def test_a_fit_that_follows_another_goes_on_with_its_scores():
    callback = score(Script(POOR, GOOD, FAIR, POOR), every=3)
    assert fit([callback], epochs=1)["val_chrf"] == [value(POOR)]
    # Epoch 3 is due, and epoch 5 the last.
    expected = [value(POOR), value(GOOD), value(GOOD), value(FAIR)]
    assert fit([callback], epochs=5, initial_epoch=1)["val_chrf"] == expected
    # Epoch 4 follows another epoch than the last one.
    assert fit([callback], epochs=4, initial_epoch=3)["val_chrf"] == [value(POOR)]


def test_an_interrupted_fit_goes_on_with_the_scores_in_its_logs():
    callback = score(Script(GOOD, FAIR), every=4)
    callback.go_on(2, {"loss": 3.5, "val_chrf": 25.25})
    assert fit([callback], epochs=5, initial_epoch=2)["val_chrf"] == [
        25.25,
        value(GOOD),
        value(FAIR),
    ]
    callback = score(Script(FAIR, GOOD), every=4)
    callback.go_on(2, {"loss": 3.5})
    assert fit([callback], epochs=4, initial_epoch=2)["val_chrf"] == [value(FAIR), value(GOOD)]


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


def test_five_keras_callbacks_see_val_bleu(tmp_path):
    pytest.importorskip("tensorboard")
    # BLEU rises, then falls twice.
    reference = "ein Hund läuft durch den grünen Park und bellt"
    answers = [reference.replace("bellt", "x"), reference, "ein Hund läuft weg", "ein Hund ist da"]
    scores = GenerateAndScore(
        Script(*([answer] for answer in answers)),
        ["a dog runs through the green park and barks"],
        [reference],
        [BLEU("de")],
        num_shown=0,
    )
    watched = {"monitor": scores.monitor, "mode": scores.mode}
    assert watched == {"monitor": "val_bleu", "mode": "max"}
    path = str(tmp_path / "{epoch:d}-{val_bleu:.0f}.weights.h5")
    callbacks = {
        "checkpoint": keras.callbacks.ModelCheckpoint(
            path, save_best_only=True, save_weights_only=True, **watched
        ),
        "stop": keras.callbacks.EarlyStopping(patience=2, **watched),
        "plateau": keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1, **watched),
        "board": keras.callbacks.TensorBoard(str(tmp_path / "board"), write_graph=False),
        "log": keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
    }
    history = fit([scores, *callbacks.values()], epochs=9)

    expected = [BLEU("de").score([answer], [reference]).value for answer in answers]
    assert 100 == pytest.approx(expected[1]) and expected[1] > expected[0] > expected[2] > 0
    assert history["val_bleu"] == expected
    assert callbacks["stop"].stopped_epoch == 3
    assert float(callbacks["plateau"].model.optimizer.learning_rate) == pytest.approx(0.0025)
    saved = sorted(path.name.split("-")[0] for path in tmp_path.glob("*.weights.h5"))
    assert saved == ["1", "2"]
    with open(tmp_path / "log.csv", encoding="utf-8") as file:
        assert [float(row["val_bleu"]) for row in csv.DictReader(file)] == expected
    assert board_values(tmp_path / "board", "epoch_bleu") == pytest.approx(expected)


def board_values(directory, tag):
    """The values of a scalar that TensorBoard's files hold, in the order of their epochs."""
    import tensorflow as tf

    found = {}
    for path in directory.rglob("events.out.tfevents.*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.tag == tag:
                    found[event.step] = float(tf.make_ndarray(value.tensor))
    return [value for _, value in sorted(found.items())]


def test_decoding_the_sample_is_compiled_once():
    import tensorflow as tf

    traces = []

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def upper(texts):
        traces.append(texts)
        return tf.strings.upper(texts)

    callback = score(lambda texts: [t.decode() for t in upper(tf.constant(texts)).numpy()])
    assert len(fit([callback], epochs=4)["val_chrf"]) == 4
    assert callback.hypotheses[0] == "A DOG RUNS"
    assert len(traces) == 1


def test_the_best_score_is_exported():
    exported = []
    callback = score(
        Script(FAIR, POOR, GOOD, GOOD), export_on_best=lambda *args: exported.append(args)
    )
    fit([callback], epochs=4)
    assert [epoch for epoch, _ in exported] == [0, 2]
    assert [best.value for _, best in exported] == [value(FAIR), value(GOOD)]
    assert (callback.best, callback.best_epoch) == (exported[-1][1], 2)


def test_what_is_best_is_told_by_the_watched_metric(capsys):
    exported = []
    callback = GenerateAndScore(
        Script(GOOD, POOR, GOOD),
        SOURCES,
        REFERENCES,
        [CHRF(), TER("de")],
        num_shown=1,
        watch="ter",
        initial_value_threshold=30.0,
        export_on_best=lambda epoch, best: exported.append((epoch, best.name)),
    )
    assert (callback.monitor, callback.mode) == ("val_ter", "min")
    fit([callback], epochs=3)
    assert exported == [(0, "ter")]
    lines = capsys.readouterr().out.splitlines()
    assert "Exported: val_ter 0.00 is the best so far (lower is better)" in lines


def test_what_has_no_better_direction_cannot_be_best():
    both = GenerateAndScore(
        Script(FAIR), SOURCES, REFERENCES, [LengthRatio(), TER("de")], num_shown=0
    )
    assert (both.monitor, both.mode) == ("val_ter", "min")
    alone = GenerateAndScore(Script(FAIR), SOURCES, REFERENCES, [LengthRatio()], num_shown=0)
    assert (alone.monitor, alone.mode) == (None, None)
    assert len(fit([alone], epochs=1)["val_length_ratio"]) == 1
    assert alone.best is None
    with pytest.raises(ValueError, match="`watch` must be one of chrf. .*watch='length_ratio'"):
        GenerateAndScore(
            Script(), SOURCES, REFERENCES, [CHRF(), LengthRatio()], watch="length_ratio"
        )
    with pytest.raises(ValueError, match="must be one of no name, for of none is one direction"):
        GenerateAndScore(Script(), SOURCES, REFERENCES, [LengthRatio()], watch="length_ratio")
    with pytest.raises(ValueError, match="`export_on_best` needs a metric .*: metrics=length_ra"):
        GenerateAndScore(Script(), SOURCES, REFERENCES, [LengthRatio()], export_on_best=print)


def test_repeated_scores_are_not_exported_again():
    exported = []
    callback = score(
        Script(FAIR, FAIR, GOOD), every=3, export_on_best=lambda epoch, _: exported.append(epoch)
    )
    fit([callback], epochs=6)
    assert exported == [0, 5]


def test_a_second_fit_must_beat_the_first_and_a_given_value():
    exported = []

    def export(epoch, best):
        exported.append(best.value)

    callback = score(Script(FAIR, FAIR, GOOD), export_on_best=export)
    fit([callback], epochs=1)
    fit([callback], epochs=2)
    assert exported == [value(FAIR), value(GOOD)]
    resumed = score(Script(FAIR, GOOD), export_on_best=export, initial_value_threshold=value(FAIR))
    fit([resumed], epochs=2)
    assert exported == [value(FAIR), value(GOOD), value(GOOD)]


def test_a_failed_export_ends_training_and_is_not_the_best():
    def export(epoch, best):
        raise OSError("the disk is full")

    callback = score(Script(FAIR), export_on_best=export)
    with pytest.raises(OSError, match="the disk is full"):
        fit([callback], epochs=2)
    assert callback.best is None


def test_an_undefined_score_is_never_the_best():
    # The sample has one label only, so the curve is not defined.
    callback = GenerateAndScore(
        lambda texts: [[0.2, 0.8]], ["好看"], ["正面"], [AUROC(["负面", "正面"])], num_shown=0
    )
    assert np.isnan(fit([callback], epochs=1)["val_auroc"][0])
    assert callback.best is None


def test_a_classifier_is_scored_by_labels_and_probabilities(capsys):
    pytest.importorskip("sklearn")
    labels = ["负面", "正面"]
    metrics = [Accuracy(labels), F1(labels), BrierScore(labels), AUROC(labels)]
    callback = GenerateAndScore(
        lambda texts: np.array([[0.25, 0.75], [0.9, 0.1]]),
        ["好看", "不好看"],
        ["正面", "负面"],
        metrics,
    )
    history = fit([callback], epochs=1)
    assert history["val_accuracy"] == history["val_f1_macro"] == history["val_auroc"] == [1]
    assert history["val_brier"] == pytest.approx([(0.0625 + 0.01) / 2])
    printed = capsys.readouterr().out
    assert "val_accuracy 1.0000" in printed
    assert "  hypothesis  [0.25, 0.75]" in printed


def test_answers_to_questions_are_scored(capsys):
    sources = [("who?", "Ann ran"), {"question": "when?", "context": "Ann ran"}]
    callback = GenerateAndScore(
        lambda pairs: [Answer("Ann", 0.1), Answer("", 0.9)], sources, [["Ann"], []], [Squad2F1()]
    )
    assert fit([callback], epochs=1)["val_f1"] == [100]
    lines = capsys.readouterr().out.splitlines()
    assert "  source      who? | Ann ran" in lines
    assert "  source      when? | Ann ran" in lines
    assert "  hypothesis  Ann" in lines


def test_sets_of_labels_are_shown_sorted(capsys):
    labels = ["sport", "politics", "music"]
    callback = GenerateAndScore(
        lambda texts: [{"sport", "music"}],
        ["text"],
        [{"sport", "music"}],
        [F1(labels, multi_label=True)],
    )
    assert fit([callback], epochs=1)["val_f1_macro"] == pytest.approx([2 / 3])
    assert "  reference   music" in capsys.readouterr().out


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
        ([], ["a"], "`sources` must hold at least one string. Received: an empty list"),
        (["a", "b"], ["a"], "each of `sources`. Received: 2 sources, 1 references"),
        (["a", "b"], ["a", []], r"`references\[1\]` must hold at least one string"),
    ],
)
def test_a_bad_sample_is_refused_before_training(sources, references, message):
    with pytest.raises(ValueError, match=message):
        GenerateAndScore(Script(), sources, references, [CHRF()])


def test_a_wrong_number_of_predictions_is_refused():
    with pytest.raises(ValueError, match="`predict` must .* Received: 2 predictions for 3 sources"):
        fit([score(Script(["a", "b"]))], epochs=1)


def test_a_prediction_that_is_no_list_is_refused():
    with pytest.raises(
        TypeError, match="a list with one prediction for each source. Received: str"
    ):
        fit([score(Script("abc"))], epochs=1)


def test_a_prediction_that_is_no_text_is_refused_by_the_metric():
    with pytest.raises(
        TypeError, match=r"`hypotheses` must be a list of strings.*hypotheses\[1\]=3"
    ):
        fit([score(Script(["a", 3, "b"]))], epochs=1)


def test_an_unknown_watched_metric_lists_the_known_ones():
    with pytest.raises(ValueError, match="`watch` must be one of chrf. Received: watch='bleu'"):
        score(Script(), watch="bleu")


def test_no_metrics_are_refused():
    with pytest.raises(ValueError, match="`metrics` must hold at least one metric"):
        GenerateAndScore(Script(), SOURCES, REFERENCES, [])


def test_every_must_be_positive():
    with pytest.raises(ValueError, match="`every` must be 1 or more. Received: every=0"):
        score(Script(), every=0)


def test_num_shown_must_not_be_negative():
    with pytest.raises(ValueError, match="`num_shown` must be 0 or more. Received: num_shown=-1"):
        score(Script(), num_shown=-1)
