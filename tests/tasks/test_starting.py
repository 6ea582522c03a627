import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from tflm import checkpoints, models
from tflm.checkpoints import ChatTemplate
from tflm.models.base import Decoder, Encoder, EncoderDecoder
from tflm.tasks import CausalLM, MaskedLM, SpanDenoising, Translation
from tflm.tasks.causal_lm_recipes import CausalLMSettings
from tflm.tasks.causal_lm_run import CausalLMRun
from tflm.tasks.starting import changed, chat_template_of, open_start, restarted
from tflm.tasks.translation_recipes import TranslationSettings
from tflm.tasks.translation_run import TranslationRun
from tflm.tokenizers import SentencePieceTokenizer

PAIRS = [("the cat sat", "公园很大。"), ("the mat", "我喝茶。")] * 5
SYMBOLS = ["[MASK]", *(f"<extra_id_{i}>" for i in range(3))]
SIZES = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "dropout": 0.1}
LAYERS = {"num_encoder_layers": 2, "num_decoder_layers": 1}


@pytest.fixture(scope="module")
def tokenizer():
    lines = (text for pair in PAIRS for text in pair)
    return SentencePieceTokenizer.train(lines, 320, "char", control_symbols=SYMBOLS)


def network(name, tokenizer, **fields):
    cls = models.ARCHITECTURES[name]
    model = cls(cls.Config(vocab_size=tokenizer.vocab_size, **SIZES, **fields))
    model.build(None)
    return model


@pytest.fixture(scope="module")
def places(tokenizer, tmp_path_factory):
    """Saved tasks, and a checkpoint as `tflm convert` writes it, by name."""
    folder = tmp_path_factory.mktemp("places")
    tasks = {
        "masked": MaskedLM(network("bert", tokenizer, num_layers=1), tokenizer),
        "causal": CausalLM(network("gpt2", tokenizer, num_layers=2), tokenizer),
        "spans": SpanDenoising(network("transformer", tokenizer, **LAYERS), tokenizer),
    }
    for name, task in tasks.items():
        # The first as a finished run has it.
        task.save_pretrained(folder / name / "model" if name == "masked" else folder / name)
    model = tasks["causal"].model
    checkpoints.save_pretrained(model, folder / "converted", tokenizer)
    two = Translation(tasks["spans"].model, tokenizer, network_twin(tokenizer))
    two.save_pretrained(folder / "pairs")
    return {path.name: path for path in folder.iterdir()}


def network_twin(tokenizer):
    """A tokenizer of the same size that is another one."""
    return SentencePieceTokenizer(tokenizer.model)


@pytest.mark.parametrize(
    "name, kind, count",
    [
        ("masked", Encoder, 1),
        ("causal", Decoder, 1),
        ("converted", Decoder, 1),
        ("spans", EncoderDecoder, 1),
        ("pairs", EncoderDecoder, 2),
    ],
)
def test_a_start_is_a_run_a_saved_task_or_a_checkpoint(name, kind, count, places, tokenizer):
    model, tokenizers = open_start(places[name], kind, "a task")
    assert isinstance(model, kind) and len(tokenizers) == count
    for each in tokenizers:
        assert each.tokenize(["公园很大"]).to_list() == tokenizer.tokenize(["公园很大"]).to_list()


def test_a_network_of_another_kind_is_refused(places):
    with pytest.raises(
        ValueError, match=r"that poetry takes, Encoder. Received: Decoder \(GPT2 of CausalLM\) in"
    ):
        open_start(places["causal"], Encoder, "poetry")
    with pytest.raises(
        ValueError, match=r"Decoder. Received: EncoderDecoder \(Transformer of Span"
    ):
        open_start(places["spans"], Decoder, "poetry")
    with pytest.raises(ValueError, match=r"Received: Decoder \(GPT2 of a checkpoint\)"):
        open_start(str(places["converted"]), EncoderDecoder, "poetry")
    with pytest.raises(ValueError, match="that poetry takes, EncoderDecoder or Decoder. Received"):
        open_start(places["masked"], (EncoderDecoder, Decoder), "poetry")
    with pytest.raises(FileNotFoundError, match="`start` must be a directory of `tflm train`"):
        open_start(places["causal"] / "gone", Decoder, "poetry")


def test_a_network_starts_again_with_other_rates(places):
    model, _ = open_start(places["masked"], Encoder, "a task")
    again = restarted(model, {"dropout": 0.4, "word_dropout": 0.3}, "mixed_bfloat16")
    assert again.config == dataclasses.replace(model.config, dropout=0.4)
    assert again.config == changed(model.config, {"dropout": 0.4, "word_dropout": 0.3})
    assert again.compute_dtype == "bfloat16"
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_translation_starts_from_restored_spans(places, tmp_path):
    settings = TranslationSettings(
        languages="en-zh", start=str(places["spans"]), dropout=0.2, accumulate=3, dtype="float32"
    )
    run = TranslationRun(tmp_path, {"train": PAIRS}, settings, Console(file=io.StringIO()))
    task = run.new_task()
    theirs, _ = open_start(places["spans"], EncoderDecoder, "a task")
    assert task.model.config == dataclasses.replace(theirs.config, dropout=0.2)
    for weight, expected in zip(task.model.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert task.target_tokenizer is task.source_tokenizer
    assert task.optimizer.gradient_accumulation_steps == 3
    assert run.monitor == ("val_bleu", "max")
    assert not (tmp_path / "tokenizer").exists()


def test_a_language_model_keeps_the_chat_template_of_what_it_starts_from(places, tmp_path):
    template = ChatTemplate("{{ messages[0].content }}")
    task = CausalLM.from_pretrained(places["causal"])
    CausalLM(task.model, task.tokenizer, chat_template=template).save_pretrained(tmp_path / "own")
    assert chat_template_of(tmp_path / "own") == template
    for name in ("causal", "converted", "spans"):
        assert chat_template_of(places[name]) is None
    settings = CausalLMSettings(start=str(tmp_path / "own"), dtype="float32", epochs=1)
    data = {"train": [(text,) for text, _ in PAIRS]}
    run = CausalLMRun(tmp_path / "run", data, settings, Console(file=io.StringIO()))
    assert run.new_task().chat_template == template


def test_a_language_model_starts_from_a_checkpoint(places, tmp_path):
    settings = CausalLMSettings(
        start=str(places["converted"]), sequence_length=24, attention_dropout=0.3, dtype="float32"
    )
    texts = {"train": [text for pair in PAIRS for text in pair]}
    task = CausalLMRun(tmp_path, texts, settings, Console(file=io.StringIO())).new_task()
    config = task.model.config
    assert (config.dropout, config.attention_dropout, config.embedding_dropout) == (0.1, 0.3, 0.1)
    theirs, _ = open_start(places["converted"], Decoder, "a task")
    for weight, expected in zip(task.model.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)
