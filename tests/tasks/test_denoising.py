import keras
import pytest

from tflm import models
from tflm.data import DenoisingBatches
from tflm.generation import Beam, Greedy, Limits
from tflm.models.transformer import Config, Transformer
from tflm.tasks import SpanDenoising, Task, TextInfilling
from tflm.tasks.causal_lm import default_optimizer
from tflm.tasks.denoising import DenoisingTask
from tflm.tokenizers import SentencePieceTokenizer, WordPieceTokenizer

TEXTS = ["the cat sat on the mat.", "公园很大，我喝茶。", "one two three four five six"] * 20
SYMBOLS = ["<mask>", *(f"<extra_id_{i}>" for i in range(4))]
SIZES = {"hidden_dim": 24, "ffn_dim": 40, "num_heads": 3, "dropout": 0.0}
LAYERS = {"num_encoder_layers": 1, "num_decoder_layers": 2}


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(TEXTS, 340, control_symbols=SYMBOLS)


def make(cls, tokenizer, seed=1, **kwargs):
    keras.utils.set_random_seed(seed)
    positions = {"learned_positions": True, "max_length": 30}
    config = Config(tokenizer.vocab_size, **SIZES, **LAYERS, **positions)
    return cls(Transformer(config), tokenizer, **kwargs)


@pytest.fixture(scope="module")
def task(tokenizer):
    return make(TextInfilling, tokenizer, limits=Limits(max_length=9))


def test_texts_are_answered_together_as_if_alone(task):
    texts = ["the <mask> mat.", "公园<mask>", "one two three four five <mask>", "six"]
    together = task.answers(texts)
    assert task(texts) == [answer["text"] for answer in together]
    for text, expected in zip(texts, together, strict=True):
        (alone,) = task.answers([text])
        assert alone["text"] == expected["text"]
        assert alone["score"] == pytest.approx(expected["score"], abs=1e-4)
        assert alone["truncated"] == expected["truncated"]
    assert task([]) == []


def test_decoding_is_the_task_s_own_unless_it_is_told_otherwise(task, tokenizer):
    assert isinstance(task.strategy, Greedy)
    (short,) = task.answer(["the <mask> mat."], limits=Limits(max_length=2))
    assert task("the <mask> mat.").startswith(short)
    beam = make(TextInfilling, tokenizer, strategy=Beam(num_beams=3))
    assert beam.limits.max_length == 30  # what the model takes
    assert beam.from_settings(beam.settings()) == {"strategy": beam.strategy, "limits": beam.limits}


def test_batches_are_as_long_as_the_model_takes(task):
    batches = task.batches(TEXTS, training=True)
    assert isinstance(batches, DenoisingBatches)
    assert (batches.sequence_length, batches.source_start, batches.target_start) == (29, (), (2,))
    with pytest.raises(
        ValueError, match="`sequence_length` must be at most 29, the model's 30.*=30"
    ):
        task.batches(TEXTS, training=True, sequence_length=30)


def test_compile_has_defaults(task):
    task.compile()
    options = {"sequence_length": 24, "tokens_per_batch": 240}
    scores = task.evaluate(TEXTS[:6], data_options=options, return_dict=True, verbose=0)
    assert scores.keys() == {"loss", "token_accuracy", "perplexity", "tokens"}
    lengths = [len(ids) + 1 for ids in task.tokenizer.tokenize(TEXTS[:6]).to_list()]
    assert scores["tokens"] == sum(lengths)


def test_texts_that_are_too_long_are_refused(task):
    message = "`texts` must have at most the model's 30 tokens, .* Received: 50 tokens in 'one two"
    with pytest.raises(ValueError, match=message):
        task(["one two three four five six " * 8])


def test_what_does_not_suit_is_refused(tokenizer):
    with pytest.raises(TypeError, match="`model` must be an EncoderDecoder. Received: Sequential"):
        TextInfilling(keras.Sequential(), tokenizer)
    bare = SentencePieceTokenizer.train(TEXTS, 330)
    with pytest.raises(ValueError, match="`tokenizer` must have a `mask_id`"):
        make(TextInfilling, bare)
    with pytest.raises(ValueError, match="`tokenizer` must have sentinels <extra_id_0>.*without"):
        make(SpanDenoising, bare)
    endless = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"])
    with pytest.raises(ValueError, match="must have the special token 'bos'"):
        make(TextInfilling, endless)


NAMES = [
    name for name, cls in models.ARCHITECTURES.items() if issubclass(cls, models.EncoderDecoder)
]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_any_encoder_decoder_is_made_trained_and_saved(name, tmp_path, monkeypatch):
    cls = (SpanDenoising, TextInfilling)[NAMES.index(name) % 2]
    monkeypatch.setattr(cls, "CONTROL_SYMBOLS", SYMBOLS)
    small = {"hidden_dim": 24, "ffn_dim": 40, "num_heads": 3, "head_dim": 8, "embedding_dim": 24}
    small |= {"num_encoder_layers": 1, "num_decoder_layers": 1, "num_layers": 1}
    config = next(iter(models.ARCHITECTURES[name].PRESETS.values()))
    changes = {field: size for field, size in small.items() if hasattr(config, field)}
    preset = next(iter(models.ARCHITECTURES[name].PRESETS))
    task = cls.from_texts(
        TEXTS, f"{name}/{preset}", vocab_size=340, algorithm="bpe", changes=changes
    )
    task.compile(default_optimizer(1e-2, 2, 40))
    options = {"sequence_length": 24, "tokens_per_batch": 240}
    losses = task.fit(TEXTS, epochs=2, data_options=options, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    task.save_pretrained(tmp_path)
    texts = [f"公园{SYMBOLS[cls is SpanDenoising]}大"]
    again = Task.from_pretrained(tmp_path)
    assert type(again) is cls
    assert again(texts) == task(texts)


def test_a_base_class_says_nothing_of_noise(tokenizer):
    class Bare(DenoisingTask):
        """Neither damages nor restores."""

    bare = make(Bare, tokenizer)
    assert bare.noise() is None
    assert bare.restored("", []) is None
