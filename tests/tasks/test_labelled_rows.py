import numpy as np
import pytest
import tensorflow as tf

from tflm.tasks.labelled_rows import LabelledRows, has_labels, texts_of

LABELS = ("negative", "positive")
ROWS = [("a fine film", "positive"), ("电影很差", "negative")]
DICTS = [{"text": text, "label": label} for text, label in ROWS]
NUMBERS = {"text": ["a fine film", "电影很差"], "label": [1, 0]}


@pytest.mark.parametrize(
    "examples",
    [
        ROWS,
        tuple(map(list, ROWS)),
        DICTS,
        [(text, np.int64(LABELS.index(label))) for text, label in ROWS],
        [(text, str(LABELS.index(label))) for text, label in ROWS],
        tf.data.Dataset.from_tensor_slices(tuple(NUMBERS.values())),
        tf.data.Dataset.from_tensor_slices(NUMBERS).batch(2),
        tf.data.Dataset.from_tensor_slices(tuple(map(list, zip(*ROWS, strict=True)))).batch(5),
    ],
    ids=["rows", "lists", "dicts", "numbers", "digits", "dataset", "batches", "strings"],
)
def test_every_form_gives_the_same_rows_each_time(examples):
    rows = LabelledRows(examples, 1, LABELS)
    assert has_labels(examples)
    assert list(rows) == list(rows) == ROWS


def test_a_number_is_a_name_where_there_is_one_called_so():
    rows = [("a", "1"), ("b", 2), ("c", 0)]
    assert [label for _, label in LabelledRows(rows, 1, ("1", "2", "3"))] == ["1", "2", "1"]
    assert [label for _, label in LabelledRows(rows, 1)] == ["1", "2", "0"]
    assert list(LabelledRows([("a", "7")], 1, LABELS)) == [("a", "7")]  # left to who reads it


def test_several_labels_come_one_after_another():
    rows = [
        ("a", "x", "y"),
        ("b", ["y", "x"]),
        ("c", {"z"}),
        {"text": "d", "labels": ()},
        {"text": "e", "labels": np.array(["x", "z"])},
    ]
    assert list(LabelledRows(rows, 1)) == [
        ("a", "x", "y"),
        ("b", "x", "y"),
        ("c", "z"),
        ("d",),
        ("e", "x", "z"),
    ]


def test_pairs_have_two_texts():
    rows = [("a", "b", "x"), {"text": "a", "text_pair": "b", "label": "x"}]
    assert list(LabelledRows(rows, 2)) == [("a", "b", "x")] * 2
    with pytest.raises(ValueError, match="`examples` must have text and text_pair. Received: a"):
        texts_of("a", 2)
    with pytest.raises(ValueError, match="`examples` must have text. Received: {'label'"):
        texts_of({"label": "x"}, 1)
    with pytest.raises(ValueError, match="must have a field label or labels. Received: text, id"):
        list(LabelledRows([{"text": "a", "id": 3}], 1))


def test_bytes_are_text_and_what_a_table_lacks_is_refused():
    assert texts_of("电影".encode(), 1) == ("电影",)
    assert list(LabelledRows([(b"a", b"x"), ("b", 1.5), ("c", np.bool_(True))], 1)) == [
        ("a", "x"),
        ("b", "1.5"),
        ("c", "True"),
    ]
    for row in (("a", None), ("a", float("nan")), (None, "x"), ("a", np.float32("nan")), ("a", {})):
        given = LabelledRows([("b", "x"), (*row[:1], [row[1]])], 1)
        with pytest.raises(ValueError, match="`examples` must have strings, or numbers.*of type"):
            list(given)


def test_texts_alone_and_arrays_are_no_labelled_examples():
    numbers = tf.data.Dataset.from_tensor_slices(([1, 2], [0, 1]))
    texts = tf.data.Dataset.from_tensor_slices(["a", "b"])
    zeros = np.zeros((2, 2))
    for given in (None, [], ["a"], "a", {"text": "a"}, numbers, texts, zeros, iter(ROWS)):
        assert not has_labels(given)


def test_a_hugging_face_data_set_has_labels_by_name():
    datasets = pytest.importorskip("datasets", reason="no datasets here")
    features = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=LABELS)}
    dataset = datasets.Dataset.from_dict(NUMBERS, datasets.Features(features))
    assert has_labels(dataset)
    assert list(LabelledRows(dataset, 1)) == list(LabelledRows(dataset, 1, LABELS)) == ROWS
    several = datasets.Dataset.from_dict({"text": ["菜"], "labels": [["a", "b"]], "id": [1]})
    assert list(LabelledRows(several, 1)) == [("菜", "a", "b")]
