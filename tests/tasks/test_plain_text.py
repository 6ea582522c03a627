import numpy as np
import pytest
import tensorflow as tf

from tflm import models
from tflm.data import TextFiles
from tflm.tasks import CausalLM
from tflm.tasks.plain_text import PlainTextTask, Strings
from tflm.tokenizers import SentencePieceTokenizer

TEXTS = ["two dogs and a cat", "公园很大。", "six seven eight"] * 8


@pytest.fixture(scope="module")
def task():
    tokenizer = SentencePieceTokenizer.train(TEXTS, 320, "char")
    network = models.ARCHITECTURES["lstm_lm"]
    model = network(network.Config(tokenizer.vocab_size, 12, 1, dropout=0.0))
    return CausalLM(model, tokenizer)


def test_every_form_of_the_same_texts_gives_the_same_batches(task, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"{text}\n" for text in TEXTS))
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS)
    forms = [TEXTS, tuple(TEXTS), str(path), path, TextFiles(path), dataset, dataset.batch(5)]
    found = []
    for form in forms:
        batches = task.batches(form, training=True, sequence_length=40, tokens_per_batch=80)
        found.append(np.concatenate([y for _, y, _ in batches.epoch(1).as_numpy_iterator()]))
    assert all(np.array_equal(found[0], other) for other in found)


def test_what_is_no_text_stays_as_it_is(task):
    numbers = tf.data.Dataset.from_tensor_slices([1, 2])
    for given in (None, [], numbers, {"a": 1}, [("a",)], np.zeros(3)):
        assert task.examples(given) is given


def test_strings_are_read_anew_each_time():
    rows = Strings(tf.data.Dataset.from_tensor_slices(["a", "公园"]).map(lambda text: {"t": text}))
    assert list(rows) == list(rows) == [("a",), ("公园",)]


def test_validation_is_in_rows_as_long_as_training(task):
    task.compile()
    options = {"sequence_length": 30, "tokens_per_batch": 90}
    history = task.fit(TEXTS, validation_data=TEXTS[:3], data_options=options, verbose=0).history
    scores = task.evaluate(TEXTS[:3], data_options=options, return_dict=True, verbose=0)
    assert scores["loss"] == pytest.approx(history["val_loss"][0], rel=1e-4)
    assert scores["tokens"] == sum(len(text) + 1 for text in TEXTS[:3])


def test_more_pieces_than_embeddings_are_refused(task):
    large = SentencePieceTokenizer.train([*TEXTS, "Zyx, qWv!"], 400, "char")
    with pytest.raises(ValueError, match=r"`tokenizer` must have at most .* 2\d\d embeddings"):
        CausalLM(task.model, large)


def test_what_a_subclass_must_say_is_asked_for(task):
    class Mute(PlainTextTask):
        """Says nothing."""

    bare = Mute(task.model, task.tokenizer)
    assert bare.documents_of_files() == "line"
    with pytest.raises(NotImplementedError):
        bare.settings()
    with pytest.raises(NotImplementedError):
        Mute.from_settings({})


def test_the_texts_of_a_hugging_face_data_set_are_taken(task):
    datasets = pytest.importorskip("datasets", reason="no datasets here")
    dataset = datasets.Dataset.from_dict({"id": range(len(TEXTS)), "text": TEXTS})
    assert list(task.examples(dataset)) == [(text,) for text in TEXTS]
