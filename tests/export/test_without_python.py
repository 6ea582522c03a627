"""Every task answers the same from a C program that knows nothing of Python."""

import functools
import itertools
import pathlib
import random
import shutil
import struct
import subprocess
import sys
from typing import NamedTuple

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

OLDER = "2.20"  # a SavedModel is for it, too, though another TensorFlow wrote it
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


def built(tensorflow, text, binary):
    """Runs `run_saved_model` on some requests, each a column of strings for every input.

    Args:
        tensorflow, text: folders of the packages whose libraries it uses.
        binary: where it is put.
    """
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    libraries = [str(tensorflow / f"libtensorflow_{name}.so.2") for name in ("cc", "framework")]
    command = [compiler, "-O1", "-Wall", "-Werror", f"-I{tensorflow}/include", str(SOURCE)]
    linked = ["-o", str(binary), *libraries, f"-Wl,-rpath,{tensorflow}"]
    subprocess.run([*command, *linked], check=True)
    loaded = sorted(str(path) for path in (text / "python" / "ops").glob("*.so"))

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


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The program with the TensorFlow that is installed."""
    import tensorflow_text

    folders = (pathlib.Path(package.__file__).parent for package in (tf, tensorflow_text))
    return built(*folders, tmp_path_factory.mktemp("program") / "run_saved_model")


@pytest.fixture(scope="module")
def older_program(request, tmp_path_factory):
    """The program with the TensorFlow before, whose wheels stay in pytest's cache."""
    folder = request.config.cache.mkdir(f"tensorflow-{OLDER}") / "packages"
    if not folder.is_dir():
        partial = folder.with_name("partial")
        shutil.rmtree(partial, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--retries", "1", "--no-deps"]
        wheels = [f"{name}=={OLDER}.*" for name in ("tensorflow-cpu", "tensorflow-text")]
        options = ["--only-binary", ":all:", "--no-compile", "--target", str(partial)]
        done = subprocess.run([*command, *options, *wheels], capture_output=True, text=True)
        if done.returncode:
            said = done.stderr.strip().rpartition("\n")[2]
            pytest.skip(f"pip cannot get TensorFlow {OLDER} and its TF Text: {said}")
        partial.rename(folder)
    packages = (folder / name for name in ("tensorflow", "tensorflow_text"))
    return built(*packages, tmp_path_factory.mktemp("older") / "run_saved_model")


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


class Asked(NamedTuple):
    """An exported task, requests to it, and its answers."""

    directory: pathlib.Path
    output: str
    requests: list[dict[str, list[str]]]
    answers: list[str]


@pytest.fixture(
    scope="module",
    params=[translation, summarization, generation, sentiment, question_answering],
    ids=lambda make: make.__name__,
)
def asked(request, tmp_path_factory):
    task, output = request.param()
    directory = task.export(tmp_path_factory.mktemp("exported"))
    names = sorted(read(directory).signatures()["serving_default"].inputs, reverse=True)
    columns = {name: texts(seed) for seed, name in enumerate(names)}
    sizes = itertools.cycle([1, 7, 64, 28])
    requests, start = [], 0
    while start < 200:
        end = start + next(sizes)
        requests.append({name: column[start:end] for name, column in columns.items()})
        start = end
    rows = list(zip(*columns.values(), strict=True))  # a question stands before its context
    answers = task.answers([row[0] for row in rows] if names == ["text"] else rows)
    return Asked(directory, output, requests, [answer[output] for answer in answers])


@pytest.mark.slow
def test_a_c_program_answers_what_the_task_answers(program, asked):
    found = list(check(asked.directory, run=False))  # for every version of the server
    assert [each.message for each in found if each.status != "ok"] == []
    columns = {
        name: tf.constant([text for request in asked.requests for text in request[name]])
        for name in asked.requests[0]
    }
    loaded = tf.saved_model.load(str(asked.directory))
    expected = loaded.signatures["serving_default"](**columns)[asked.output]
    found = program(asked.directory, asked.output, asked.requests)
    assert found == [text.decode() for text in expected.numpy()]
    assert found == asked.answers
    assert len(found) == 200 and len(set(found)) > 1


@pytest.mark.slow
def test_a_c_program_of_the_tensorflow_before_answers_the_same(older_program, asked):
    found = older_program(asked.directory, asked.output, asked.requests)
    assert len(found) == 200 and found == asked.answers
