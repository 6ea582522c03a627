"""What of `benchmarks/growth.py` is about texts: tokenizers, and pipelines of batches.

TensorFlow is imported in the functions that need it, see `growth_models`.
"""

import argparse
import dataclasses
import gzip
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from fresh_process import fresh, seconds_of

Rows = list[dict[str, Any]]  # of a table: what is in its columns
CORPORA = {
    "English, German": ("multi30k/train.en.gz", "multi30k/train.de.gz"),
    "Chinese": ("chnsenticorp/train.tsv.gz",),
}


def read(options: argparse.Namespace, names: Sequence[str]) -> list[list[str]]:
    """The first lines of each file."""
    files = []
    for name in names:
        with gzip.open(options.data / name, "rt", encoding="utf-8") as file:
            lines = (line.rstrip("\n") for line in file)
            files.append(list(itertools.islice(lines, options.lines)))
    return files


def tokenizer_rates(options: argparse.Namespace) -> Rows:
    """Millions of characters a second by corpus and tokenizer, for lines and for lines joined."""
    from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer, WordPieceTokenizer

    makers: dict[str, Callable[[list[str]], Any]] = {
        "SentencePiece BPE": lambda lines: SentencePieceTokenizer.train(lines, options.pieces),
        "SentencePiece unigram": lambda lines: SentencePieceTokenizer.train(
            lines, options.pieces, "unigram"
        ),
        "WordPiece": lambda lines: WordPieceTokenizer.train(lines, options.pieces),
        "byte-level BPE": lambda lines: BytePairTokenizer.train(lines, options.pieces),
    }
    rows = []
    for corpus, names in CORPORA.items():
        lines = [line for file in read(options, names) for line in file if line.strip()]
        size = sum(map(len, lines)) / 1e6
        for name, make in makers.items():
            tokenizer = make(lines)
            row: dict[str, Any] = {"corpus": corpus, "tokenizer": name}
            for joined in options.joined:
                given = [" ".join(lines[i : i + joined]) for i in range(0, len(lines), joined)]
                tokenizer.tokenize(given)
                times = [
                    seconds_of(lambda given=given, of=tokenizer: of.tokenize(given))
                    for _ in range(options.rounds)
                ]
                row[f"M characters/s, {joined} a text"] = size / statistics.median(times)
            rows.append(row)
    return rows


def tokenization(options: argparse.Namespace) -> dict[str, Rows]:
    """One table."""
    return {"tokenization against length of a text": fresh(tokenizer_rates, options)[0]}


def pipeline_times(options: argparse.Namespace) -> Rows:
    """Batches alone, updates alone on batches held in memory, and `fit` on the sentences."""
    import tflm  # noqa: F401 - TensorFlow, imported after it, multiplies with oneDNN

    # isort: split
    import keras
    import tensorflow as tf

    from tflm import models
    from tflm.tasks import Translation
    from tflm.tasks.fastest import training_dtype
    from tflm.tasks.translation_recipes import TranslationSettings
    from tflm.tokenizers import SentencePieceTokenizer

    pairs = list(zip(*read(options, CORPORA["English, German"]), strict=True))
    settings = TranslationSettings()
    lines = (text for pair in pairs for text in pair)
    tokenizer = SentencePieceTokenizer.train(lines, options.pieces)
    network, config = models.find(settings.preset)
    changes = {"vocab_size": tokenizer.vocab_size}
    if options.layers:
        changes |= {"num_encoder_layers": options.layers, "num_decoder_layers": options.layers}
    config = dataclasses.replace(config, **changes)
    task = Translation(network(config, dtype=training_dtype().dtype), tokenizer)
    task.compile()
    sizes = {"tokens_per_batch": options.tokens, "max_length": settings.max_length}
    began = time.perf_counter()
    epoch = task.batches(pairs, training=True, **sizes).epoch(0)
    stream = epoch.as_numpy_iterator()
    next(stream)
    first, began = time.perf_counter() - began, time.perf_counter()
    kept = list(itertools.islice(stream, options.updates))
    alone = (time.perf_counter() - began) / len(kept)

    ends: list[float] = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter())
    )

    def update_ms(data: Any, **kwargs: Any) -> float:
        ends.clear()
        steps = len(kept)
        task.fit(data, steps_per_epoch=steps, callbacks=[note], verbose=0, **kwargs)
        return (ends[-1] - ends[0]) / (len(ends) - 1) * 1e3

    held = tf.data.Dataset.from_generator(
        lambda: itertools.cycle(kept), output_signature=epoch.element_spec
    ).prefetch(4)
    update_ms(held)  # compiles
    held_ms, raw_ms = [], []
    for _ in range(options.rounds):
        held_ms.append(update_ms(held))
        raw_ms.append(update_ms(pairs, data_options=sizes))
    held_time, raw_time = statistics.median(held_ms), statistics.median(raw_ms)
    return [
        {
            "batches": len(kept),
            "s to the first": first,
            "ms a batch alone": alone * 1e3,
            "ms an update alone": held_time,
            "ms an update of fit": raw_time,
            "batch / update": alone * 1e3 / held_time,
            "fit / update": raw_time / held_time,
        }
    ]


def pipeline(options: argparse.Namespace) -> dict[str, Rows]:
    """One table."""
    return {"pipeline against updates": fresh(pipeline_times, options)[0]}
