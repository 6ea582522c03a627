import builtins
import importlib
import json
import os
import sys
import warnings

import keras
import numpy as np
import pytest

from tflm.generation import Greedy, Limits, Sample
from tflm.models.gpt2 import GPT2, Config
from tflm.tasks import CausalLM
from tflm.tokenizers import SentencePieceTokenizer

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
pytest.importorskip("lm_eval", reason="needs the extra tflm[lm-eval]")

with warnings.catch_warnings():  # those of the harness's own imports
    warnings.simplefilter("ignore")
    from lm_eval.api.instance import Instance

    from tflm.tasks.lm_eval_adapter import HarnessLM, cut_off

pytestmark = pytest.mark.parity

LINES = ["the cat sat on the mat.", "公园很大。我喝茶。", "one two three four"] * 2
ROWS = [
    {"question": "the cat sat on", "choices": ["the mat.", "four"], "answer": 0, "text": LINES[0]},
    {
        "question": "公园很大。",
        "choices": ["我喝茶。", "the", "two"],
        "answer": 0,
        "text": LINES[1],
    },
    {"question": "one two", "choices": ["cat", "three four"], "answer": 1, "text": LINES[2] * 20},
]
CHOICE = """
task: local_choice
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
doc_to_choice: "{{choices}}"
metric_list: [{metric: acc}]
"""
ROLLING = """
task: local_rolling
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}, {metric: bits_per_byte}]
"""
UNTIL = """
task: local_until
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{choices[answer]}}"
generation_kwargs: {until: ["."], max_gen_toks: 5, do_sample: false}
metric_list: [{metric: exact_match}]
"""


@pytest.fixture(scope="module")
def task():
    keras.utils.set_random_seed(5)
    tokenizer = SentencePieceTokenizer.train(LINES, 300)
    sizes = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1, "max_length": 24}
    model = GPT2(Config(tokenizer.vocab_size, **sizes))
    return CausalLM(model, tokenizer, strategy=Greedy(), limits=Limits(max_length=7))


@pytest.fixture(scope="module")
def harness(task):
    return HarnessLM(task)


def requests(kind, arguments):
    return [
        Instance(request_type=kind, doc={}, arguments=each, idx=i)
        for i, each in enumerate(arguments)
    ]


def direct(task, context, text):
    """The log-probability of `text` after `context`, and whether it is greedy, from the logits."""
    ids = [task.begin_id, *task.tokenizer.tokenize([context + text]).to_list()[0]]
    skipped = len(task.tokenizer.tokenize([context.rstrip()]).to_list()[0])
    inputs = {"token_ids": np.array([ids[:-1]]), "padding_mask": np.ones((1, len(ids) - 1), bool)}
    logits = np.asarray(task.model(inputs))[0].astype("float64")
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    total = sum(log_probs[i, id_] for i, id_ in enumerate(ids[1:]) if i >= skipped)
    return total, all(logits[i].argmax() == id_ for i, id_ in enumerate(ids[1:]) if i >= skipped)


def test_likelihoods_are_those_of_the_network_in_the_order_asked_for(task, harness):
    pairs = [
        ("the cat sat on", " the mat."),
        ("", "one"),
        ("公园很大。", "我喝茶。"),
        ("one ", "two"),
    ]
    pairs += [("x" * i, " cat") for i in range(9, 0, -2)]
    found = harness.loglikelihood(requests("loglikelihood", pairs))
    for (total, is_greedy), pair in zip(found, pairs, strict=True):
        expected, greedy = direct(task, *pair)
        assert total == pytest.approx(expected, abs=1e-4)
        assert is_greedy == greedy


def test_the_greedy_continuation_is_recognised(task, harness):
    text = task("one two", limits=Limits(max_length=2))
    ((_, is_greedy),) = harness.loglikelihood(requests("loglikelihood", [("one two", text)]))
    whole = task.tokenizer.tokenize(["one two" + text]).to_list()[0]
    assert is_greedy == direct(task, "one two", text)[1]
    assert len(whole) >= 3


def test_rolling_likelihoods_are_the_task_s_scores(task, harness):
    texts = [row["text"] for row in ROWS]
    found = harness.loglikelihood_rolling(requests("loglikelihood_rolling", [(t,) for t in texts]))
    assert found == task.score(texts)
    assert found[0] == pytest.approx(direct(task, "", texts[0])[0], abs=1e-4)


def test_generation_ends_before_the_first_stop_string(task, harness):
    prompts = ["the", "公园", "one two three four one two three four", "the cat"]
    whole = task.generate(prompts, max_length=6, strategy=Greedy())
    stops = [[text[2:4], text[1:3]] if len(text) > 3 else ["never"] for text in whole]
    arguments = [
        (prompt, {"until": until, "max_gen_toks": 6, "do_sample": False})
        for prompt, until in zip(prompts, stops, strict=True)
    ]
    arguments.append(("the", {"until": "never"}))
    arguments.append(("the", {"do_sample": True, "temperature": 0.5, "top_k": 3}))
    found = harness.generate_until(requests("generate_until", arguments))
    assert found[:4] == [cut_off(*pair) for pair in zip(whole, stops, strict=True)]
    assert found[4] == task("the")
    assert isinstance(found[5], str)


def test_sampling_is_asked_of_the_task(task, harness, monkeypatch):
    asked = []

    def generate(prompts, *, max_length, strategy):
        asked.append((list(prompts), max_length, strategy))
        return [""] * len(prompts)

    monkeypatch.setattr(task, "generate", generate)
    hot = {"do_sample": True, "temperature": 0.7, "top_p": 0.9}
    arguments = [("a", hot), ("b", {**hot, "temperature": 0.0}), ("c", {**hot, "until": "x"})]
    harness.generate_until(requests("generate_until", arguments))
    strategy = Sample(temperature=0.7, top_p=0.9)
    assert asked == [(["a", "c"], None, strategy), (["b"], None, Greedy())]


def test_an_unknown_option_is_refused(harness):
    request = requests("generate_until", [("a", {"num_beams": 3, "until": "x"})])
    with pytest.raises(ValueError, match="`options` must be among until, .* Received: num_beams"):
        harness.generate_until(request)


def test_text_is_cut_at_the_earliest_stop():
    assert cut_off("公园很大。我", ["我", "大。", ""]) == "公园很"
    assert cut_off("abc", ["x"]) == cut_off("abc", []) == "abc"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of the harness
def test_the_harness_runs_tasks_from_local_files(task, harness, tmp_path):
    import lm_eval
    from lm_eval.tasks import TaskManager

    data = tmp_path / "rows.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    data.write_text("".join(lines), encoding="utf-8")
    source = {"data_files": {"test": str(data)}, "cache_dir": str(tmp_path / "cache")}
    head = f"dataset_path: json\ndataset_kwargs: {json.dumps(source)}\ntest_split: test\n"
    for name, text in (("choice", CHOICE), ("rolling", ROLLING), ("until", UNTIL)):
        (tmp_path / f"{name}.yaml").write_text(text + head)
    tasks = ["local_choice", "local_rolling", "local_until"]
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    found = lm_eval.simple_evaluate(
        model=harness, tasks=tasks, task_manager=manager, bootstrap_iters=0
    )["results"]
    scores = [
        [direct(task, row["question"], f" {choice}")[0] for choice in row["choices"]]
        for row in ROWS
    ]
    right = [int(np.argmax(row)) == ROWS[i]["answer"] for i, row in enumerate(scores)]
    assert found["local_choice"]["acc,none"] == pytest.approx(np.mean(right))
    texts = [row["text"] for row in ROWS]
    size = sum(len(text.encode()) for text in texts)
    bits = -sum(task.score(texts)) / np.log(2) / size
    assert found["local_rolling"]["bits_per_byte,none"] == pytest.approx(bits, rel=1e-5)
    assert 0 <= found["local_until"]["exact_match,none"] <= 1


def test_without_the_harness_the_extra_is_named(monkeypatch):
    original = builtins.__import__

    def missing(name, *arguments, **kwargs):
        if name.startswith("lm_eval"):
            raise ImportError(name)
        return original(name, *arguments, **kwargs)

    monkeypatch.delitem(sys.modules, "tflm.tasks.lm_eval_adapter")
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"pip install 'tflm\[lm-eval\]'"):
        importlib.import_module("tflm.tasks.lm_eval_adapter")
