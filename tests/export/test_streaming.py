import dataclasses
import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tflm import models
from tflm.export import TextGenerator, TextToText, save
from tflm.export.check import check
from tflm.export.saved_model_file import read
from tflm.export.session import Session
from tflm.generation import Beam, Greedy, Limits
from tflm.models.base import Decoder, EncoderDecoder
from tflm.models.gpt2 import GPT2
from tflm.models.gpt2 import Config as DecoderConfig
from tflm.models.transformer import Config, Transformer
from tflm.tokenizers import SentencePieceTokenizer

WRITERS = [
    name for name, cls in models.ARCHITECTURES.items() if issubclass(cls, EncoderDecoder | Decoder)
]
LINES = ["two dogs and a cat", "公园很大。", "你今天好吗？", "six seven eight"] * 3
TEXTS = ["two dogs and a cat two dogs", "", "公园很大。你今天好吗？", "😀\n"]
# Without repetition a model of random weights writes all kinds of pieces, bytes among them.
LIMITS = Limits(max_length=6, no_repeat_ngram_size=1)


def randomized(model, seed=1):
    model.build(None)
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(random.normal(0.0, 0.4, weight.shape))
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(LINES, 310)


@pytest.fixture(scope="module")
def translate(tokenizer):
    sizes = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3}
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 2}
    model = randomized(Transformer(Config(tokenizer.vocab_size, **sizes, **layers)))

    def make(**changes):
        options = {"strategy": Greedy(), "limits": LIMITS, "max_source_length": 15}
        return TextToText(model, tokenizer, tokenizer, **{**options, **changes})

    return make


@pytest.fixture(scope="module")
def generate(tokenizer):
    sizes = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1, "max_length": 17}
    model = randomized(GPT2(DecoderConfig(tokenizer.vocab_size, **sizes)))

    def make(**changes):
        options = {
            "begin_id": tokenizer.bos_id,
            "end_id": tokenizer.eos_id,
            "pad_id": tokenizer.pad_id,
            "strategy": Greedy(),
            "limits": LIMITS,
            "max_prompt_length": 10,
            "context_length": 17,
        }
        return TextGenerator(model, tokenizer, **{**options, **changes})

    return make


class Client:
    """Asks for one token after another."""

    def __init__(self, prefill, decode_step, names):
        self.prefill, self.decode_step, self.names = prefill, decode_step, names

    @classmethod
    def of(cls, module):
        stream = module.stream()

        def prefill(texts):
            return arrays(module.prefill(tf.constant(texts), stream))

        def decode_step(inputs):
            return arrays(stream.decode_step({n: tf.constant(x) for n, x in inputs.items()}))

        return cls(prefill, decode_step, list(stream.inputs()))

    def step(self, state):
        return {**state, **self.decode_step({name: state[name] for name in self.names})}

    def pieces(self, texts):
        """What is sent for each text, and the state after it."""
        state = self.prefill(texts)
        sent = [[text.decode()] for text in state["text"]]
        for _ in range(LIMITS.max_length):
            if state["finished"].all():
                break
            state = self.step(state)
            for row, text in zip(sent, state["text"], strict=True):
                row.append(text.decode())
        return sent, state


def arrays(found):
    return {name: value.numpy() for name, value in found.items()}


def encoded(texts):
    return np.array([text.encode() for text in texts], object)


def decoded(texts):
    return [text.decode() for text in np.asarray(texts)]


def test_a_client_streams_what_the_search_of_a_translator_writes(translate):
    module = translate()
    sent, state = Client.of(module).pieces(TEXTS)
    whole = decoded(module.hypotheses(tf.constant(TEXTS))["text"][:, 0])
    assert ["".join(row) for row in sent] == whole
    assert whole[1] == "" and sum(map(bool, whole)) == 3
    assert max(sum(map(bool, row)) for row in sent) > 2  # and not all at the end
    assert state["finished"].all()


@pytest.mark.slow
def test_a_client_streams_what_a_language_model_writes(generate):
    module = generate()
    sent, _ = Client.of(module).pieces(TEXTS)
    found = module.continuations(tf.constant(TEXTS))
    assert ["".join(row) for row in sent] == decoded(found["text"][:, 0])
    assert max(sum(map(bool, row)) for row in sent) > 2


def test_nothing_of_a_stop_string_is_sent(generate):
    plain = decoded(generate().continuations(tf.constant(TEXTS))["text"][:, 0])
    text = max(plain, key=len)
    stop = text[1:3]
    module = generate(stop=(stop, "用户："))
    sent, state = Client.of(module).pieces(TEXTS)
    assert ["".join(row) for row in sent] == [each.partition(stop)[0] for each in plain]
    assert max(sum(map(bool, row)) for row in sent) > 1
    assert state["finished"].all()


def widened(state, name, width, row=0):
    """A row's state, as a server pads it: with its first value."""
    value = state[name][row : row + 1]
    axis = {"history": 1}.get(name, value.ndim - 2 if value.ndim > 2 else None)
    if axis is None:
        return value
    sizes = [(0, 0)] * value.ndim
    sizes[axis] = (0, width - value.shape[axis])
    return np.pad(value, sizes, constant_values=value.flat[0] if value.size else 0)


@pytest.mark.parametrize("kind", ["translate", pytest.param("generate", marks=pytest.mark.slow)])
def test_requests_of_any_lengths_are_answered_in_one_batch_as_alone(kind, request):
    client = Client.of(request.getfixturevalue(kind)())
    states = []
    for steps, text in enumerate(TEXTS[i] for i in (2, 0, 3)):
        state = client.prefill([text])
        for _ in range(steps):
            state = client.step(state)
        states.append(state)
    together = client.decode_step(
        {
            name: np.concatenate([widened(state, name, 30) for state in states])
            for name in client.names
        }
    )
    for row, state in enumerate(states):
        alone = client.step(state)
        for name in ("text", "token_id", "finished", "num_written", "length"):
            assert together[name][row] == alone[name][0], name
        size = int(alone["length"][0])
        assert together["history"][row, :size].tolist() == alone["history"][0, :size].tolist()
        for name in (each for each in together if each.startswith("step_")):
            ours, theirs = together[name][row], alone[name][0]
            if ours.ndim == 3:
                ours, theirs = ours[:, :size], theirs[:, :size]
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_row_that_has_ended_stays_as_it_is_and_a_client_may_end_one(translate):
    client = Client.of(translate())
    state = client.prefill([TEXTS[0], TEXTS[2]])
    state["max_length"] = np.array([1, 6], np.int32)
    after = client.step(state)
    assert after["finished"].tolist() == [True, False]
    assert after["text"].tolist()[0] == b""
    for name in ("length", "num_written"):
        assert (after[name] - state[name]).tolist() == [0, 1]


def test_numbers_out_of_range_do_not_fail_the_other_rows(generate):
    client = Client.of(generate())
    state = client.prefill([TEXTS[0], TEXTS[2], TEXTS[2], TEXTS[2]])
    fine = client.step(state)
    broken = {name: value.copy() for name, value in state.items()}
    for name in ("length", "num_written", "max_length"):
        broken[name][1:3] = (10**6, -5)
    assert client.step(broken)["token_id"][[0, 3]].tolist() == fine["token_id"][[0, 3]].tolist()


def small_config(name, vocab_size):
    """The last config of an architecture's contract tests."""
    path = pathlib.Path(__file__).parents[1] / "models" / f"test_{name}.py"
    spec = importlib.util.spec_from_file_location(f"sizes_of_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sizes = {**module.CONTRACT[-1], "vocab_size": vocab_size}
    fields = {field.name for field in dataclasses.fields(models.ARCHITECTURES[name].Config)}
    if "target_vocab_size" in fields:
        sizes["target_vocab_size"] = None
    return models.ARCHITECTURES[name].Config(**sizes)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_a_client_streams_with_every_architecture(name, tokenizer):
    cls = models.ARCHITECTURES[name]
    model = randomized(cls(small_config(name, tokenizer.vocab_size)))
    limits = Limits(max_length=4, no_repeat_ngram_size=1)
    texts = [TEXTS[2], "", "two dogs"]
    if issubclass(cls, EncoderDecoder):
        options = {"strategy": Greedy(), "limits": limits, "max_source_length": 9}
        module = TextToText(model, tokenizer, tokenizer, **options)
        whole = module.hypotheses(tf.constant(texts))
    else:
        module = TextGenerator(
            model,
            tokenizer,
            begin_id=tokenizer.bos_id,
            end_id=tokenizer.eos_id,
            pad_id=tokenizer.pad_id,
            strategy=Greedy(),
            limits=limits,
            max_prompt_length=8,
        )
        whole = module.continuations(tf.constant(texts))
    sent, _ = Client.of(module).pieces(texts)
    # Of random weights some write special tokens alone.
    assert ["".join(row) for row in sent] == decoded(whole["text"][:, 0])


def failures(path):
    return [each for each in check(path) if each.status != "ok"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["translate", "generate"])
def test_a_saved_model_streams_what_it_answers_and_passes_every_rule(kind, request, tmp_path):
    module = request.getfixturevalue(kind)().offer("all")
    path = save(module, module.signatures(), tmp_path / kind)
    assert failures(path) == []
    session, names = Session(read(path)), list(read(path).signatures()["decode_step"].inputs)
    client = Client(
        lambda texts: session.run("prefill", {"text": encoded(texts)}),
        lambda inputs: session.run("decode_step", inputs),
        names,
    )
    sent, _ = client.pieces(TEXTS)
    whole = session.run("serving_default", {"text": encoded(TEXTS)})["text"]
    assert ["".join(row) for row in sent] == decoded(whole)
    for row, text in zip(sent, TEXTS, strict=True):
        assert "".join(client.pieces([text])[0][0]) == "".join(row)


@pytest.mark.slow
def test_all_signatures_add_little_to_a_models_size(tokenizer, tmp_path):
    """A small Transformer with a vocabulary of 8000."""
    config = dataclasses.replace(Transformer.PRESETS["small"], vocab_size=8000)
    model = Transformer(config)
    model.build(None)
    sizes = []
    for names in ([], "all"):
        module = TextToText(
            model,
            tokenizer,
            tokenizer,
            strategy=Beam(),
            limits=Limits(max_length=100),
            max_source_length=100,
        ).offer(names)
        path = save(module, module.signatures(), tmp_path / str(len(names)), warmup=())
        files = (each for each in pathlib.Path(path).rglob("*") if each.is_file())
        sizes.append(sum(each.stat().st_size for each in files))
    assert sizes[1] < 1.05 * sizes[0]
