import pytest

from tflm.eval.baselines import baselines_for
from tflm.eval.confidence import bootstrap
from tflm.eval.evaluation import as_text, as_texts, check_metrics, evaluate, run_predict
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.calibration import BrierScore
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.classification import Accuracy
from tflm.eval.metrics.squad2 import Answer, Squad2F1
from tflm.eval.metrics.ter import TER

SOURCES = ["a dog runs in the park", "the cat is asleep", "two men", "I see nothing"]
REFERENCES = ["ein Hund läuft im Park", "die Katze schläft fest", ["zwei Männer", "zwei Mann"], "x"]
HYPOTHESES = ["ein Hund läuft im Park", "die Katze schläft fest heute", "zwei Männer", ""]


def test_a_function_is_given_all_sources_and_its_answers_are_scored():
    received = []

    def predict(sources):
        received.extend(sources)
        return HYPOTHESES

    report = evaluate(predict, SOURCES, REFERENCES, [BLEU("de"), TER("de")], num_resamples=0)
    assert received == SOURCES
    assert report["bleu"] == BLEU("de").score(HYPOTHESES, REFERENCES)
    assert report["ter"] == TER("de").score(HYPOTHESES, REFERENCES)
    assert report.hypotheses == tuple(HYPOTHESES)


def test_hypotheses_are_scored_as_the_function_that_makes_them():
    metrics = [CHRF()]
    from_list = evaluate(HYPOTHESES, SOURCES, REFERENCES, metrics, num_resamples=20)
    from_function = evaluate(lambda _: HYPOTHESES, SOURCES, REFERENCES, metrics, num_resamples=20)
    assert from_list == from_function


def test_intervals_are_those_of_the_bootstrap():
    metric = BLEU("de")
    options = {"num_resamples": 40, "level": 0.8, "seed": 3}
    report = evaluate(HYPOTHESES, SOURCES, REFERENCES, [metric], **options)
    expected = bootstrap(metric, metric.statistics(HYPOTHESES, REFERENCES), **options)
    assert report["bleu"].interval == expected


def test_the_report_knows_what_was_evaluated():
    report = evaluate(
        HYPOTHESES,
        SOURCES,
        REFERENCES,
        [CHRF()],
        task="translation",
        data="four sentences",
        settings={"num_beams": 5},
        num_resamples=10,
        num_shown=3,
    )
    assert (report.task, report.data, report.num_examples) == ("translation", "four sentences", 4)
    assert report.settings == {"num_beams": 5}
    assert len(report.examples) == 3
    assert report.examples[2].source == "two men"
    assert report.examples[2].references == ("zwei Männer", "zwei Mann")


def test_hypotheses_need_no_sources():
    report = evaluate(HYPOTHESES, None, REFERENCES, [CHRF()], num_resamples=0, num_shown=9)
    assert [example.source for example in report.examples] == [""] * 4


def test_a_function_needs_sources():
    with pytest.raises(
        ValueError, match="`sources` must be given when predictions come from a fun"
    ):
        evaluate(lambda sources: sources, None, REFERENCES, [CHRF()])


def test_different_numbers_of_examples_are_refused():
    with pytest.raises(ValueError, match="each of `sources`. Received: 3 sources, 4 references"):
        evaluate(HYPOTHESES, SOURCES[:3], REFERENCES, [CHRF()])
    with pytest.raises(ValueError, match="Received: 2 hypotheses, 4 references"):
        evaluate(HYPOTHESES[:2], SOURCES, REFERENCES, [CHRF()])


def test_no_examples_are_refused():
    with pytest.raises(ValueError, match="`references` must hold at least one string"):
        evaluate([], [], [], [CHRF()])


@pytest.mark.parametrize("answer", ["one string", None])
def test_predict_must_return_a_list(answer):
    with pytest.raises(TypeError, match="`predict` must return a list with one prediction for e"):
        run_predict(lambda sources: answer, SOURCES)


def test_predict_must_return_one_prediction_for_each_source():
    with pytest.raises(ValueError, match="prediction for each source. Received: 1 predictions for"):
        run_predict(lambda sources: ["one"], SOURCES)


def test_what_a_prediction_may_be_is_for_the_metric_to_say():
    with pytest.raises(TypeError, match=r"list of strings. Received: hypotheses\[1\]=b'zwei'"):
        evaluate(lambda sources: ["eins", b"zwei"], SOURCES[:2], ["eins", "zwei"], [CHRF()])
    labels = ["负面", "正面"]
    report = evaluate(
        lambda sources: [[0.2, 0.8], [0.7, 0.3]],
        SOURCES[:2],
        ["正面", "正面"],
        [Accuracy(labels), BrierScore(labels)],
        num_resamples=5,
    )
    assert report["accuracy"].value == 0.5
    assert report["brier"].value == pytest.approx((0.04 + 0.49) / 2)


def test_predict_cannot_change_the_sources():
    sources = list(SOURCES)
    run_predict(lambda given: [given.pop() for _ in range(4)], sources)
    assert sources == SOURCES


def test_metrics_must_have_different_names():
    with pytest.raises(
        ValueError, match="`metrics` must have different names.* Received: bleu more"
    ):
        check_metrics([BLEU("zh"), CHRF(), BLEU("zh", tokenize="char")])
    both = check_metrics([BLEU("zh"), BLEU("zh", tokenize="char", name="bleu_char")])
    assert [metric.name for metric in both] == ["bleu", "bleu_char"]


def test_metrics_must_be_metrics():
    with pytest.raises(
        TypeError, match="`metrics` must be a list of metrics.* Received: 'bleu' of"
    ):
        check_metrics(["bleu"])


def test_at_least_one_metric_is_needed():
    with pytest.raises(
        ValueError, match="`metrics` must hold at least one metric. Received: an em"
    ):
        check_metrics([])


def test_metrics_read_labels_and_answers_as_they_are():
    labels = ["负面", "正面"]
    report = evaluate(["正面", "负面"], None, ["正面", "正面"], [Accuracy(labels)], num_resamples=9)
    assert report["accuracy"].value == 0.5
    assert report.references == (("正面",), ("正面",))
    answers = [Answer("Bern", 0.2), Answer("", 0.9)]
    report = evaluate(answers, None, [["Bern", "in Bern"], []], [Squad2F1()], num_resamples=9)
    assert report["f1"].value == 100
    assert report.hypotheses == ("Bern", "")
    assert report.references == (("Bern", "in Bern"), ())
    assert report.given_references() == [("Bern", "in Bern"), ()]


def test_predictions_are_printed_as_text():
    assert as_text("text") == "text"
    assert as_text({"b", "a"}) == "a, b"
    assert as_text(["b", "a"]) == "b, a"
    assert as_text(Answer("Bern", 0.5)) == "Bern"
    assert as_texts({"only"}) == ("only",)


def test_baselines_need_the_sources_they_read():
    with pytest.raises(ValueError, match="`sources` must be given for the baseline copy_source"):
        evaluate(HYPOTHESES, None, REFERENCES, [CHRF()], baselines=baselines_for("translation"))
