"""Every encoder of the zoo learns, answers and is exported by the same task."""

import dataclasses
import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tflm import models
from tflm.models.base import Encoder
from tflm.tasks import SentimentAnalysis
from tflm.tasks.sentiment import default_optimizer
from tflm.tokenizers import SentencePieceTokenizer

NAMES = [name for name, cls in models.ARCHITECTURES.items() if issubclass(cls, Encoder)]
ROWS = [("fine film", "+"), ("dull film", "-"), ("电影很好", "+"), ("电影很差", "-")] * 8
TEXTS = ["fine film", "", "电影很差", "dull dull dull dull", "😀"]


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train((text for text, _ in ROWS), 300, "char")


def small_config(name):
    """The last config of the architecture's contract tests, the one nearest to its defaults."""
    path = pathlib.Path(__file__).parents[1] / "models" / f"test_{name}.py"
    spec = importlib.util.spec_from_file_location(f"sizes_of_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return models.ARCHITECTURES[name].Config(**module.CONTRACT[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_classifier_learns_answers_and_exports_any_of_them(name, tokenizer, tmp_path):
    config = dataclasses.replace(small_config(name), vocab_size=tokenizer.vocab_size, dropout=0.0)
    model = models.ARCHITECTURES[name](config)
    task = SentimentAnalysis(model, tokenizer, ["-", "+"])
    assert task.pooling == model.POOLING
    task.compile(default_optimizer(1e-2, 2, 40))
    losses = task.fit(ROWS, epochs=4, data_options={"tokens_per_batch": 512}, verbose=0)
    losses = losses.history["loss"]
    assert np.isfinite(losses).all() and min(losses[1:]) < losses[0]

    scores = [answer["score"] for answer in task.classify(TEXTS)]
    alone = [task.classify([text])[0]["score"] for text in TEXTS]
    np.testing.assert_allclose(alone, scores, atol=1e-5)
    loaded = tf.saved_model.load(str(task.export(tmp_path / "exported")))
    served = loaded.signatures["serving_default"](text=tf.constant(TEXTS))
    assert [label.decode() for label in served["label"].numpy()] == task(TEXTS)
    np.testing.assert_allclose(served["score"], scores, atol=1e-5)

    task.save_pretrained(tmp_path / "saved")
    again = SentimentAnalysis.from_pretrained(tmp_path / "saved")
    assert again.model.config == config
    np.testing.assert_allclose(
        [answer["score"] for answer in again.classify(TEXTS)], scores, atol=1e-5
    )
