import math
import types

import keras
import pytest
import tensorflow as tf

from tflm.eval import Likelihood
from tflm.generation import Greedy, Limits
from tflm.models.gpt2 import GPT2, Config
from tflm.tasks import CausalLM, likelihood
from tflm.tasks.base import Task
from tflm.tasks.likelihood import (
    evaluate_likelihood,
    likelihood_metrics,
    likelihood_report,
    open_likelihoods,
)
from tflm.tokenizers import SentencePieceTokenizer

TEXTS = ["the cat sat on the mat.", "公园很大。我喝茶。", "", "one two three four " * 9, "茶"]
SIZES = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1, "max_length": 24}


@pytest.fixture(scope="module")
def task():
    keras.utils.set_random_seed(5)
    tokenizer = SentencePieceTokenizer.train(TEXTS * 3, 300)
    model = GPT2(Config(tokenizer.vocab_size, **SIZES))
    return CausalLM(model, tokenizer, strategy=Greedy(), limits=Limits(max_length=3))


@pytest.fixture(scope="module")
def exported(task, tmp_path_factory):
    return task.export(tmp_path_factory.mktemp("exported") / "lines")


def totals(found):
    return [each.log_probability for each in found], [each.num_tokens for each in found]


def test_a_language_model_says_the_same_wherever_it_is(task, exported, tmp_path, monkeypatch):
    task.save_pretrained(tmp_path / "run" / "model")
    expected, counts = totals(task.likelihoods(TEXTS))
    assert counts[2] == 0 and expected[2] == 0
    for location in (tmp_path / "run", exported.parent):
        found = totals(open_likelihoods(location)(TEXTS))
        assert found == (pytest.approx(expected, rel=1e-5), counts)
    asked = []
    serve = tf.saved_model.load(str(exported)).signatures["score"]

    def open_served(address, signature):
        asked.append((address, signature))

        def answer(texts):
            found = serve(text=tf.constant(texts, tf.string))
            rows = {name: value.numpy().tolist() for name, value in found.items()}
            return [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]

        return answer

    monkeypatch.setattr(likelihood, "open_served", open_served)
    served = open_likelihoods("grpc://host:8500/lines")
    assert totals(served(TEXTS)) == (pytest.approx(expected, rel=1e-5), counts)
    assert served([]) == []
    assert asked == [("grpc://host:8500/lines", "score")]


def test_perplexity_is_by_tokens_and_has_an_interval(task, exported):
    report, metrics = evaluate_likelihood(f"{exported}/", TEXTS, data="five")
    assert [metric.name for metric in metrics] == [
        *("perplexity", "bits_per_character", "bits_per_byte"),
    ]
    total, count = map(sum, totals(task.likelihoods(TEXTS)))
    assert report["perplexity"].value == pytest.approx(math.exp(-total / count), rel=1e-5)
    characters, size = len("".join(TEXTS)), len("".join(TEXTS).encode())
    bits = -total / math.log(2)
    assert report["bits_per_character"].value == pytest.approx(bits / characters, rel=1e-5)
    assert report["bits_per_byte"].value == pytest.approx(bits / size, rel=1e-5)
    assert report["perplexity"].interval.low < report["perplexity"].value
    assert (report.task, report.data, report.num_examples) == ("causal_lm", "five", 5)
    assert report.settings == {"model": "lines/1"}
    assert report.hypotheses == report.references == ()
    assert [text.num_bytes for text in report.likelihoods] == [len(t.encode()) for t in TEXTS]
    assert sum(text.log_probability for text in report.likelihoods) == pytest.approx(
        total, rel=1e-5
    )


def test_metrics_may_be_named():
    names = [metric.name for metric in likelihood_metrics(["word_perplexity", "bits_per_byte"])]
    assert names == ["word_perplexity", "bits_per_byte"]
    with pytest.raises(ValueError, match="must be one that reads likelihoods: .*metric='bleu'"):
        likelihood_metrics(["perplexity", "bleu"])


def test_a_single_text_has_no_interval(tmp_path):
    report = likelihood_report([Likelihood(-3.0, 2)], ["北京"], likelihood_metrics())
    assert report["perplexity"].interval is None
    report.write(tmp_path)
    assert (tmp_path / "hypotheses.txt").read_text(encoding="utf-8") == ""


def test_another_model_is_refused(tmp_path, monkeypatch):
    module = tf.Module()
    spec = tf.TensorSpec([None], tf.string, name="source")
    module.score = tf.function(lambda source: {"score": source}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"score": module.score})
    with pytest.raises(ValueError, match="`model` must be a language model.* signatures score in"):
        open_likelihoods(tmp_path)
    answer = [{"text": "", "score": 0.5}]
    monkeypatch.setattr(likelihood, "open_served", lambda *args: lambda texts: answer)
    with pytest.raises(ValueError, match="must be a language.*Received: score, text from http://h"):
        open_likelihoods("http://h/v1/models/m")(["a"])
    monkeypatch.setattr(likelihood, "task_directory", lambda path: path)
    monkeypatch.setattr(Task, "from_pretrained", lambda path: types.SimpleNamespace())
    with pytest.raises(ValueError, match="language model.* Received: a SimpleNamespace in run"):
        open_likelihoods("run")
    with pytest.raises(ValueError, match="`model` must be http://host:port/v1/models/NAME"):
        monkeypatch.undo()
        open_likelihoods("http://h/m")
