"""What of `benchmarks/growth.py` is about networks: decoding, training and exports.

TensorFlow is imported in the functions that need it, which run in processes of their own: the one
that starts them stays small.
"""

import argparse
import dataclasses
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Any

from fresh_process import fresh, seconds_of
from sides import Side

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE / "peers"))
from training_work import WORKS  # noqa: E402

Rows = list[dict[str, Any]]  # of a table: what is in its columns
SOURCE_WORDS, NEW_TOKENS = 20, 32
SHORT = 64  # tokens that are written where the batch grows
EXPORTS: dict[str, dict[str, Any]] = {
    "as trained": {},
    "bfloat16": {"dtype": "bfloat16"},
    "bfloat16 frozen": {"dtype": "bfloat16", "freeze": True},
    "int8": {"dtype": "int8"},
    "w8a8": {"dtype": "w8a8"},
}


def texts(count: int, vocab_size: int) -> list[str]:
    """Sources of `SOURCE_WORDS` tokens."""
    import numpy as np

    ids = np.random.default_rng(0).integers(4, vocab_size, (count, SOURCE_WORDS))
    return [" ".join(f"w{number}" for number in row) for row in ids]


def writer(options: argparse.Namespace, length: int) -> Any:
    """A task with random weights, which writes so many tokens whatever it reads."""
    from decode_models import word_tokenizer

    from tflm import models
    from tflm.generation import Greedy, Limits
    from tflm.tasks.sequence_to_sequence import SequenceToSequence

    network, config = models.find(options.preset)
    changes = {"vocab_size": options.vocabulary}
    if options.layers:
        changes |= {"num_encoder_layers": options.layers, "num_decoder_layers": options.layers}
    model = network(dataclasses.replace(config, **changes))
    limits = Limits(max_length=length, min_length=length)
    tokenizer = word_tokenizer(options.vocabulary, {"pad": 0, "unk": 1, "bos": 2, "eos": 3})
    return SequenceToSequence(model, tokenizer, strategy=Greedy(), limits=limits)


def decode_seconds(options: argparse.Namespace) -> list[tuple[int, int, float]]:
    """Seconds of writing by length and batch, which take turns in every round."""
    import tflm  # noqa: F401 - TensorFlow, imported after it, multiplies with oneDNN

    # isort: split
    import tensorflow as tf

    task = writer(options, 1)
    sizes = [(length, options.batch) for length in options.lengths]
    sizes += [(SHORT, batch) for batch in options.batches]
    write: dict[int, Any] = {}
    for length, _ in sizes:
        limits = dataclasses.replace(task.limits, max_length=length, min_length=length)
        write[length] = tf.function(
            task.text_to_text(limits=limits).hypotheses,
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )
    seconds: dict[tuple[int, int], list[float]] = {}
    for number in range(options.rounds + 1):  # the first one compiles
        for length, batch in dict.fromkeys(sizes):
            sources = tf.constant(texts(batch, options.vocabulary))
            began = time.perf_counter()
            found = write[length](sources)["truncated"].numpy()
            if number:
                seconds.setdefault((length, batch), []).append(time.perf_counter() - began)
            assert found.all()  # none ended before its length
    return [(*size, statistics.median(seconds[size])) for size in sizes]


def decode(options: argparse.Namespace) -> dict[str, Rows]:
    """Two tables: against length, against batch."""
    found, _ = fresh(decode_seconds, options)
    rows = [
        {
            "written": length,
            "batch": batch,
            "s": seconds,
            "ms a step": seconds / length * 1e3,
            "tokens/s": length * batch / seconds,
        }
        for length, batch, seconds in found
    ]
    count = len(options.lengths)
    return {"decoding against length": rows[:count], "decoding against batch": rows[count:]}


def training(options: argparse.Namespace) -> dict[str, Rows]:
    """A process for each length, `benchmarks/training.py`'s side of ours."""
    rows = []
    for length in options.lengths:
        work = dataclasses.replace(
            WORKS[options.workload], length=length, rows=max(options.tokens // length, 1)
        )
        if options.layers:
            work = dataclasses.replace(work, layers=options.layers)
        settings = {"library": "tflm", "dtype": "default", "steps": 2}
        command = [sys.executable, str(HERE / "peers" / "keras_training.py")]
        given = {**settings, "work": dataclasses.asdict(work)}
        with Side(f"training at length {length}", command, given) as side:
            start = side.peak_bytes()
            side.run()
            times = [side.run()["seconds"] / settings["steps"] for _ in range(options.rounds)]
            rows.append(
                {
                    "length": length,
                    "rows": work.rows,
                    "ms an update": statistics.median(times) * 1e3,
                    f"{work.unit}/s": work.units / statistics.median(times),
                    "peak MiB": side.peak_bytes() / 2**20,
                    "of it before": start / 2**20,
                    "dtype": side.info["name"].removeprefix("tflm "),
                }
            )
    return {f"training {options.workload} against length": rows}


def write_export(options: argparse.Namespace, directory: str, kind: str) -> tuple[float, str]:
    """Exports a task: the seconds of that, and the version's directory."""
    task = writer(options, NEW_TOKENS)
    began = time.perf_counter()
    version = task.export(directory, **EXPORTS[kind])
    return time.perf_counter() - began, str(version)


def first_requests(version: str, sources: list[str], rounds: int) -> tuple[float, float, float]:
    """Seconds of loading, of the first request, and of one of the next, in a server's place."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401 - its ops

    began = time.perf_counter()
    loaded = tf.saved_model.load(version)
    load = time.perf_counter() - began
    serve = loaded.signatures["serving_default"]

    def ask() -> Any:
        return serve(text=tf.constant(sources))["text"].numpy()

    first, *later = [seconds_of(ask) for _ in range(rounds + 1)]
    return load, first, statistics.median(later)


def export(options: argparse.Namespace) -> dict[str, Rows]:
    """A process that writes and one that answers, for each kind of export."""
    rows = []
    for kind in EXPORTS:
        with tempfile.TemporaryDirectory() as directory:
            (taken, version), write_mib = fresh(write_export, options, directory, kind)
            files = [path for path in pathlib.Path(directory).rglob("*") if path.is_file()]
            sources = texts(options.batch, options.vocabulary)
            times, mib = fresh(first_requests, version, sources, options.rounds)
            rows.append(
                {
                    "export": kind,
                    "s to write": taken,
                    "peak MiB there": write_mib,
                    "MiB on disk": sum(path.stat().st_size for path in files) / 2**20,
                    "s to load": times[0],
                    "s first request": times[1],
                    "s a request": times[2],
                    "peak MiB": mib,
                }
            )
    return {f"exports, {NEW_TOKENS} tokens for {options.batch} texts": rows}
