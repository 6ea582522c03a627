"""Every task answers the same from a C program that knows nothing of Python."""

import functools
import itertools
import pathlib
import random
import shutil
import struct
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import models
from tflm.export.check import check
from tflm.export.saved_model_file import read
from tflm.generation import Beam, Greedy, Limits
from tflm.tasks import CausalLM, QuestionAnswering, SentimentAnalysis, Summarization, Translation
from tflm.tokenizers import SentencePieceTokenizer, WordPieceTokenizer

SOURCE = pathlib.Path(__file__).with_name("run_saved_model.c")
WORDS = "two dogs and a cat 公园 很大 我喝茶 six seven eight 😀 Zürich ?".split()
TRICKY = [
    "",
    "  \t",
    "😀👩\u200d👩\u200d👧",
    "e\u0301\u200b",
    "公" * 400,
    "x\x00y",
    "</s> [SEP] two",
]
SIZES = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3}
SHORT = Limits(max_length=9)


def texts(seed, count=200):
    generator = random.Random(seed)
    made = (" ".join(generator.choices(WORDS, k=generator.randint(1, 9))) for _ in range(count))
    return [*TRICKY, *made][:count]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Runs `run_saved_model` on some requests, each a column of strings for every input."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = pathlib.Path(tf.__file__).parent
    binary = tmp_path_factory.mktemp("program") / "run_saved_model"
    libraries = [str(folder / f"libtensorflow_{name}.so.2") for name in ("cc", "framework")]
    command = [compiler, "-O1", "-Wall", "-Werror", f"-I{folder}/include", str(SOURCE)]
    linked = ["-o", str(binary), *libraries, f"-Wl,-rpath,{folder}"]
    subprocess.run([*command, *linked], check=True)
    import tensorflow_text

    text_ops = pathlib.Path(tensorflow_text.__file__).parent / "python" / "ops"
    loaded = sorted(str(path) for path in text_ops.glob("*.so"))

    def run(directory, output, requests):
        model = read(directory)
        signature = model.signatures()["serving_default"]
        names = list(signature.inputs)
        feeds = ",".join(signature.inputs[name].name for name in names)
        sent = b""
        for request in requests:
            sent += struct.pack("I", len(request[names[0]]))
            for name in names:
                for text in request[name]:
                    sent += struct.pack("I", len(text.encode())) + text.encode()
        arguments = [str(model.path), feeds, signature.outputs[output].name, *loaded]
        done = subprocess.run([str(binary), *arguments], input=sent, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        return list(strings(done.stdout))

    return run


def strings(content):
    """The strings of all answers, one after another."""
    place = 0

    def number():
        nonlocal place
        place += 4
        return struct.unpack_from("I", content, place - 4)[0]

    while place < len(content):
        for _ in range(number()):
            size = number()
            yield content[place : place + size].decode()
            place += size


@functools.cache
def tokenizer():
    return SentencePieceTokenizer.train([" ".join(WORDS)] * 9, 330)


def network(name, seed=3, **sizes):
    """Random matrices, large enough that different texts get different answers."""
    keras.utils.set_random_seed(seed)
    cls = models.ARCHITECTURES[name]
    model = cls(cls.Config(tokenizer().vocab_size, **SIZES, **sizes))
    model.build(None)
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        if len(weight.shape) > 1:  # what is added to every text alike decides for all of them
            weight.assign(generator.normal(0.0, 0.5, weight.shape))
    return model


def translation():
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 1, "pre_norm": True}
    model = network("transformer", **layers)
    return Translation(model, tokenizer(), strategy=Beam(3), limits=SHORT), "text"


def summarization():
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 1}
    model = network("pointer_generator", **layers)
    limits = Limits(max_length=9, no_repeat_ngram_size=3, coverage_penalty=0.5)
    return Summarization(model, tokenizer(), strategy=Beam(3), limits=limits), "text"


def generation():
    model = network("gpt2", num_layers=1, max_length=64)
    return CausalLM(model, tokenizer(), strategy=Greedy(), limits=SHORT), "text"


def sentiment():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"公园很大我喝茶", *WORDS, "##s"]
    wordpiece = WordPieceTokenizer(list(dict.fromkeys(words)))
    model = network("transformer_encoder", num_layers=1)
    return SentimentAnalysis(model, wordpiece, ("bad", "好", "neutral")), "label"


def question_answering():
    model = network("transformer_encoder", num_layers=1)
    return QuestionAnswering(model, tokenizer(), sequence_length=48, overlap=9), "answer"


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [translation, summarization, generation, sentiment, question_answering]
)
def test_a_c_program_answers_what_the_task_answers(program, tmp_path, make):
    task, output = make()
    directory = task.export(tmp_path / "exported")
    found = list(check(directory, run=False))  # for every version of the server
    assert [each.message for each in found if each.status != "ok"] == []
    names = sorted(read(directory).signatures()["serving_default"].inputs, reverse=True)
    columns = {name: texts(seed) for seed, name in enumerate(names)}
    sizes = itertools.cycle([1, 7, 64, 28])
    requests, start = [], 0
    while start < 200:
        end = start + next(sizes)
        requests.append({name: column[start:end] for name, column in columns.items()})
        start = end
    loaded = tf.saved_model.load(str(directory))
    serve = loaded.signatures["serving_default"]
    expected = serve(**{name: tf.constant(column) for name, column in columns.items()})[output]
    found = program(directory, output, requests)
    assert found == [text.decode() for text in expected.numpy()]
    rows = list(zip(*columns.values(), strict=True))  # a question stands before its context
    answers = task.answers([row[0] for row in rows] if names == ["text"] else rows)
    assert found == [answer[output] for answer in answers]
    assert len(set(found)) > 1
