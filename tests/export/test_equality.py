"""Every exported task equals its Python self on real texts, asked in a process without `tflm`."""

import base64
import gzip
import itertools
import json
import math
import pathlib
import random
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import models
from tflm.data import SquadFiles
from tflm.export.options import OPTIONS
from tflm.generation import Beam, Greedy, Limits, Sample
from tflm.tasks import (
    QuestionAnswering,
    SentimentAnalysis,
    Summarization,
    TextGeneration,
    Translation,
)
from tflm.tasks.question_answering import train_tokenizer
from tflm.tokenizers import SentencePieceTokenizer

pytestmark = pytest.mark.slow

CLIENT = pathlib.Path(__file__).with_name("saved_model_client.py")
BATCH_SIZES = (1, 7, 64)
# 50,000 characters each. Repeated passages would have spans that score alike, of which rounding
# chooses one.
CHANCE = random.Random(1)
LONG = (
    " ".join(CHANCE.choices(["two", "dogs,", "a", "cat", "and", "the", "park"], k=20_000))[:50_000],
    "".join(CHANCE.choices("公园很大。小狗跑", k=50_000)),
)
HARD = [
    b"",
    b" \t\n ",
    "😀👩\u200d👩\u200d👧 e\u0301\u200b".encode(),
    b"\xff\xfe two \xe4\xbd dogs \xc3",
    b"a\x00b </s> [SEP]",
    *(text.encode() for text in LONG),
]
SIZES = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3}
LAYERS = {"num_encoder_layers": 1, "num_decoder_layers": 1}
SHORT = Limits(max_length=9, no_repeat_ngram_size=3)


# Real texts


def file_of(folder, name):
    path = folder / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path


def lines(folder, name, count):
    """The first lines that are not blank."""
    path = file_of(folder, name)
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open()
    with opened as file:
        found = itertools.islice((line for line in file if line.strip()), count)
        return [line.rstrip("\n") for line in found]


def field(rows, number):
    return [row.split("\t")[number] for row in rows]


@pytest.fixture(scope="module")
def sentences(shared_data):
    """English and Chinese."""
    chinese = field(lines(shared_data, "tatoeba_zh_en/dev.tsv", 240), 1)
    return [*lines(shared_data, "multi30k/test_2016_flickr.en.gz", 260), *chinese]


@pytest.fixture(scope="module")
def documents(shared_data):
    """Dialogues in English, and abstracts in Chinese."""
    names = {"dialogsum/dev.jsonl": ("dialogue", 260), "csl_title/dev.jsonl": ("abstract", 240)}
    return [
        json.loads(line)[key]
        for name, (key, count) in names.items()
        for line in lines(shared_data, name, count)
    ]


@pytest.fixture(scope="module")
def reviews(shared_data):
    """English and Chinese."""
    names = ("sst2/dev.tsv", "chnsenticorp/dev.tsv")
    return [text for name in names for text in field(lines(shared_data, name, 250), 0)]


@pytest.fixture(scope="module")
def prompts(shared_data, sentences):
    plays = lines(shared_data, "tinyshakespeare/input.txt.gz", 250)
    return [*plays, *lines(shared_data, "wikitext2/valid.txt.gz", 130), *sentences[260:380]]


@pytest.fixture(scope="module")
def questions(shared_data):
    """Questions with their contexts, by language."""
    files = {"en": "squad/dev.json.gz", "zh": "cmrc2018/trial.json.gz"}
    return {
        language: list(itertools.islice(SquadFiles(file_of(shared_data, name)), 1500))
        for language, name in files.items()
    }


# Networks with random weights


def scattered(task, seed=3):
    """Random matrices, large enough that different texts get different answers."""
    generator = np.random.default_rng(seed)
    for part in task.parts.values():
        for weight in part.weights:
            if len(weight.shape) > 1:  # what is added to every text alike decides for all of them
                weight.assign(generator.normal(0.0, 0.5, weight.shape))
    return task


def network(name, tokenizer, **sizes):
    keras.utils.set_random_seed(3)
    cls = models.ARCHITECTURES[name]
    return cls(cls.Config(tokenizer.vocab_size, **{**SIZES, **sizes}))


@pytest.fixture(scope="module")
def pieces(sentences, documents):
    return SentencePieceTokenizer.train([*sentences, *documents], 2500, character_coverage=0.98)


# The other process


def sendable(values):
    return [
        base64.b64encode(value).decode() if isinstance(value, bytes) else value for value in values
    ]


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """A function that gives what a SavedModel answers to batches, each a list for every input."""
    errors = tmp_path_factory.mktemp("client") / "errors.txt"
    with errors.open("w") as file:
        client = subprocess.Popen(
            [sys.executable, str(CLIENT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )

    def asked(directory, batches, signature="serving_default"):
        sent = [{name: sendable(values) for name, values in batch.items()} for batch in batches]
        client.stdin.write(json.dumps([str(directory), signature, sent]) + "\n")
        client.stdin.flush()
        line = client.stdout.readline()
        assert line, errors.read_text()[-2000:]
        found = json.loads(line)
        assert found["ours"] == []
        return found["answers"]

    yield asked
    client.stdin.close()
    client.wait(timeout=60)
    client.stdout.close()


def batches_of(rows, names):
    """No row, and then 1, 7, 64, 1, ... until there are no more."""
    sizes, start = itertools.chain([0], itertools.cycle(BATCH_SIZES)), 0
    while start < len(rows):
        end = start + next(sizes)
        yield {name: [row[i] for row in rows[start:end]] for i, name in enumerate(names)}
        start = end


def assert_same(found, expected, name):
    if isinstance(expected[0], float) or isinstance(expected[0], list) and name != "labels":
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4, err_msg=name)
    else:
        assert found == expected, name


def check(task, rows, ask, directory):
    """Asks an export and its task the same, in different batches; returns the answers by name.

    Args:
        rows: bytes, one a text or one for each field.
    """
    rows = [*HARD, *rows] if task.fields == ("text",) else rows
    rows = [row if isinstance(row, tuple) else (row,) for row in rows]
    assert len(rows) >= 500
    answers = ask(task.export(directory, warmup=()), list(batches_of(rows, task.fields)))
    assert all(values == [] for values in answers[0].values())
    # What is no UTF-8 is read as U+FFFD.
    texts = [tuple(text.decode(errors="replace") for text in row) for row in rows]
    ours = task.answers([row if len(row) > 1 else row[0] for row in texts])
    expected = {name: [answer[name] for answer in ours] for name in ours[0]}
    assert expected.keys() == answers[0].keys()
    for name, values in expected.items():
        assert_same([value for batch in answers for value in batch[name]], values, name)
    return expected


def encoded(texts):
    return [text.encode() for text in texts]


# Text to text


@pytest.mark.parametrize("strategy", [Beam(3), Greedy()], ids=["beam", "greedy"])
def test_translations_are_the_same(strategy, pieces, sentences, ask, tmp_path):
    model = network("transformer", pieces, **LAYERS, pre_norm=True)
    options = {"strategy": strategy, "limits": SHORT, "max_source_length": 50}
    task = scattered(Translation(model, pieces, **options))
    found = check(task, encoded(sentences), ask, tmp_path)
    assert len(set(found["text"])) > 100
    assert found["text"][0] == ""
    assert found["truncated"][len(HARD) - 2 : len(HARD)] == [True, True]


def test_translations_drawn_with_a_seed_are_the_same(pieces, sentences, ask, tmp_path):
    """A row's seed is its place in the batch: here the batches are the same on both sides."""
    model = network("transformer", pieces, **LAYERS, pre_norm=True)
    strategy = Sample(temperature=0.8, top_k=20, top_p=0.95)
    task = scattered(Translation(model, pieces, strategy=strategy, limits=SHORT))
    rows = [(row,) for row in [*HARD[:-2], *encoded(sentences)]]
    batches = list(batches_of(rows, ("text",)))
    answers = ask(task.export(tmp_path, warmup=()), batches)
    spec = tf.TensorSpec([None], tf.string)
    write = tf.function(task.text_to_text().hypotheses, [spec], autograph=False)
    for batch, answer in zip(batches, answers, strict=True):
        found = write(tf.constant(batch["text"], tf.string))
        assert answer["text"] == [text.decode() for text in found["text"][:, 0].numpy()]
        np.testing.assert_allclose(answer["score"], found["score"][:, 0], atol=1e-4)
    texts = [text for answer in answers for text in answer["text"]]
    assert len(set(texts)) > 100


@pytest.mark.parametrize("name", ["pointer_generator", "transformer"])
def test_summaries_are_the_same(name, pieces, documents, ask, tmp_path):
    model = network(name, pieces, **LAYERS)
    copies = name == "pointer_generator"
    limits = Limits(9, no_repeat_ngram_size=3, coverage_penalty=0.5 if copies else 0.0)
    options = {"strategy": Beam(3), "limits": limits, "max_length_ratio": 0.5}
    task = scattered(Summarization(model, pieces, max_source_length=90, **options))
    found = check(task, encoded(documents), ask, tmp_path)
    assert len(set(found["text"])) > 100
    assert found["truncated"][len(HARD) - 2 : len(HARD)] == [True, True]


@pytest.mark.parametrize(
    ("strategy", "stop"), [(Greedy(), ["e", "的"]), (Beam(3), [])], ids=["greedy", "beam"]
)
def test_continuations_are_the_same(strategy, stop, pieces, prompts, ask, tmp_path):
    model = network("gpt2", pieces, num_layers=1, max_length=50)
    options = {"strategy": strategy, "limits": SHORT, "stop": stop}
    task = scattered(TextGeneration(model, pieces, **options))
    found = check(task, encoded(prompts), ask, tmp_path)
    assert len(set(found["text"])) > 100
    assert found["truncated"][len(HARD) - 2 : len(HARD)] == [True, True]
    assert not stop or set(found["finished"]) == {True, False}


def test_continuations_drawn_with_seeds_are_the_same(pieces, prompts, ask, tmp_path):
    """By the signature `options`, in other batches than the task's own."""
    model = network("gpt2", pieces, num_layers=1, max_length=50)
    task = scattered(TextGeneration(model, pieces, strategy=Greedy(), limits=SHORT))
    rows = [*HARD, *encoded(prompts)]
    asked = [(row, 0, 0.0, 0.7, 20, 0.9, 5 + i) for i, row in enumerate(rows)]
    batches = list(batches_of(asked, ("text", *OPTIONS)))
    answers = ask(task.export(tmp_path, signatures="options", warmup=()), batches, "options")
    strategy = Sample(temperature=0.7, top_k=20, top_p=0.9)
    texts = [text.decode(errors="replace") for text in rows]
    found = task.n_best(texts, strategy=strategy, seed=5)
    columns = {name: [row for each in answers for row in each[name]] for name in answers[0]}
    assert columns["text"] == [row[0] for row in found["text"]]
    np.testing.assert_allclose(columns["score"], [row[0] for row in found["score"]], atol=1e-4)
    for name in ("finished", "truncated"):
        assert columns[name] == found[name]
    assert len(set(columns["text"])) > 250


# Labels


@pytest.mark.parametrize("kind", ["single label", "several labels", "pairs"])
def test_labels_are_the_same(kind, pieces, reviews, ask, tmp_path):
    model = network("bert", pieces, num_layers=1, max_length=60)
    options = {"multi_label": kind == "several labels", "pairs": kind == "pairs"}
    task = scattered(SentimentAnalysis(model, pieces, ("差", "好", "neutral"), **options))
    rows = encoded(reviews)
    if kind == "pairs":
        hard = [*zip(HARD, reversed(HARD), strict=True), *((each, b"a dog") for each in HARD)]
        rows = [*hard, *zip(rows, [*rows[7:], *rows[:7]], strict=True)]
    found = check(task, rows, ask, tmp_path)
    assert len(set(found["label"])) > 1
    assert set(found["truncated"]) == {True, False}
    if kind == "several labels":
        assert len({sum(map(bool, labels)) for labels in found["labels"]}) > 2


# Answers


def reader(examples, algorithm, **options):
    tokenizer = train_tokenizer(examples, 900, algorithm)
    model = network("transformer_encoder", tokenizer, num_layers=1)
    sizes = {"sequence_length": 64, "overlap": 16, "max_question_length": 20}
    return scattered(QuestionAnswering(model, tokenizer, **sizes, **options))


def middle(task, examples):
    """A threshold that refuses about half of the answers, far from the probability of any."""
    pairs = [(each.question, each.context) for each in examples]
    chances = np.sort([answer["no_answer_probability"] for answer in task.answers(pairs)])
    few = slice(2 * len(chances) // 5, 3 * len(chances) // 5)
    widest = few.start + int(np.argmax(np.diff(np.log(chances[few]))))
    return float(np.sqrt(chances[widest] * chances[widest + 1]))


@pytest.mark.parametrize("unanswerable", [False, True])
@pytest.mark.parametrize(("language", "algorithm"), [("en", "bpe"), ("zh", "char")])
def test_answers_are_the_same(language, algorithm, unanswerable, questions, ask, tmp_path):
    examples = questions[language][:500]
    task = reader(examples, algorithm, unanswerable=unanswerable)
    if unanswerable:
        task.no_answer_threshold = middle(task, examples)
    hard = [("谁住在哪里？".encode(), each) for each in HARD]
    hard += [(each, b"Ann and Bob wrote it in 1990.") for each in HARD]
    rows = [(each.question.encode(), each.context.encode()) for each in examples]
    found = check(task, [*hard, *rows], ask, tmp_path)
    assert len(set(found["answer"])) > 100
    assert unanswerable or all(found["answer"][5:7])  # somewhere in 50,000 characters
    assert found["truncated"][12:14] == [True, True]  # questions of 50,000
    if unanswerable:
        assert 0.3 < found["answer"].count("") / len(rows) < 0.7


def exhaustive(task, question, context):
    """The best of every span of every window, and its probability among them."""
    module = task.question_answerer()
    passages = task.reader.read([question], [context])
    logits = np.asarray(module._logits(passages.inputs), "float64")
    odds = logits - logits[:, :1]
    mask = passages.inputs["answer_mask"].numpy()
    starts, ends = passages.starts.numpy(), passages.ends.numpy()
    best, total = (-math.inf, 0, 0), []
    for row, window in enumerate(odds):
        places = [int(place) for place in np.flatnonzero(mask[row]) if place]
        for first in places:
            for last in places:
                if 0 <= last - first < task.max_answer_length:
                    score = float(window[first, 0] + window[last, 1])
                    total.append(score)
                    if score > best[0]:
                        best = score, int(starts[row, first]), int(ends[row, last])
    largest = max(total)
    share = math.exp(best[0] - largest) / math.fsum(math.exp(each - largest) for each in total)
    return best[1], best[2], share


@pytest.mark.parametrize(("language", "algorithm"), [("en", "bpe"), ("zh", "char")])
def test_an_answer_is_that_of_exhaustive_search_over_all_windows(
    language, algorithm, questions, ask, tmp_path
):
    examples = questions[language]
    task = reader(examples, algorithm)
    passages = list(dict.fromkeys(each.context for each in examples))
    joined = "\n".join(passages)
    lengths = (12, 130, 700, 3000, 9000, 20_000)
    assert len(joined) > 700 * len(lengths) + 20_000
    rows = [
        (examples[i].question, joined[700 * i : 700 * i + length])
        for i, length in enumerate(lengths)
    ]
    batch = {name: encoded(row[i] for row in rows) for i, name in enumerate(task.fields)}
    (answers,) = ask(task.export(tmp_path, warmup=()), [batch])
    for i, (question, context) in enumerate(rows):
        start, end, share = exhaustive(task, question, context)
        assert (answers["start"][i], answers["end"][i]) == (start, end)
        assert answers["answer"][i] == context[start:end]
        assert answers["score"][i] == pytest.approx(share, abs=1e-4)
    assert len(set(answers["start"])) > 3
