import gzip
import json

import pytest

from tflm.data import BadLine, BadLineReport
from tflm.tasks.plain_text_run import find_texts
from tflm.tasks.sources import (
    EveryNth,
    dataset_split,
    dataset_splits,
    directory_data,
    find_split,
    find_table,
    language_pair,
    open_pairs,
    open_split,
    recipe_data,
)
from tflm.tasks.translation_recipes import RECIPES, TranslationRecipe

PAIRS = [(f"a{i}", f"b{i}") for i in range(1, 4)]
LANGUAGES = ("en", "de")


def write(path, lines):
    opened = gzip.open(path, "wt") if path.suffix == ".gz" else open(path, "w")
    with opened as file:
        file.writelines(f"{line}\n" for line in lines)


def write_split(folder, name, kind):
    end = ".gz" if kind.endswith(".gz") else ""
    if kind.startswith("parallel"):
        for side, language in enumerate(LANGUAGES):
            write(folder / f"{name}.{language}{end}", [pair[side] for pair in PAIRS])
    elif kind.startswith("tsv"):
        write(folder / f"{name}.tsv{end}", ["\t".join(pair) for pair in PAIRS])
    else:
        rows = [json.dumps({"source": source, "target": target}) for source, target in PAIRS]
        write(folder / f"{name}.jsonl{end}", rows)


@pytest.fixture
def raising():
    return {"on_bad": "raise", "report": BadLineReport()}


def test_every_nth_row_and_the_others_are_all_rows():
    rows = [(str(i),) for i in range(1, 12)]
    picked, others = EveryNth(rows, 3), EveryNth(rows, 3, others=True)
    assert list(picked) == [("3",), ("6",), ("9",)]
    assert sorted([*picked, *others]) == sorted(rows)


@pytest.mark.parametrize("kind", ["parallel", "parallel.gz", "tsv", "tsv.gz", "jsonl", "jsonl.gz"])
def test_a_directory_of_splits_is_read_in_every_form(tmp_path, raising, kind):
    for name in ("train", "val", "test"):
        write_split(tmp_path, name, kind)
    data = directory_data(tmp_path, LANGUAGES, **raising)
    assert list(data) == ["train", "valid", "test"]
    assert all(list(rows) == PAIRS for rows in data.values())
    assert list(open_split(tmp_path, "val", LANGUAGES, **raising)) == PAIRS


@pytest.mark.parametrize("name", ["valid", "val", "dev"])
def test_the_validation_split_has_three_names(tmp_path, raising, name):
    write_split(tmp_path, "train", "tsv")
    write_split(tmp_path, name, "jsonl")
    assert list(directory_data(tmp_path, LANGUAGES, **raising)) == ["train", "valid"]
    assert list(open_split(tmp_path, "valid", LANGUAGES, **raising)) == PAIRS
    (tmp_path / f"{name}.txt").write_text("a text\n")
    assert find_texts(tmp_path, "valid") == tmp_path / f"{name}.txt"
    assert find_texts(tmp_path, "test") is None


def test_a_directory_without_training_text_says_what_is_looked_for(tmp_path, raising):
    write_split(tmp_path, "test", "tsv")
    with pytest.raises(
        FileNotFoundError, match="`data` must hold train.en and train.de, train.tsv"
    ):
        directory_data(tmp_path, LANGUAGES, **raising)
    assert find_split(tmp_path, "train", LANGUAGES, **raising) is None


def test_a_split_that_is_missing_is_named(tmp_path, raising):
    with pytest.raises(FileNotFoundError, match="`data` must hold test.en and test.de, test.tsv"):
        open_split(tmp_path, "test", LANGUAGES, **raising)


@pytest.mark.parametrize("name", ["data.tsv", "data.txt", "data.tsv.gz"])
def test_a_file_is_read_by_its_name(tmp_path, raising, name):
    write(tmp_path / name, ["a\tb"])
    assert list(open_pairs(tmp_path / name, **raising)) == [("a", "b")]
    assert list(open_split(tmp_path / name, "test", LANGUAGES, **raising)) == [("a", "b")]


def test_a_file_of_another_kind_is_refused(tmp_path, raising):
    write(tmp_path / "data.csv", ["a,b"])
    with pytest.raises(ValueError, match=r"`data` must end in .tsv or .jsonl.*data.csv"):
        open_pairs(tmp_path / "data.csv", **raising)
    with pytest.raises(FileNotFoundError, match=r"`data` must be a file that exists. .*gone.tsv"):
        open_pairs(tmp_path / "gone.tsv", **raising)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "all.tsv.gz", [f"a{i}\tb{i}\tc{i}" for i in range(1, 11)])
    write(tmp_path / "last.tsv", ["x\ty\tz"])
    return tmp_path


def test_lines_are_held_out_where_a_recipe_has_no_validation_set(folder, raising):
    files = {"train": ("all.tsv.gz",), "test": ("last.tsv",)}
    recipe = TranslationRecipe("toy", files, columns=(2, 0), holdout=4)
    data = recipe_data(recipe, folder, **raising)
    assert list(data["valid"]) == [("c4", "a4"), ("c8", "a8")]
    assert list(data["train"]) == [(f"c{i}", f"a{i}") for i in (1, 2, 3, 5, 6, 7, 9, 10)]
    assert list(data["test"]) == [("z", "x")]


def test_a_recipe_says_which_file_is_missing(folder, raising):
    recipe = TranslationRecipe("toy", {"train": ("all.tsv.gz",), "test": ("gone.tsv",)})
    with pytest.raises(FileNotFoundError, match="with gone.tsv for recipe toy. Received: no file"):
        recipe_data(recipe, folder, **raising)


def test_bad_lines_stop_the_reading_or_are_counted(folder):
    write(folder / "train.en", ["one", "", "three"])
    write(folder / "train.de", ["eins", "zwei", "drei"])
    recipe = TranslationRecipe("toy", {"train": ("train.en", "train.de")})
    with pytest.raises(BadLine, match=r"train.en, line 2: expected text, found a blank"):
        list(recipe_data(recipe, folder, "raise", BadLineReport())["train"])
    report = BadLineReport()
    rows = list(recipe_data(recipe, folder, "skip", report)["train"])
    assert rows == [("one", "eins"), ("three", "drei")]
    assert report.total == 1


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_reads_the_public_data(recipe, shared_data, raising):
    folder = next(shared_data.glob(f"{recipe.name.partition('_')[0]}*"))
    data = recipe_data(recipe, folder, **raising)
    heads = {split: next(iter(rows)) for split, rows in data.items()}
    assert sorted(heads) == ["test", "train", "valid"]
    assert len(set(heads.values())) == 3
    languages = language_pair(recipe.settings.languages)
    for pair in heads.values():
        chinese = [any("\u4e00" <= letter <= "\u9fff" for letter in side) for side in pair]
        assert chinese == [language == "zh" for language in languages]


def test_languages_are_two_codes():
    assert language_pair("en-zh") == ("en", "zh")
    for text in ("en", "-de", "en-", ""):
        with pytest.raises(ValueError, match=f"`languages` must be two codes .* '{text}'"):
            language_pair(text)


def test_a_table_is_found_by_its_splits_name(tmp_path):
    assert find_table(tmp_path, "train", ("tsv", "csv")) is None
    (tmp_path / "train").mkdir()
    assert find_table(tmp_path, "train", ("tsv",)) is None
    assert find_table(tmp_path, "train", ("tsv",), folder=True) == tmp_path / "train"
    for name in ("train.csv", "train.tsv.gz", "dev.csv"):
        (tmp_path / name).touch()
    assert find_table(tmp_path, "train", ("tsv", "csv")) == tmp_path / "train.tsv.gz"
    assert find_table(tmp_path, "train", ("csv", "tsv")) == tmp_path / "train.csv"
    assert find_table(tmp_path, "valid", ("csv",)) == tmp_path / "dev.csv"
    assert find_table(tmp_path, "test", ("csv",)) is None


def test_the_splits_of_a_data_set_have_our_names(tmp_path):
    datasets = pytest.importorskip("datasets", reason="no datasets here")
    rows = datasets.Dataset.from_dict({"source": ["a1", "a2"], "target": ["北", "京"]})
    splits = {"train": rows, "validation": rows.select([1]), "extra": rows, "test": rows}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "all")
    assert list(dataset_splits(tmp_path / "all")) == ["train", "valid", "test"]
    assert list(dataset_split(tmp_path / "all", "valid")["target"]) == ["京"]
    assert dataset_split(tmp_path / "all", "").num_rows == 2
    datasets.DatasetDict({"test": rows}).save_to_disk(tmp_path / "one")
    with pytest.raises(FileNotFoundError, match="`data` must have a split train. .* with test$"):
        dataset_splits(tmp_path / "one")
