"""Pipelines run on Beam's local runner, in an environment of its own: `make test-beam`."""

import gzip
import importlib
import json
import random
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.generation import Greedy, Limits
from tflm.models.bert import Bert
from tflm.models.bert import Config as BertConfig
from tflm.models.gpt2 import GPT2
from tflm.models.gpt2 import Config as GPT2Config
from tflm.models.text_cnn import Config as TextCNNConfig
from tflm.models.text_cnn import TextCNN
from tflm.tasks import QuestionAnswering, SentimentAnalysis, Summarization, TextGeneration
from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer

of_beam = pytest.mark.beam
LINES = [
    "a fine film",
    "a dull, cold and far too long film",
    "这部电影很好。",
    "这部电影又长又差。",
]
PAIRS = ["Where does Ann live?\tAnn lives in Rome.", "李明住在哪里？\t王芳住在北京。李明住在上海。"]


def test_without_beam_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "tflm.export.beam", raising=False)
    with pytest.raises(ImportError, match=r"Apache Beam is an extra: pip install 'tflm\[beam\]'"):
        importlib.import_module("tflm.export.beam")


@pytest.fixture(scope="module")
def beam():
    """The module, where Beam is installed."""
    pytest.importorskip("apache_beam", reason="needs pip install 'tflm[beam]'")
    with warnings.catch_warnings():  # those of Beam's own imports
        warnings.simplefilter("ignore")
        return importlib.import_module("tflm.export.beam")


@pytest.fixture(scope="module")
def picky(tmp_path_factory):
    """A model that fails on a batch with the text "bad"; outputs of every kind."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
    def serve(text):
        bad = tf.reduce_any(tf.equal(text, "bad"))
        with tf.control_dependencies([tf.debugging.assert_equal(bad, False, "no good")]):
            length = tf.strings.length(tf.identity(text))
        return {
            "text": tf.strings.upper(text, encoding="utf-8"),
            "score": tf.cast(length, tf.float32) / 4,
            "length": length,
            "even": length % 2 == 0,
            "both": tf.stack([text, text], axis=1),
        }

    directory = tmp_path_factory.mktemp("picky")
    tf.saved_model.save(tf.Module(), str(directory / "3"), signatures={"serving_default": serve})
    return directory


class Watched:
    """A session that keeps what it was asked."""

    def __init__(self, session):
        self.session, self.asked = session, []

    def run(self, signature, inputs):
        self.asked.append([text.decode() for text in inputs["text"]])
        return self.session.run(signature, inputs)


def run(beam, model, inputs, output, *options):
    """Runs the command on the local runner: answers by file and line, and what was rejected."""
    arguments = ["--model", model, "--input", *inputs, "--output", output]
    arguments += ["--runner", "FnApiRunner", *options]
    with warnings.catch_warnings():  # those of Beam's threads
        warnings.simplefilter("ignore")
        beam.main([str(argument) for argument in arguments])
    shards = {False: [], True: []}
    for path in sorted(output.parent.glob(f"{output.name}*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        shards[".rejected-" in path.name] += map(json.loads, lines)
    return by_place(shards[False]), by_place(shards[True])


def by_place(records):
    found = {(rest.pop("file"), rest.pop("line")): rest for rest in map(dict, records)}
    assert len(found) == len(records)
    return found


def assert_same(found, expected):
    """Equal but for the rounding of numbers, which depends on the rows beside a row."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(np.ravel(value)[0], float):
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
        else:
            assert found[name] == value, (name, found, expected)


# the handler


@of_beam
def test_rows_of_like_length_are_asked_together_and_answered_in_their_order(beam, picky):
    handler = beam.SavedModelHandler(picky, rows_per_call=2, bytes_per_call=40)
    session = Watched(handler.load_model())
    batch = ["你好世界", "ab", "", {"text": "abc", "id": "7"}, "x" * 90, {"id": "8"}, "y" * 13]
    found = handler.run_inference(batch, session)
    assert session.asked == [["", "ab"], ["abc", "你好世界"], ["y" * 13], ["x" * 90]]
    assert [each.example for each in found] == batch
    texts = ["你好世界", "AB", "", "ABC", "X" * 90, "Y" * 13]
    assert [each.inference["text"] for each in found[:5] + found[6:]] == texts
    assert found[3].inference == {
        "text": "ABC",
        "score": 0.75,
        "length": 3,
        "even": False,
        "both": ["abc", "abc"],
    }
    assert "string in field 'text'. Received: the fields id" in found[5].inference.reason
    assert handler.batch_elements_kwargs() == {"min_batch_size": 2048, "max_batch_size": 2048}
    assert handler.path.name == "3"


@of_beam
def test_a_call_that_fails_is_made_again_row_by_row(beam, picky):
    handler = beam.SavedModelHandler(picky)
    session = Watched(handler.load_model())
    found = handler.run_inference(["好", "bad", "b"], session)
    assert session.asked == [["b", "好", "bad"], ["b"], ["好"], ["bad"]]
    assert [getattr(each.inference, "reason", None) for each in found][::2] == [None, None]
    assert "no good" in found[1].inference.reason and "\n" not in found[1].inference.reason


@of_beam
def test_what_cannot_be_is_refused(beam, picky, tmp_path, save):
    with pytest.raises(FileNotFoundError, match="`directory` must hold saved_model.pb"):
        beam.SavedModelHandler(tmp_path)
    with pytest.raises(ValueError, match="`rows_per_call` must be at least 1. Received: .*=0"):
        beam.SavedModelHandler(picky, rows_per_call=0)
    save(tmp_path / "n", lambda x: {"y": x}, tf.TensorSpec([None], tf.float32, name="x"))
    with pytest.raises(ValueError, match=r"take strings in 'serving_default'.*takes x \(float32\)"):
        beam.SavedModelHandler(tmp_path / "n")
    save(tmp_path / "o", lambda text: {"text": text}, *TEXT_SPEC, name="other")
    with pytest.raises(ValueError, match="`model` must take strings.*which takes nothing"):
        beam.SavedModelHandler(tmp_path / "o")
    handler = beam.SavedModelHandler(picky)
    with pytest.raises(ValueError, match="`inference_args` must be empty. Received: {'a': 1}"):
        handler.validate_inference_args({"a": 1})
    (tmp_path / "new-00000-of-00001.jsonl").touch()
    new, lines = str(tmp_path / "new"), tmp_path / "lines.txt"
    with pytest.raises(ValueError, match="`input` must match a file. Received: .*lines.txt"):
        beam.answer_files(None, handler, [str(lines)], new)
    lines.touch()
    with pytest.raises(ValueError, match="`output` must be new. Received: .*new, and there is .*"):
        beam.answer_files(None, handler, [str(lines)], new)
    with pytest.raises(ValueError, match="`output_format` must be text or tfrecord. Received:.*x"):
        beam.answer_files(None, handler, [str(lines)], new, output_format="x")
    save(tmp_path / "p", lambda text: {"line": text}, *TEXT_SPEC)
    with pytest.raises(ValueError, match="must have no output file or line. Received: line"):
        beam.answer_files(None, beam.SavedModelHandler(tmp_path / "p"), [str(lines)], new)


TEXT_SPEC = [tf.TensorSpec([None], tf.string, name="text")]


# files to files


@of_beam
def test_lines_go_to_numbered_lines_and_bad_ones_aside(beam, picky, tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes("ab\r\n\nbad\n你好\n".encode() + b"\xffz")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("第一行\nx\n".encode()))
    answers, rejected = run(beam, picky, [tmp_path / "*.txt*"], tmp_path / "out")
    a, b = str(tmp_path / "a.txt"), str(tmp_path / "b.txt.gz")
    assert {place: found["text"] for place, found in answers.items()} == {
        (a, 1): "AB",
        (a, 2): "",
        (a, 4): "你好",
        (a, 5): "\ufffdZ",
        (b, 1): "第一行",
        (b, 2): "X",
    }
    assert list(rejected) == [(a, 3)] and rejected[a, 3]["row"] == "bad"
    assert "no good" in rejected[a, 3]["reason"]
    counted = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    assert (counted["answered"], counted["rejected"], counted["calls_retried"]) == ("6", "1", "1")
    assert int(counted["text_bytes"]) == 2 + 0 + 3 + 6 + 4 + 9 + 1 < int(counted["padded_bytes"])
    with pytest.raises(SystemExit, match="2"):
        beam.main(["--model", str(picky), "--input", a, "--output", str(tmp_path / "out")])
    assert "error: `output` must be new. Received:" in capsys.readouterr().err


@of_beam
def test_records_go_to_numbered_records(beam, picky, tmp_path):
    rows = [{"text": "你好"}, {"text": "ab", "id": "7"}, {"id": "8"}, {"text": ""}]
    path = tmp_path / "rows.tfrecord.gz"
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for row in rows:
            example = tf.train.Example()
            for name, text in row.items():
                example.features.feature[name].bytes_list.value.append(text.encode())
            example.features.feature["weight"].float_list.value.append(0.5)
            writer.write(example.SerializeToString())
        writer.write(b"no example")
    formats = ["--input_format", "tfrecord", "--output_format", "tfrecord"]
    _, rejected = run(beam, picky, [path], tmp_path / "out", *formats)
    assert {place[1]: each["row"] for place, each in rejected.items()} == {3: {"id": "8"}, 5: {}}
    found = {}
    for shard in tmp_path.glob("out-*-of-*.tfrecord"):
        for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            assert features["file"].bytes_list.value[0] == str(path).encode()
            found[features["line"].int64_list.value[0]] = features
    assert sorted(found) == [1, 2, 4]
    assert [found[line]["text"].bytes_list.value[0].decode() for line in (1, 2)] == ["你好", "AB"]
    assert list(found[1]["both"].bytes_list.value) == ["你好".encode()] * 2
    assert (list(found[1]["score"].float_list.value), list(found[1]["even"].int64_list.value)) == (
        [1.5],
        [1],
    )


# the tasks


@pytest.fixture(scope="module")
def tasks(make_task):
    """A small model of every task, with random weights."""
    keras.utils.set_random_seed(5)
    pieces = SentencePieceTokenizer.train(LINES * 6 + PAIRS * 6, 330, "char")
    letters = BytePairTokenizer.train(LINES * 6, 280)
    sizes = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1, "max_length": 48}
    short = {"strategy": Greedy(), "limits": Limits(max_length=9)}
    translation = make_task(max_source_length=30, **short)
    cnn = TextCNNConfig(pieces.vocab_size, embedding_dim=16, hidden_dim=24)
    bert = BertConfig(pieces.vocab_size, **sizes)
    labels = ("bad", "good", "又好又坏")
    lengths = {"sequence_length": 48, "overlap": 12, "max_answer_length": 6}
    return {
        "translation": translation,
        "summarization": Summarization(
            translation.model, translation.source_tokenizer, max_source_length=30, **short
        ),
        "classification": SentimentAnalysis(TextCNN(cnn), pieces, labels, max_length=40),
        "pairs": SentimentAnalysis(Bert(bert), pieces, labels, pairs=True),
        "question answering": QuestionAnswering(Bert(bert), pieces, **lengths),
        "generation": TextGeneration(
            GPT2(GPT2Config(letters.vocab_size, **sizes)), letters, **short
        ),
    }


@pytest.fixture(scope="module")
def exports(tasks, tmp_path_factory):
    """A function that gives the SavedModel of a task."""
    folder, written = tmp_path_factory.mktemp("exports"), {}

    def export(name):
        if name not in written:
            written[name] = tasks[name].export(folder / name.replace(" ", "_"))
        return written[name]

    return export


def texts(count, seed, words):
    """Lines of many lengths, of English and Chinese, an empty one now and then."""
    generator = random.Random(seed)
    english, chinese = "a fine dull film cold long too and".split(), "这部电影很好又长差。"
    for _ in range(count):
        length = int(8 * generator.paretovariate(1.1) - 8) % words
        if generator.random() < 0.4:
            yield "".join(generator.choices(chinese, k=2 * length))
        else:
            yield " ".join(generator.choices(english, k=length))


@of_beam
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["translation", "summarization", "classification", "pairs", "question answering", "generation"],
)
def test_every_task_answers_as_tflm_predict_does(beam, exports, tflm, tmp_path, name):
    lines = [*LINES, *texts(60, 3, 30)]
    if name in ("pairs", "question answering"):
        lines = [*PAIRS, *(f"{a}\t{b}" for a, b in zip(lines, reversed(lines), strict=True))]
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    done = tflm("predict", exports(name), "--json", stdin=path.read_bytes())
    expected = [json.loads(line) for line in done.out.splitlines()]
    answers, rejected = run(beam, exports(name), [path], tmp_path / "out", "--rows_per_call", 7)
    assert len(expected) == len(answers) == len(lines) and not rejected
    for line, each in enumerate(expected, start=1):
        assert_same(answers[str(path), line], each)


@of_beam
@pytest.mark.slow
def test_workers_in_processes_of_their_own_open_the_model(beam, picky, tmp_path):
    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"第{line}行\n" for line in range(1, 80)), encoding="utf-8")
    command = [sys.executable, "-m", "tflm.export.beam", "--model", picky, "--input", lines]
    command += ["--output", tmp_path / "new" / "out", "--runner", "FnApiRunner"]
    command += ["--direct_num_workers", "2", "--direct_running_mode", "multi_processing"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "answered: 79" in done.stdout
    found = [
        json.loads(line)
        for path in (tmp_path / "new").glob("out-*-of-*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert {each["line"]: each["text"] for each in found} == {
        line: f"第{line}行" for line in range(1, 80)
    }


@of_beam
@pytest.mark.slow
def test_ten_thousand_lines_are_answered_as_tflm_predict_does(beam, exports, tflm, tmp_path):
    """From two files, by two workers."""
    lines = list(texts(10_000, 7, 300))
    assert lines.count("") > 20 and max(map(len, lines)) > 500
    parts = {str(tmp_path / "a.txt"): lines[:7001], str(tmp_path / "b.txt"): lines[7001:]}
    for path, part in parts.items():
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in part)
    model, given = exports("classification"), "".join(f"{line}\n" for line in lines).encode()
    expected = map(json.loads, tflm("predict", model, "--json", stdin=given).out.splitlines())
    workers = ["--direct_num_workers", 2, "--direct_running_mode", "multi_threading"]
    answers, rejected = run(beam, model, [tmp_path / "*.txt"], tmp_path / "out", *workers)
    assert len(answers) == 10_000 and not rejected
    for path, part in parts.items():
        for line in range(1, len(part) + 1):
            assert_same(answers[path, line], next(expected))
