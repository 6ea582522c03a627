import io
import logging
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from tflm.eval import parallel
from tflm.eval.metrics.bleu import BLEU
from tflm.eval.metrics.chrf import CHRF
from tflm.eval.metrics.lengths import LengthRatio, TruncatedShare
from tflm.eval.parallel import answer, compute_statistics

HYPOTHESES = [f"ein Hund {i} läuft, 我们去京都 {i % 7}" for i in range(83)]
REFERENCES = [[f"der Hund {i} läuft", f"我们去{i}"][: 1 + i % 2] for i in range(83)]
METRICS = [BLEU("zh"), CHRF(), LengthRatio()]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(parallel, "_EXAMPLES_PER_BLOCK", 9)


def test_several_processes_compute_what_one_computes():
    expected = [metric.statistics(HYPOTHESES, REFERENCES) for metric in METRICS]
    for found, rows in zip(
        compute_statistics(METRICS, HYPOTHESES, REFERENCES, num_processes=2), expected, strict=True
    ):
        np.testing.assert_array_equal(found, rows)


def test_what_a_worker_raises_is_raised_here():
    # Only the last block holds text that does not say whether it was cut, and this process waits
    # for it.
    parts = [pickle.dumps([TruncatedShare()]), pickle.dumps((["a"], ["a"]))]
    replies = io.BytesIO()
    answer(io.BytesIO(b"".join(parts)), replies)
    replies.seek(0)
    assert "must say whether they were cut" in str(pickle.load(replies))
    with pytest.raises(ValueError, match="must say whether they were cut"):
        compute_statistics([TruncatedShare()], HYPOTHESES, REFERENCES, num_processes=2)


def test_a_worker_answers_block_after_block():
    blocks = [(HYPOTHESES[:5], REFERENCES[:5]), (HYPOTHESES[5:7], REFERENCES[5:7])]
    requests = b"".join(map(pickle.dumps, [METRICS, *blocks]))
    replies = io.BytesIO()
    answer(io.BytesIO(requests), replies)
    replies.seek(0)
    for block in blocks:
        for metric, rows in zip(METRICS, pickle.load(replies), strict=True):
            np.testing.assert_array_equal(rows, metric.statistics(*block))
    assert replies.read() == b""


def test_a_dead_worker_is_reported(monkeypatch):
    monkeypatch.setattr(parallel, "_WORKER", "raise SystemExit(3)")
    monkeypatch.setattr(CHRF, "statistics", slow(CHRF.statistics))
    with pytest.raises(RuntimeError, match="that computes metrics died. Received: exit status 3"):
        compute_statistics([CHRF()], HYPOTHESES, REFERENCES, num_processes=2)


def slow(compute):
    import time

    def slower(*args):
        time.sleep(0.2)
        return compute(*args)

    return slower


def test_short_text_is_computed_in_this_process(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    (rows,) = compute_statistics([CHRF()], HYPOTHESES, REFERENCES)
    assert len(rows) == 83


def test_long_text_is_shared_by_the_cores(monkeypatch):
    monkeypatch.setattr(parallel, "_num_cores", lambda: 2)
    assert parallel._processes_that_pay(HYPOTHESES, REFERENCES) == 0
    monkeypatch.setattr(parallel, "_CHARACTERS_PER_WORKER", 300)
    assert parallel._processes_that_pay(HYPOTHESES, REFERENCES) == 2
    monkeypatch.setattr(parallel, "_num_cores", lambda: 64)
    assert parallel._processes_that_pay(HYPOTHESES, REFERENCES) == 4
    assert parallel._processes_that_pay([0.25] * 83, [1] * 83) == 0


def test_metrics_of_the_users_script_stay_in_this_process(monkeypatch):
    local = type("Local", (LengthRatio,), {"__module__": "__main__"})()
    unpicklable = LengthRatio()
    unpicklable.name = lambda: "no name"
    monkeypatch.setattr(subprocess, "Popen", None)
    for metric in (local, unpicklable):
        (rows,) = compute_statistics([metric], HYPOTHESES, REFERENCES, num_processes=2)
        np.testing.assert_array_equal(rows, LengthRatio().statistics(HYPOTHESES, REFERENCES))


def test_a_script_without_a_main_guard_is_not_run_again(tmp_path):
    script = tmp_path / "score.py"
    script.write_text(
        "from tflm.eval import CHRF, compute_statistics, parallel\n"
        "print('once')\n"
        "parallel._EXAMPLES_PER_BLOCK = 9\n"
        "texts = ['我们去京都'] * 30\n"
        "print(compute_statistics([CHRF()], texts, texts, num_processes=2)[0].shape)\n"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, env=environment
    )
    assert (done.stdout.split("\n")[0], done.stderr) == ("once", "")
    assert done.stdout.count("once") == 1


def test_workers_import_neither_keras_nor_tensorflow():
    code = "import sys, tflm.eval.parallel; print({'keras', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_tokenized_text_is_warned_of_once(caplog):
    texts = ["ein Hund ."] * 450
    parallel._EXAMPLES_PER_BLOCK = 150  # the fixture restores it
    with caplog.at_level(logging.WARNING, "sacrebleu"):
        compute_statistics([BLEU("de")], texts, texts, num_processes=2)
    assert caplog.text.count("That's 100 lines that end in a tokenized period") == 1


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="Received: 83 hypotheses, 82 references"):
        compute_statistics([CHRF()], HYPOTHESES, REFERENCES[1:], num_processes=2)
