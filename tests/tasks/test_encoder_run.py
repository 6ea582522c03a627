import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from tflm.tasks.encoder_run import EncoderRun
from tflm.tasks.masked_lm import MaskedLM
from tflm.tasks.sentiment import SentimentAnalysis
from tflm.tokenizers import SentencePieceTokenizer
from tflm.training.lora import lora_layers

TEXTS = ["A stirring film.", "一部感人的电影。"] * 9


@dataclasses.dataclass(frozen=True)
class Plan:
    """The least settings of a run that puts a head on an encoder."""

    preset: str = "transformer_encoder/tiny"
    start: str = ""
    vocab_size: int = 300
    algorithm: str = "char"
    hidden_dim: int = 0
    num_layers: int = 1
    dropout: float = 0.4
    word_dropout: float = 0.3
    lora_rank: int = 0
    lora_alpha: float = 0.0
    accumulate: int = 1
    epochs: int = 1
    patience: int = 0
    average_last: int = 1
    seed: int = 1
    dtype: str = "float32"


class Run(EncoderRun):
    """Learns a tokenizer, and counts how often."""

    Settings = Plan
    SIZES = ("hidden_dim", "num_layers")
    RATES = ("dropout", "word_dropout")
    learned = 0

    def train_tokenizer(self):
        self.learned += 1
        return SentencePieceTokenizer.train(iter(TEXTS), 300, "char", control_symbols=["[MASK]"])


def make(out, **changes):
    return Run(out, {"train": TEXTS}, Plan(**changes), Console(file=io.StringIO()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_dim": 13}, "`hidden_dim` must be .*hidden_dim=13"),
        (
            {"preset": "text_cnn/base", "hidden_dim": 10},
            "`hidden_dim` must be a multiple of the number of widths. Received: hidden_dim=10, 3",
        ),
    ],
)
def test_sizes_that_no_network_has_are_told_before_anything_is_learned(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        make(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_a_fresh_encoder_has_the_run_s_sizes_and_rates_and_its_own_tokenizer(tmp_path):
    run = make(tmp_path, hidden_dim=12)
    (model, tokenizer), _ = run.encoder(), run.encoder()
    config = model.config
    assert (config.hidden_dim, config.num_layers, config.num_heads) == (12, 1, 2)
    assert (config.dropout, config.vocab_size) == (0.4, tokenizer.vocab_size)
    assert not hasattr(config, "word_dropout")  # of other architectures
    assert run.learned == 1 and (tmp_path / "tokenizer").is_dir()


def test_another_run_s_encoder_comes_with_its_weights_and_tokenizer(tmp_path):
    model, tokenizer = make(tmp_path / "first", dropout=0.1).encoder()
    MaskedLM(model, tokenizer).save_pretrained(tmp_path / "first" / "model")
    run = make(tmp_path / "second", start=str(tmp_path / "first"))
    ours, theirs = run.encoder()
    assert run.learned == 0 and not (tmp_path / "second" / "tokenizer").exists()
    assert theirs.tokenize(TEXTS[:2]).to_list() == tokenizer.tokenize(TEXTS[:2]).to_list()
    assert ours.config == dataclasses.replace(model.config, dropout=0.4)
    for array, expected in zip(ours.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_with_lora_little_of_another_run_s_encoder_learns(tmp_path):
    model, tokenizer = make(tmp_path / "first", num_layers=2).encoder()
    MaskedLM(model, tokenizer).save_pretrained(tmp_path / "first")
    run = make(tmp_path / "second", start=str(tmp_path / "first"), lora_rank=3, lora_alpha=6.0)
    adapted, _ = run.encoder()
    assert [layer.lora_alpha for layer in lora_layers(adapted)] == [6.0, 6.0]
    learn = 2 * 3 * (128 + 3 * 128)
    assert sum(weight.shape[0] * weight.shape[1] for weight in adapted.trainable_weights) == learn
    assert f"LoRA of rank 3 in 2 layers: {learn:,} weights learn." in run.console.file.getvalue()
    with pytest.raises(ValueError, match="`lora_rank` must be 0 without `start`.*lora_rank=3"):
        make(tmp_path / "third", lora_rank=3)
    assert not (tmp_path / "third").exists()


def test_with_lora_an_encoder_of_convolutions_learns_little_too(tmp_path):
    changes = {"preset": "text_cnn/base", "hidden_dim": 12}
    SentimentAnalysis(*make(tmp_path / "first", **changes).encoder()).save_pretrained(tmp_path)
    run = make(tmp_path / "second", start=str(tmp_path), lora_rank=2, **changes)
    adapted, _ = run.encoder()
    learn = 2 * sum(width * 300 + 4 for width in (3, 4, 5))
    assert f"LoRA of rank 2 in 3 layers: {learn:,} weights learn." in run.console.file.getvalue()
    assert len(lora_layers(adapted)) == 3


def test_a_start_that_is_not_there_and_a_tokenizer_that_nobody_trains_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="`start` must be a directory of `tflm train`"):
        make(tmp_path, start=str(tmp_path / "gone")).encoder()

    class Bare(EncoderRun):
        Settings, SIZES, RATES = Plan, (), ()

    run = Bare(tmp_path / "bare", {"train": TEXTS}, Plan(), Console(file=io.StringIO()))
    with pytest.raises(NotImplementedError):
        run.train_tokenizer()
