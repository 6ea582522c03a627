import shutil

import numpy as np
import pytest
import tensorflow as tf

from tflm.export import WARMUP_TEXTS, save
from tflm.export.recording import record_warmup
from tflm.export.warmup import FILE, read_warmup


def test_every_text_is_asked_alone_and_all_together(upper, tmp_path):
    directory = shutil.copytree(upper, tmp_path / "1")
    records = record_warmup(directory, "upper", ["ab", "你好"])
    asked = [[text.decode() for text in record.inputs["text"]] for record in records]
    assert asked == [["ab"], ["你好"], ["ab", "你好"]]
    assert records[0].outputs["text"].tolist() == [b"AB"]
    read = read_warmup(directory)
    assert [record.outputs["length"].tolist() for record in read] == [[2], [6], [2, 6]]
    assert {record.signature for record in read} == {"serving_default"}


def test_inputs_that_belong_together_are_asked_with_different_texts(save, tmp_path):
    specs = [tf.TensorSpec([None], tf.string, name=name) for name in ("question", "context")]

    def serve(question, context):
        return {"answer": tf.strings.join([question, context], "|")}

    save(tmp_path / "m", serve, *specs)
    records = record_warmup(tmp_path / "m", "m", ["a", "b", "c"])
    answers = [record.outputs["answer"].tolist() for record in records]
    assert answers == [[b"b|a"], [b"c|b"], [b"a|c"], [b"b|a", b"c|b", b"a|c"]]


def test_an_answer_drawn_at_random_is_not_recorded(save, tmp_path):
    def serve(text):
        return {"number": tf.random.uniform(tf.shape(text))}

    save(tmp_path / "m", serve)
    records = record_warmup(tmp_path / "m", "m", ["a"])
    assert [(record.inputs["text"].tolist(), record.outputs) for record in records] == [
        ([b"a"], {})
    ]


def test_numbers_beside_texts_are_zeros(save, tmp_path):
    specs = [tf.TensorSpec([None], tf.string, "text"), tf.TensorSpec([None], tf.int64, "seed")]
    save(tmp_path / "m", lambda text, seed: {"size": seed + 1}, *specs)
    records = record_warmup(tmp_path / "m", "m", ["a", "你"])
    assert [record.inputs["seed"].tolist() for record in records] == [[0], [0], [0, 0]]
    assert records[0].inputs["seed"].dtype == np.int64
    assert records[2].outputs["size"].tolist() == [1, 1]


def test_what_takes_another_signatures_answers_is_asked_with_the_first(tmp_path):
    text = tf.TensorSpec([None], tf.string, name="text")
    size = tf.TensorSpec([None, 1], tf.int32, name="size")

    @tf.function(input_signature=[text])
    def read(text):
        return {"size": tf.strings.length(text)[:, None], "text": tf.strings.upper(text)}

    @tf.function(input_signature=[size])
    def again(size):
        return {"size": size + 1}

    functions = {"serving_default": read, "again": again}
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures=functions)
    records = record_warmup(tmp_path, "m", ["abc", "d"])
    (last,) = [record for record in records if record.signature == "again"]
    assert (last.inputs["size"].tolist(), last.outputs["size"].tolist()) == ([[3]], [[4]])


def test_signatures_of_numbers_are_left_out(save, tmp_path):
    save(tmp_path / "m", lambda x: {"y": x}, tf.TensorSpec([None], tf.float32, name="x"))
    assert record_warmup(tmp_path / "m", "m") == []
    assert not (tmp_path / "m" / "assets.extra" / FILE).exists()


def test_a_model_that_fails_on_a_text_is_not_written(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def serve(text):
        with tf.control_dependencies([tf.debugging.assert_greater(tf.strings.length(text), 0)]):
            return {"text": tf.identity(text)}

    with pytest.raises(tf.errors.InvalidArgumentError):
        save(tf.Module(), {"serving_default": serve}, tmp_path / "model")
    assert list((tmp_path / "model").iterdir()) == []
    assert save(tf.Module(), {"serving_default": serve}, tmp_path / "model", warmup=["a"]).is_dir()
    assert "" in WARMUP_TEXTS
