import pytest

from tflm.eval.file_evaluation import compare_paths, evaluate_files

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
