"""Every encoder-decoder of the zoo trains, answers and is exported by the same task."""

import dataclasses
import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from tflm import models
from tflm.generation import Beam, Greedy, Limits
from tflm.tasks import Translation
from tflm.tasks.network_sizes import configured
from tflm.tasks.sequence_to_sequence import default_optimizer
from tflm.tasks.translation_recipes import TranslationSettings
from tflm.tasks.translation_run import TranslationRun
from tflm.tokenizers import SentencePieceTokenizer

NAMES = [
    name for name, cls in models.ARCHITECTURES.items() if issubclass(cls, models.EncoderDecoder)
]
OPTIONS = {"tokens_per_batch": 512, "max_length": 48}
SENTENCES = ["three one", "", "seven seven eight two four", "ten"]


@pytest.fixture(scope="module")
def tokenizer(toy_pairs):
    return SentencePieceTokenizer.train((text for pair in toy_pairs for text in pair), 310)


def small_config(name):
    """The last config of the architecture's contract tests, the one nearest to its defaults."""
    path = pathlib.Path(__file__).parents[1] / "models" / f"test_{name}.py"
    spec = importlib.util.spec_from_file_location(f"sizes_of_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return models.ARCHITECTURES[name].Config(**module.CONTRACT[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_task_trains_answers_and_exports_any_of_them(name, tokenizer, toy_pairs, tmp_path):
    config = configured(small_config(name), tokenizer.vocab_size)
    limits = Limits(max_length=12)
    model = models.ARCHITECTURES[name](config)
    task = Translation(model, tokenizer, strategy=Beam(num_beams=3), limits=limits)
    task.compile(default_optimizer(1e-2, warmup_steps=4))
    losses = task.fit(toy_pairs, epochs=2, data_options=OPTIONS, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]

    greedy = task(SENTENCES, strategy=Greedy())
    assert greedy == [task(sentence, strategy=Greedy()) for sentence in SENTENCES]
    best = task.n_best(SENTENCES)
    task.export(tmp_path / "exported")
    loaded = tf.saved_model.load(str(tmp_path / "exported" / "1"))
    served = loaded.signatures["serving_default"](text=tf.constant(SENTENCES))
    assert [text.decode() for text in served["text"].numpy()] == [row[0] for row in best["text"]]
    np.testing.assert_allclose(served["score"], [row[0] for row in best["score"]], atol=1e-4)

    task.save_pretrained(tmp_path / "saved")
    again = Translation.from_pretrained(tmp_path / "saved")
    assert again.model.config == model.config
    pairs = [(SENTENCES[0], "drei eins")]
    np.testing.assert_allclose(again.score(pairs), task.score(pairs), atol=1e-4)


@pytest.mark.slow
def test_a_recipes_run_takes_an_architecture_without_its_options(toy_pairs, tmp_path, monkeypatch):
    """`pre_norm` is a Transformer's; `--model` is the one option changed."""
    cls, small = models.ARCHITECTURES["recurrent"], small_config("recurrent")
    assert not hasattr(small, "pre_norm")
    monkeypatch.setitem(cls.PRESETS, "nano", dataclasses.replace(small, dropout=0.0))
    settings = TranslationSettings(
        languages="en-de",
        preset="recurrent/nano",
        vocab_size=310,
        pre_norm=True,
        dropout=0.25,
        epochs=1,
        tokens_per_batch=512,
        max_length=48,
        average_last=1,
        score_every=0,
        beam=2,
    )
    data = {"train": toy_pairs[:100], "test": toy_pairs[100:104]}
    run = TranslationRun(tmp_path, data, settings, Console(quiet=True))
    task = run.train()
    assert task.model.config.dropout == 0.25
    assert task.model.config.vocab_size == task.source_tokenizer.vocab_size
    assert list(run.evaluate("test")) == ["beam", "greedy"]


def test_a_field_that_an_architecture_has_not_is_refused():
    config = small_config("recurrent")
    with pytest.raises(ValueError, match=r"`pre_norm` must be a field .* Received: pre_norm=True"):
        configured(config, 310, pre_norm=True)
    assert configured(config, 310, dropout=0.1).dropout == 0.1

    @dataclasses.dataclass(frozen=True)
    class OneVocabulary:
        vocab_size: int = 7

    assert configured(OneVocabulary(), 310) == OneVocabulary(310)
    with pytest.raises(ValueError, match="`target_vocab_size` must be a field .*=310"):
        configured(OneVocabulary(), 310, 310)
