"""A side of `benchmarks/training.py`: `model.fit` of ours, or of KerasHub's network as large."""

import dataclasses
import itertools
import json
import sys
from collections.abc import Iterator
from importlib import metadata

import tflm  # noqa: F401  before Keras: both multiply with oneDNN, KerasHub too

# isort: split
import keras
import numpy as np
import tensorflow as tf
from sides import serve_rounds
from training_work import Batch, Work, batches


def our_dtype(wanted: str) -> tuple[str, str]:
    """The dtype policy of a run that is told nothing, or the other one; and its name for people."""
    from tflm.tasks.fastest import training_dtype

    default = training_dtype().dtype
    if wanted == "default":
        return default, f"{default} (default)"
    other = "float32" if default != "float32" else "mixed_bfloat16"
    return other, other


def our_task(work: Work, dtype: str) -> keras.Model:
    """A task of the library, compiled as it is where nothing is said."""
    from tflm import models
    from tflm.tasks import CausalLM, SentimentAnalysis, Translation
    from tflm.tokenizers import SentencePieceTokenizer

    network, config = models.find(work.preset)
    depth = [name for name in vars(config) if name.startswith("num_") and name.endswith("layers")]
    config = dataclasses.replace(
        config,
        vocab_size=work.vocab_size,
        hidden_dim=work.hidden_dim,
        ffn_dim=work.ffn_dim,
        num_heads=work.num_heads,
        **dict.fromkeys(depth, work.layers),
    )
    # Batches come as arrays: the tokenizer is there because a task has one.
    tokenizer = SentencePieceTokenizer.train(["a text"], 300, "char")
    tasks = {
        "translation": Translation,
        "classification": SentimentAnalysis,
        "language model": CausalLM,
    }
    task = tasks[work.kind](network(config, dtype=dtype), tokenizer)
    task.compile()
    return task


def keras_hub_model(work: Work, dtype: str, jit_compile: bool) -> keras.Model:
    """KerasHub's network of the sizes, without clipped gradients, smoothed labels and metrics."""
    from keras_hub import models

    backbone, longest, model, options = {
        "translation": (models.BartBackbone, 128, models.BartSeq2SeqLM, {}),
        "classification": (models.BertBackbone, 512, models.BertTextClassifier, {"num_classes": 2}),
        "language model": (models.GPT2Backbone, 1024, models.GPT2CausalLM, {}),
    }[work.kind]
    built = model(
        backbone=backbone(
            vocabulary_size=work.vocab_size,
            num_layers=work.layers,
            num_heads=work.num_heads,
            hidden_dim=work.hidden_dim,
            intermediate_dim=work.ffn_dim,
            dropout=0.1,
            max_sequence_length=max(work.length, longest),
            dtype=dtype,
        ),
        preprocessor=None,
        **options,
    )
    built.compile(
        optimizer=keras.optimizers.Adam(1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=None,
        weighted_metrics=None,  # by default it counts the likeliest tokens that are right
        jit_compile=jit_compile,
    )
    return built


def our_data(work: Work, found: list[Batch]) -> tf.data.Dataset:
    """The batches over and over, of the sizes unknown to the graph that they have in our tasks."""
    from tflm.data.generated import generated

    width = work.length if work.kind == "language model" else None

    def spec(array: np.ndarray) -> tf.TensorSpec:
        return tf.TensorSpec((None, width)[: array.ndim], array.dtype)

    def forever() -> Iterator[Batch]:
        return itertools.cycle(found)

    signature = tf.nest.map_structure(spec, found[0])
    return generated(forever, signature, num_ahead=4)


def keras_hub_data(work: Work, found: list[Batch]) -> tf.data.Dataset:
    """The batches over and over, of sizes known to the graph, which XLA likes best."""
    if work.kind == "classification":
        found = [({**x, "segment_ids": np.zeros_like(x["token_ids"])}, *y) for x, *y in found]
    stacked = tf.nest.map_structure(lambda *arrays: np.stack(arrays), *found)
    options = tf.data.Options()  # as ours: see `tflm.data.generated`
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_tensor_slices(stacked).repeat().prefetch(4)
    return dataset.with_options(options)


def main() -> None:
    """Serves rounds of some updates each."""
    settings = json.loads(sys.argv[1])
    work, steps = Work(**settings["work"]), settings["steps"]
    found = batches(work, steps)
    if settings["library"] == "tflm":
        dtype, name = our_dtype(settings["dtype"])
        model, data = our_task(work, dtype), our_data(work, found)
        versions = ("tensorflow", "keras")
    else:
        dtype, jit_compile = settings["dtype"], settings["jit_compile"]
        name = f"{dtype}{' XLA' if jit_compile else ''}"
        model = keras_hub_model(work, dtype, jit_compile)
        data = keras_hub_data(work, found)
        versions = ("tensorflow", "keras", "keras-hub")

    def run() -> float:
        history = model.fit(data, steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
        return float(history.history["loss"][-1])

    info = {
        "name": f"{settings['library']} {name}",
        "versions": {package: metadata.version(package) for package in versions},
        "parameters": model.count_params(),
    }
    serve_rounds(run, info)


if __name__ == "__main__":
    main()
