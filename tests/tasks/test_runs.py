import io
import pathlib

import pytest
from rich.console import Console

from tflm.eval.catalog import task_names
from tflm.tasks.causal_lm_run import CausalLMRun
from tflm.tasks.runs import find_run, open_run, parse_setting, run_classes, scored_by
from tflm.tasks.training_run import TrainingRun
from tflm.tasks.translation_run import TranslationRun

CONSOLE = Console(file=io.StringIO())


def test_a_run_is_found_by_its_task_or_by_its_recipe():
    assert find_run("translation") == (TranslationRun, None)
    assert find_run("causal_lm") == (CausalLMRun, None)
    for task in ("", "causal_lm"):
        cls, recipe = find_run(task, "tinyshakespeare")
        assert cls is CausalLMRun
        assert recipe.name == "tinyshakespeare"


def test_no_two_tasks_have_a_recipe_of_the_same_name():
    names = [name for cls in run_classes().values() for name in cls.RECIPES]
    assert len(names) == len(set(names)) > 4


@pytest.mark.parametrize("task", task_names())
def test_every_task_of_the_catalog_is_scored_on_the_data_of_a_run(task):
    cls = scored_by(task)
    assert task in (cls.TASK, *cls.SCORED_AS)

    def is_its_own(name):
        return getattr(cls, name).__func__ is not getattr(TrainingRun, name).__func__

    assert is_its_own("scored_data")
    assert is_its_own("open_file") or is_its_own("open_split")


def test_an_unknown_task_is_not_scored():
    with pytest.raises(ValueError, match="`task` must be one of causal_lm, .*task='masked_lm'"):
        scored_by("masked_lm")


@pytest.mark.parametrize("cls", run_classes().values(), ids=run_classes())
def test_every_run_has_settings_that_can_be_set_and_kept(cls):
    settings = vars(cls.Settings())
    assert {"preset", "epochs", "average_last", "seed", "dtype"} <= settings.keys()
    for name, value in settings.items():
        assert parse_setting(cls, f"{name}={value}") == (name, value)
        assert isinstance(value, bool | int | float | str)


def test_settings_have_the_types_of_their_defaults():
    def setting(text):
        return parse_setting(TranslationRun, text)

    assert setting("dropout=0.25") == ("dropout", 0.25)
    assert setting("epochs=7") == ("epochs", 7)
    assert setting("joint=False") == ("joint", False)
    assert setting("algorithm=unigram") == ("algorithm", "unigram")
    with pytest.raises(ValueError, match="joint a value of type bool. Received: 'joint=maybe'"):
        setting("joint=maybe")
    with pytest.raises(ValueError, match=r"`set` must name one of \['accumulate'.*'foo=1'"):
        setting("foo=1")


@pytest.mark.parametrize(
    ("task", "recipe", "message"),
    [
        ("", "", r"`task` must be one of \['causal_lm'.*\], or a recipe .* Received: neither"),
        ("parsing", "", r"`task` must be one of \['causal_lm'.*Received: task='parsing'"),
        ("", "foo", r"`recipe` must be one of \[.*'tatoeba_zh_en'.*Received: recipe='foo'"),
        (
            "translation",
            "tinyshakespeare",
            "`task` must be the recipe's, causal_lm, .* Received: task='translation'",
        ),
    ],
)
def test_what_does_not_exist_is_refused(task, recipe, message):
    with pytest.raises(ValueError, match=message):
        find_run(task, recipe)


def test_a_run_reads_a_directory_and_changes_settings(tmp_path):
    (tmp_path / "train.txt").write_text("One.\n\n公园很大。\n")
    run = open_run(
        tmp_path, tmp_path / "out", "causal_lm", changes={"seed": 7, "epochs": 2}, console=CONSOLE
    )
    assert run.texts("train") == ["One.", "公园很大。"]
    assert (run.settings.seed, run.settings.epochs) == (7, 2)


def test_changes_that_do_not_suit_the_task_are_refused(tmp_path):
    for task, recipe, changes, message in (
        (
            "causal_lm",
            "",
            {"languages": "en-de"},
            "`languages` is no setting of the task causal_lm",
        ),
        ("", "multi30k_en_de", {"languages": "de-en"}, "`languages` must be left to the recipe"),
    ):
        with pytest.raises(ValueError, match=message):
            open_run(
                tmp_path, tmp_path / "out", task, recipe=recipe, changes=changes, console=CONSOLE
            )
    assert not list(tmp_path.iterdir())


ANSWERS = {"text": ["很大"], "answer_start": [2]}


@pytest.mark.parametrize(
    "task, settings, columns, expected",
    [
        ("translation", {}, {"source": ["tea"], "target": ["茶"]}, ("tea", "茶")),
        (
            "translation",
            {"languages": "zh-en"},
            {"translation": [{"en": "tea", "zh": "茶"}]},
            ("茶", "tea"),
        ),
        (
            "summarization",
            {"document": "a"},
            {"a": ["茶很好"], "summary": ["茶"]},
            ("茶很好", "茶"),
        ),
        ("sentiment_analysis", {}, {"text": ["好茶"], "label": ["pos"]}, ("好茶", "pos")),
        (
            "question_answering",
            {},
            {"question": ["大吗？"], "context": ["公园很大。"], "answers": [ANSWERS]},
            ("大吗？", "公园很大。"),
        ),
        ("causal_lm", {}, {"text": ["公园很大。"]}, ("公园很大。",)),
    ],
)
def test_a_hugging_face_data_set_is_read_by_the_columns_of_the_task(
    task, settings, columns, expected
):
    datasets = pytest.importorskip("datasets", reason="no datasets here")
    cls = run_classes()[task]
    assert list(cls.open_dataset(datasets.Dataset.from_dict(columns), settings)) == [expected]


def test_a_run_on_a_hugging_face_data_set_has_its_splits(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="no datasets here")
    rows = datasets.Dataset.from_dict({"dialogue": ["a: 茶", "b: tea"], "summary": ["茶", "tea"]})
    found = datasets.DatasetDict(train=rows, validation=rows.select([0]))
    monkeypatch.setattr(datasets, "load_dataset", lambda name, config: {"chat": found}[name])
    run = open_run(
        pathlib.Path("hf:chat"),
        tmp_path,
        "summarization",
        changes={"document": "dialogue"},
        console=CONSOLE,
    )
    assert {split: list(pairs) for split, pairs in run.data.items()} == {
        "train": [("a: 茶", "茶"), ("b: tea", "tea")],
        "valid": [("a: 茶", "茶")],
    }
