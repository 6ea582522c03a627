"""Training throughput of `transformer/tiny` against KerasHub's BART of the same sizes.

    python benchmarks/training.py --data ../shared/data/multi30k

Both sides run `model.fit` on the same batches: Multi30k English-German, joint vocabulary of 8,000,
4,096 target tokens a batch, batches of the most frequent shape. Both sides use Adam and dropout
0.1; ours smooths its labels, KerasHub's does not. KerasHub runs in float32 and mixed_bfloat16, with
and without XLA, and its best counts. Printed: medians over alternating rounds.
"""

import argparse
import collections
import dataclasses
import itertools
import os
import pathlib
import statistics
import sys
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore", message="`shuffle=True` was passed")

import keras  # noqa: E402
import keras_hub  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from rounds import machine, median_ratio, time_rounds  # noqa: E402

from tflm import models  # noqa: E402
from tflm.data import ParallelFiles, TranslationBatches  # noqa: E402
from tflm.tasks.sequence_to_sequence import default_optimizer  # noqa: E402
from tflm.tokenizers import SentencePieceTokenizer  # noqa: E402
from tflm.training.losses import SmoothedCrossEntropy  # noqa: E402

VOCAB_SIZE = 8000
OURS = "tflm mixed_bfloat16"


def most_frequent_batches(data: pathlib.Path, count: int) -> list:
    """`count` full batches of the shape that occurs most often."""
    pairs = list(ParallelFiles(data / "train.en.gz", data / "train.de.gz"))
    tokenizer = SentencePieceTokenizer.train(itertools.chain(*pairs), VOCAB_SIZE)
    batches = TranslationBatches(
        pairs, tokenizer, tokenizer, training=True, tokens_per_batch=4096, max_length=128
    )
    by_shape = collections.defaultdict(list)
    for batch in batches.epoch(0).as_numpy_iterator():
        by_shape[batch[0]["encoder_token_ids"].shape, batch[1].shape].append(batch)
    found = max(by_shape.values(), key=len)
    return list(itertools.islice(itertools.cycle(found), count))


def dataset(batches: list) -> tf.data.Dataset:
    """The batches, held in memory, over and over."""
    stacked = tf.nest.map_structure(lambda *arrays: np.stack(arrays), *batches)
    return tf.data.Dataset.from_tensor_slices(stacked).repeat().prefetch(4)


def our_model(policy: str) -> keras.Model:
    """`transformer/tiny`, compiled as `Translation` does."""
    network, config = models.find("transformer/tiny")
    model = network(dataclasses.replace(config, vocab_size=VOCAB_SIZE), dtype=policy)
    model.compile(default_optimizer(), SmoothedCrossEntropy(0.1), jit_compile=False)
    return model


def their_model(policy: str, jit_compile: bool) -> keras.Model:
    """KerasHub's BART with the sizes of `transformer/tiny`."""
    backbone = keras_hub.models.BartBackbone(
        vocabulary_size=VOCAB_SIZE,
        num_layers=4,
        num_heads=4,
        hidden_dim=128,
        intermediate_dim=256,
        dropout=0.1,
        max_sequence_length=128,
        dtype=policy,
    )
    model = keras_hub.models.BartSeq2SeqLM(backbone=backbone, preprocessor=None)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    return model


def main() -> None:
    """Prints target tokens per second and the ratio to KerasHub's best."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="Multi30k's directory")
    parser.add_argument("--steps", type=int, default=8, help="updates in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--require", type=float, default=0.0, help="fail below this ratio")
    options = parser.parse_args()

    batches = most_frequent_batches(options.data, options.steps)
    tokens = sum(float(weight.sum()) for _, _, weight in batches)
    shape = batches[0][1].shape
    print(machine())
    print(f"batches of {shape[0]} rows x {shape[1]} target tokens, {options.steps} updates a round")
    side_models = {OURS: our_model("mixed_bfloat16"), "tflm float32": our_model("float32")}
    for policy in ("float32", "mixed_bfloat16"):
        for jit_compile in (False, True):
            name = f"KerasHub {policy}{' XLA' if jit_compile else ''}"
            side_models[name] = their_model(policy, jit_compile)

    data = dataset(batches)

    def fit(model: keras.Model) -> None:
        model.fit(data, steps_per_epoch=options.steps, epochs=1, verbose=0)

    sides = {name: (lambda model=model: fit(model)) for name, model in side_models.items()}
    seconds = time_rounds(sides, options.rounds)
    for name, times in seconds.items():
        print(f"{name:32s} {tokens / statistics.median(times):10,.0f} target tokens/s")
    theirs = min(
        (name for name in seconds if name.startswith("KerasHub")),
        key=lambda name: statistics.median(seconds[name]),
    )
    ratio = median_ratio(seconds[theirs], seconds[OURS])
    print(f"{OURS} / {theirs} (its best): {ratio:.2f}")
    sys.exit(0 if ratio >= options.require else 1)


if __name__ == "__main__":
    main()
