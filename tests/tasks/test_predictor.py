import shutil

import numpy as np
import pytest
import tensorflow as tf

from tflm.tasks import QuestionAnswering, SentimentAnalysis
from tflm.tasks.predictor import open_predictor, saved_model_directory, task_directory

TEXTS = ["three one", "", "seven seven eight two", "nine"]


def make_versions(folder, *names):
    for name in names:
        (folder / name).mkdir()
        (folder / name / "saved_model.pb").touch()


def test_a_task_is_found_in_its_directory_and_in_a_run(saved_task, tmp_path):
    assert task_directory(saved_task) == saved_task
    (tmp_path / "model").symlink_to(saved_task)
    assert task_directory(tmp_path) == tmp_path / "model"


def test_a_directory_without_a_model_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(FileNotFoundError, match="`run` must be a directory .* Received: .*"):
            task_directory(path)
        with pytest.raises(FileNotFoundError, match="`run` must be a directory .* Received: .*"):
            open_predictor(path)


def test_the_highest_complete_version_counts(tmp_path):
    make_versions(tmp_path, "2", "10", "9", ".writing-11", "12a", "²")
    (tmp_path / "13").mkdir()
    assert saved_model_directory(tmp_path) == tmp_path / "10"
    assert saved_model_directory(tmp_path / "9") == tmp_path / "9"
    assert saved_model_directory(tmp_path / "13") is None
    assert saved_model_directory(tmp_path / "gone") is None


def test_a_task_and_its_saved_model_answer_alike(saved_task, exported, trained_task, tmp_path):
    shutil.copytree(saved_task, tmp_path / "model")
    answers = [open_predictor(path)(TEXTS * 17) for path in (tmp_path, exported)]
    assert len(answers[0]) == len(answers[1]) == 68  # more than are answered at once
    for ours, theirs in zip(*answers, strict=True):
        assert ours.keys() == theirs.keys() == {"text", "score", "truncated"}
        assert (ours["text"], ours["truncated"]) == (theirs["text"], theirs["truncated"])
        np.testing.assert_allclose(ours["score"], theirs["score"], rtol=1e-4)
        assert type(theirs["truncated"]) is bool
    assert [answer["text"] for answer in answers[1][:4]] == trained_task(TEXTS)
    assert open_predictor(exported)([]) == []


def save_joiner(path, *names, dtype=tf.string):
    """A SavedModel whose answer is the text of its inputs, those of later names first."""
    module = tf.Module()
    specs = [tf.TensorSpec([None], dtype, name=name) for name in names]

    @tf.function(input_signature=specs)
    def join(*texts):
        return {"answer": tf.strings.join([tf.strings.as_string(t) for t in texts[::-1]], "|")}

    tf.saved_model.save(module, str(path), signatures={"serving_default": join})


def test_a_saved_model_takes_the_fields_of_its_signature(tmp_path):
    save_joiner(tmp_path, "question", "context")
    predict = open_predictor(tmp_path)
    assert predict.fields == ("question", "context")
    rows = [("谁跑了？", "安娜跑了。"), ("", "b")] * 40  # more than are answered at once
    assert predict(rows) == [{"answer": f"{context}|{question}"} for question, context in rows]
    assert predict([]) == []


def test_a_saved_model_that_takes_no_strings_is_refused(tmp_path):
    save_joiner(tmp_path, "token_ids", dtype=tf.int32)
    with pytest.raises(ValueError, match=r"must take strings. Received: .*takes token_ids \(int32"):
        open_predictor(tmp_path)


def test_a_task_names_its_fields_as_its_signature_does(trained_task):
    rows = [("a fine film", "很好", "yes"), ("a dull film", "不好", "no")] * 9
    changes = {"embedding_dim": 6, "hidden_dim": 9}
    options = {"vocab_size": 310, "algorithm": "char", "changes": changes}
    pairs = SentimentAnalysis.from_texts(rows, pairs=True, **options)
    questions = [{"question": "谁跑了?", "context": "Ann ran.", "answers": []}] * 9
    sizes = {"hidden_dim": 8, "num_heads": 2, "num_layers": 1}
    options = {"vocab_size": 300, "algorithm": "char", "changes": sizes}
    reader = QuestionAnswering.from_examples(questions, "transformer_encoder/tiny", **options)
    for task, fields in (
        (trained_task, ("text",)),
        (pairs, ("text", "text_pair")),
        (reader, ("question", "context")),
    ):
        served = task.served().signatures()["serving_default"]
        assert task.fields == tuple(spec.name for spec in served.input_signature) == fields


def test_a_saved_model_without_the_signature_is_refused(tmp_path):
    module = tf.Module()
    module.call = tf.function(lambda text: {"x": text}, [tf.TensorSpec([None], tf.string, "text")])
    tf.saved_model.save(module, str(tmp_path), signatures={"embed": module.call})
    with pytest.raises(ValueError, match="have the signature serving_default.* are embed$"):
        open_predictor(tmp_path)


def test_an_output_that_belongs_to_no_row_is_left_out(tmp_path):
    module = tf.Module()
    spec = tf.TensorSpec([None], tf.string, "text")
    module.call = tf.function(lambda text: {"text": text, "version": tf.constant(3)}, [spec])
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.call})
    assert open_predictor(tmp_path)(["a", "北京"]) == [{"text": "a"}, {"text": "北京"}]
