import sys

import pytest

from tflm.data.hugging_face import DatasetRows, has_splits, is_dataset, open_splits

datasets = pytest.importorskip("datasets", reason="no datasets here")

PAIRS = [("李四要喝茶，张三要吃面条。", "喝茶和面条"), ("Ann: tea?\nBob: yes.", "tea")]


@pytest.fixture(scope="module")
def dialogues():
    texts, summaries = (list(side) for side in zip(*PAIRS, strict=True))
    return datasets.Dataset.from_dict({"id": [7, 8], "summary": summaries, "dialogue": texts})


def test_rows_are_the_named_columns_and_are_read_again(dialogues):
    rows = DatasetRows(dialogues, ("dialogue", "summary"))
    assert list(rows) == PAIRS == list(rows)
    assert list(DatasetRows(dialogues, ("id", "summary"))) == [("7", "喝茶和面条"), ("8", "tea")]
    assert list(DatasetRows(dialogues.with_format("numpy"), ("dialogue", "summary"))) == PAIRS
    streamed = dialogues.to_iterable_dataset()
    assert list(DatasetRows(streamed, ("dialogue", "summary"))) == PAIRS


def test_a_field_of_a_column_is_named_with_a_dot():
    pairs = [{"zh": "我喝茶。", "en": "I drink tea."}, {"zh": "公园很大。", "en": "It is large."}]
    dataset = datasets.Dataset.from_dict({"translation": pairs})
    rows = DatasetRows(dataset, ("translation.zh", "translation.en"))
    assert list(rows) == [("我喝茶。", "I drink tea."), ("公园很大。", "It is large.")]


def test_labels_have_their_names():
    label = datasets.ClassLabel(names=["差", "好"])
    columns = {"text": ["精彩", "无聊"], "label": [1, 0], "labels": [[0, 1], []], "stars": [5, 1]}
    features = {
        "text": datasets.Value("string"),
        "label": label,
        "labels": datasets.List(label),
        "stars": datasets.Value("int64"),
    }
    dataset = datasets.Dataset.from_dict(columns, datasets.Features(features))
    assert list(DatasetRows(dataset, ("text", "label"))) == [("精彩", "好"), ("无聊", "差")]
    assert list(DatasetRows(dataset, ("text", "labels"))) == [("精彩", "差", "好"), ("无聊",)]
    assert list(DatasetRows(dataset, ("text", "stars"))) == [("精彩", "5"), ("无聊", "1")]


def test_a_column_that_is_not_there_is_refused(dialogues):
    with pytest.raises(ValueError, match="`columns` must be .* id, summary, dialogue. Received: t"):
        DatasetRows(dialogues, ("text", "summary"))
    dataset = datasets.Dataset.from_dict({"text": ["公园", None]})
    with pytest.raises(ValueError, match="must have texts or labels in column text. Received: Non"):
        list(DatasetRows(dataset, ("text",)))


def test_what_is_no_data_set_is_known(dialogues, monkeypatch):
    assert is_dataset(dialogues) and is_dataset(dialogues.to_iterable_dataset())
    assert not is_dataset(PAIRS)
    monkeypatch.delitem(sys.modules, "datasets")
    assert not is_dataset(dialogues)


def test_a_folder_that_was_saved_is_opened(dialogues, tmp_path):
    both = datasets.DatasetDict(train=dialogues, validation=dialogues.select([1]))
    both.save_to_disk(tmp_path / "both")
    assert has_splits(tmp_path / "both") and not has_splits(tmp_path)
    splits = open_splits(tmp_path / "both")
    assert {split: rows.num_rows for split, rows in splits.items()} == {"train": 2, "valid": 1}
    dialogues.save_to_disk(tmp_path / "one")
    assert has_splits(tmp_path / "one") and list(open_splits(tmp_path / "one")) == ["train"]


def test_a_name_is_asked_for_on_the_hub(dialogues, monkeypatch):
    asked = []

    def load(name, config):
        asked.append((name, config))
        return datasets.DatasetDict(train=dialogues, test=dialogues)

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert has_splits("hf:some/name") and list(open_splits("hf:some/name")) == ["train", "test"]
    open_splits("hf:some/name:zh")
    assert asked == [("some/name", None), ("some/name", "zh")]


def test_a_name_that_cannot_be_had_is_one_error(monkeypatch):
    def load(name, config):
        raise ConnectionError("Couldn't reach 'some/name' on the Hub\nmore")

    monkeypatch.setattr(datasets, "load_dataset", load)
    match = r"`data` must be hf:NAME .* Received: hf:some/name \(Couldn't reach .* on the Hub\)$"
    with pytest.raises(OSError, match=match):
        open_splits("hf:some/name")


@pytest.mark.parametrize("location", ["hf:", "hf::zh"])
def test_a_data_set_without_a_name_is_refused(location):
    with pytest.raises(ValueError, match=f"`data` must name a data set.* Received: {location}$"):
        open_splits(location)


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"hf:name needs .* pip install 'tflm\[datasets\]'"):
        open_splits("hf:name")
