import dataclasses

import pytest

from tflm.eval import BitsPer, Likelihood, Perplexity, evaluate
from tflm.eval.catalog import metrics_named
from tflm.eval.file_evaluation import compare_paths, evaluate_files
from tflm.eval.metrics.perplexity import ScoredText
from tflm.eval.significance import paired_bootstrap

ROWS = {
    "sources": ["I like tea.", "He left.", "two men"],
    "first": ["我喜欢喝茶。", "他走了。", "两个男人"],
    "second": ["我爱喝茶。", "他离开了。", "两个人"],
    "hypotheses": ["我喜欢茶。", "他走了。", ""],
    "other": ["喝茶。", "他离开。", "两"],
}


@pytest.fixture
def paths(tmp_path):
    for name, rows in ROWS.items():
        (tmp_path / name).write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return {name: tmp_path / name for name in ROWS}


def test_a_file_is_scored_with_several_references_and_baselines(paths):
    report, metrics = evaluate_files(
        paths["hypotheses"],
        [paths["first"], paths["second"]],
        paths["sources"],
        target_language="zh",
        baseline=True,
    )
    assert [metric.name for metric in metrics] == ["bleu", "chrf", "ter"]
    assert "nrefs:2" in report["bleu"].signature and "tok:zh" in report["bleu"].signature
    expected = metrics[0].score(
        ROWS["hypotheses"], list(zip(ROWS["first"], ROWS["second"], strict=True))
    )
    assert report["bleu"].value == expected.value
    assert report.sources == tuple(ROWS["sources"])
    assert report.data == "first, second"
    assert [system.name for system in report.baselines] == ["copy_source"]


def test_metrics_are_chosen_by_name_and_labels_from_the_files(paths, tmp_path):
    (tmp_path / "labels").write_text("好\n坏\n好\n", encoding="utf-8")
    (tmp_path / "guesses").write_text("好\n坏\n中\n", encoding="utf-8")
    report, _ = evaluate_files(
        tmp_path / "guesses",
        [tmp_path / "labels"],
        target_language="",
        task="classification",
        metrics=["accuracy"],
        baseline=True,
    )
    assert report["accuracy"].value == pytest.approx(2 / 3)
    assert report.baselines[0].name == "majority_class"
    report, _ = evaluate_files(
        paths["hypotheses"], [paths["first"]], target_language="zh", metrics=["rouge", "chrf"]
    )
    names = ["rouge1", "rouge2", "rougeL", "rougeLsum", "chrf"]
    assert [score.name for score in report.scores] == names


def test_metrics_that_read_no_text_are_refused(paths):
    with pytest.raises(ValueError, match="must be one that reads texts: .*metric='perplexity'"):
        evaluate_files(
            paths["hypotheses"], [paths["first"]], target_language="zh", task="causal_lm"
        )
    both = [paths["hypotheses"], paths["other"]]
    with pytest.raises(ValueError, match="must be one that reads texts: .*'bits_per_byte'"):
        compare_paths(both, [paths["first"]], metrics=["bits_per_byte"])


def test_the_language_must_be_named_where_metrics_split_text_by_it(paths):
    report, _ = evaluate_files(
        paths["hypotheses"], [paths["first"]], target_language="", task="summarization"
    )
    assert "tok:unicode" in report["rouge1"].signature
    with pytest.raises(ValueError, match="`target_language` must be given, 'de' or 'zh' say"):
        evaluate_files(paths["hypotheses"], [paths["first"]], target_language="")


def test_baselines_that_read_sources_need_them(paths):
    with pytest.raises(ValueError, match="`sources` must be given for the baseline copy_source"):
        evaluate_files(paths["hypotheses"], [paths["first"]], target_language="zh", baseline=True)


def write_reports(paths, tmp_path):
    for name in ("hypotheses", "other"):
        report, _ = evaluate_files(
            paths[name], [paths["first"]], paths["sources"], target_language="zh", metrics=["chrf"]
        )
        report.write(tmp_path / "reports" / name)
    return tmp_path / "reports"


def test_reports_bring_their_references_language_and_metrics(paths, tmp_path):
    folder = write_reports(paths, tmp_path)
    found = compare_paths([folder / "hypotheses", folder / "other"], num_resamples=20)
    assert [system.name for system in found.systems] == ["hypotheses", "other"]
    assert [score.name for score in found.systems[0].scores] == ["chrf"]
    assert (found.target_language, found.data) == ("zh", "first")
    assert {source for _, source, _, _ in found.examples} <= set(ROWS["sources"])
    files = compare_paths(
        [paths["hypotheses"], paths["other"]],
        [paths["first"]],
        paths["sources"],
        target_language="zh",
        metrics=["chrf"],
        num_resamples=20,
    )
    assert files == found
    mixed = compare_paths([folder / "hypotheses", paths["other"]], num_resamples=20)
    assert mixed.comparisons == found.comparisons


def test_systems_of_one_name_are_told_apart_by_their_folders(paths, tmp_path):
    for run in ("a", "b"):
        report, _ = evaluate_files(
            paths["hypotheses"], [paths["first"]], target_language="zh", metrics=["chrf"]
        )
        report.write(tmp_path / run / "report")
    found = compare_paths([tmp_path / "a" / "report", tmp_path / "b" / "report"], num_resamples=9)
    assert [system.name for system in found.systems] == ["a/report", "b/report"]


def test_what_cannot_be_compared_is_refused(paths, tmp_path):
    folder = write_reports(paths, tmp_path)
    both = [paths["hypotheses"], paths["other"]]
    with pytest.raises(ValueError, match="`references` must be given for files of hypotheses"):
        compare_paths(both)
    with pytest.raises(ValueError, match="`target_language` must be given"):
        compare_paths(both, [paths["first"]])
    with pytest.raises(ValueError, match="`systems` must be different paths. Received: .*other, "):
        compare_paths([paths["other"], paths["other"]], [paths["first"]], target_language="zh")
    with pytest.raises(FileNotFoundError, match="`directory` must be a report, which `tflm eval"):
        compare_paths([tmp_path, folder / "other"])
    report, _ = evaluate_files(
        paths["other"], [paths["second"]], target_language="zh", metrics=["chrf"]
    )
    report.write(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="reports of the same data. Received: other and elsewhere"):
        compare_paths([folder / "other", tmp_path / "elsewhere"])
    (folder / "other" / "examples.jsonl").unlink()
    with pytest.raises(ValueError, match="given for a report without examples.jsonl.* other has"):
        compare_paths([folder / "other", folder / "hypotheses"])


TEXTS = ["a cat sat", "公园很大", "we go home now", "茶"]


def scored(path, totals, tokens=(3, 4, 5, 1), texts=TEXTS):
    """A language model's report: a log-probability a text."""
    found = [Likelihood(total, count) for total, count in zip(totals, tokens, strict=True)]
    metrics = [Perplexity(), BitsPer("character")]
    options = {"task": "causal_lm", "data": "four", "num_resamples": 9, "num_shown": 0}
    report = evaluate(found, None, texts, metrics, **options)
    likelihoods = tuple(map(ScoredText.of, found, texts))
    dataclasses.replace(report, hypotheses=(), references=(), likelihoods=likelihoods).write(path)
    return path, [found, texts]


def test_language_models_are_compared_text_by_text(tmp_path):
    first, ours = scored(tmp_path / "first", (-9.0, -8.0, -12.0, -3.0))
    second, theirs = scored(tmp_path / "second", (-6.0, -5.0, -9.0, -1.0))
    found = compare_paths([first, second], num_resamples=50)
    metrics = [Perplexity(), BitsPer("character")]
    expected = tuple(
        paired_bootstrap(
            metric, metric.statistics(*ours), metric.statistics(*theirs), num_resamples=50
        )
        for metric in metrics
    )
    assert found.comparisons == (expected,) and expected[0].difference < 0
    assert (found.num_examples, found.data, found.examples) == (4, "four", ())
    assert "Perplexity" in found.to_text() and "Where they differ" not in found.to_html()
    (only,) = compare_paths([first, second], metrics=["bits_per_byte"], num_resamples=9).comparisons
    assert [comparison.system.name for comparison in only] == ["bits_per_byte"]


def test_language_models_of_other_tokenizers_are_not_compared_by_tokens(tmp_path):
    first, _ = scored(tmp_path / "first", (-9.0, -8.0, -12.0, -3.0))
    second, _ = scored(tmp_path / "second", (-6.0, -5.0, -9.0, -1.0), tokens=(3, 2, 5, 1))
    found = compare_paths([first, second], num_resamples=9)
    assert [score.name for score in found.systems[0].scores] == ["bits_per_character"]
    with pytest.raises(ValueError, match="`metric` must be by the word, .*=perplexity of 13, 11 t"):
        compare_paths([first, second], metrics=["perplexity"])


def test_what_language_models_cannot_be_compared_by_is_told(paths, tmp_path):
    folder = tmp_path / "models"
    first, _ = scored(folder / "first", (-9.0, -8.0, -12.0, -3.0))
    other, _ = scored(folder / "other", (-6.0, -5.0, -9.0, -1.0), texts=[*TEXTS[:3], "茶水"])
    with pytest.raises(ValueError, match="of the same data. Received: first and other, whose text"):
        compare_paths([first, other])
    with pytest.raises(ValueError, match="must all be reports of language models.* hypotheses, wh"):
        compare_paths([first, paths["hypotheses"]])
    with pytest.raises(ValueError, match="must be one that reads likelihoods: .*metric='bleu'"):
        compare_paths([first, scored(folder / "third", (-1.0,) * 4)[0]], metrics=["bleu"])
    with pytest.raises(ValueError, match="`systems` must be at least two. Received: first"):
        compare_paths([first])
    whole = [scored(folder / name, (-7.0,), (9,), ["".join(TEXTS)])[0] for name in ("a", "b")]
    with pytest.raises(ValueError, match="reports of two texts or more: .* Received: 1 text"):
        compare_paths(whole)
    (first / "likelihoods.jsonl").unlink()
    with pytest.raises(ValueError, match="with likelihoods.jsonl, .* Received: first, which has"):
        compare_paths([first, other])


SETS = [("新",), ("好", "新"), (), ("好",)]
PREDICTED = [["新"], ["新"], ["好"], ["好"]]


def of_sets(path, predicted=PREDICTED):
    """A report of a classifier that gives any number of labels."""
    metrics = metrics_named(["accuracy", "f1_macro"], "", ("好", "新"), multi_label=True)
    report = evaluate(predicted, list("甲乙丙丁"), SETS, metrics, num_resamples=9)
    report.write(path)
    return report, metrics


def test_reports_of_several_labels_are_compared_as_sets(paths, tmp_path):
    first, metrics = of_sets(tmp_path / "ours" / "first")
    of_sets(tmp_path / "ours" / "second", SETS)
    found = compare_paths(
        [tmp_path / "ours" / "first", tmp_path / "ours" / "second"], num_resamples=9
    )
    scores = [{score.name: score.value for score in system.scores} for system in found.systems]
    assert scores[0] == {score.name: score.value for score in first.scores}
    assert scores[1] == {metric.name: metric.score(SETS, SETS).value for metric in metrics}
    assert scores[1]["accuracy"] == 1.0 > scores[0]["accuracy"]
    with pytest.raises(ValueError, match="`paths` must all be reports where .*Received: .*first"):
        compare_paths([tmp_path / "ours" / "second", paths["first"]])


def test_labels_are_sets_where_each_example_happens_to_have_one(tmp_path):
    for name, predicted in (("first", [["新"], ["好"]]), ("second", [["新", "好"], []])):
        metrics = metrics_named(["f1_macro"], "", ("好", "新"), multi_label=True)
        evaluate(predicted, None, [("新",), ("好",)], metrics, num_resamples=9).write(
            tmp_path / name
        )
    found = compare_paths([tmp_path / "first", tmp_path / "second"], num_resamples=9)
    assert [system.scores[0].value for system in found.systems] == [1.0, 0.5]


def test_the_hypotheses_of_a_report_score_as_they_did(tmp_path):
    texts = ["a \\ b c d e", "one\ntwo three four", "北\r京 \\n 公 园"]
    report = evaluate(texts, None, texts, metrics_named(["bleu", "chrf"], "en"))
    report.write(tmp_path / "report")
    lines = "".join(f"{' '.join(text.split())}\n" for text in texts)
    (tmp_path / "references").write_text(lines, encoding="utf-8")
    files = tmp_path / "report" / "hypotheses.txt", [tmp_path / "references"]
    found, metrics = evaluate_files(*files, target_language="en", metrics=["bleu"])
    assert found.hypotheses == tuple(texts)
    assert found["bleu"].value == metrics[0].score(texts, lines.splitlines()).value
    copy = tmp_path / "hypotheses.txt"  # no report's
    copy.write_bytes(files[0].read_bytes())
    assert evaluate_files(copy, files[1], target_language="en")[0].hypotheses[0] == r"a \\ b c d e"
