"""Models out: as this zoo writes them, or as the transformers library opens them."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import safetensors.numpy
from keras import ops

from tflm import models
from tflm.checkpoints import backbones, families
from tflm.checkpoints.assembly import path_of
from tflm.checkpoints.chat_template import load_chat_template, save_chat_template
from tflm.checkpoints.hub import GENERATION_FILE, TOKENIZER_FILES
from tflm.checkpoints.loading import (
    CONFIG_FILE,
    MODEL_FILE,
    TOKENIZER_DIRECTORY,
    load_model,
    load_tokenizer,
    locate,
)
from tflm.checkpoints.mapping import Rule, same
from tflm.checkpoints.tensors import INDEX_FILE, WEIGHTS_FILE
from tflm.models.base import Model

FORMATS = ("tflm", "huggingface")
SHARD_BYTES = 5_000_000_000


def save_pretrained(
    model: Model,
    directory: str | os.PathLike,
    tokenizer: Any = None,
    format: str = "tflm",  # noqa: A002
    shard_bytes: int = SHARD_BYTES,
) -> pathlib.Path:
    """Writes a model's configuration, weights and tokenizer into one directory.

    Everything is written beside the directory and then moved into it: a failure leaves what was
    there before.

    Args:
        model: a model of the zoo.
        directory: made if need be.
        tokenizer: its tokenizer, or `None`; only in our own format.
        format: "tflm", which `load_model` opens for every architecture, or "huggingface", which
            the transformers library opens too (`config.json`, `model.safetensors`).
        shard_bytes: weights larger than this are written as several files and their index.

    Returns:
        The directory.

    Raises:
        ValueError: no such format, the architecture has no public checkpoints, or a tokenizer for
            the transformers library, which has the files of its own.
    """
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {list(FORMATS)}. Received: format={format!r}")
    if tokenizer is not None and format != "tflm":
        raise ValueError(
            "`tokenizer` must be None unless `format` is 'tflm': copy the tokenizer files of the "
            f"model that it came from. Received: {type(tokenizer).__name__}, format={format!r}"
        )
    name, config, rules = (_huggingface if format == "huggingface" else _own)(model)
    with staged(pathlib.Path(directory)) as stage:
        write_tensors(stage, _arrays(model, rules), shard_bytes)
        if tokenizer is not None:
            tokenizer.save(stage / TOKENIZER_DIRECTORY)
        text = json.dumps(config, indent=2, ensure_ascii=False)
        (stage / name).write_text(text + "\n", encoding="utf-8")
    return pathlib.Path(directory)


def convert(
    source: str | os.PathLike,
    directory: str | os.PathLike,
    revision: str | None = None,
    format: str = "tflm",  # noqa: A002
) -> Model:
    """Writes a public checkpoint as a model of this zoo, or the other way round.

    The tokenizer comes along where there is one, and its chat template, in the files that the
    format has for them; with them, in the transformers library's format, the source's settings of
    `generate`.

    Args:
        source: as in `load_model`, but no object.
        directory: as in `save_pretrained`.
        revision: of a repository on the Hugging Face Hub.
        format: "tflm" or "huggingface".

    Returns:
        The model.

    Raises:
        FileNotFoundError: there is no such source, or it is not complete.
        ValueError: it is not supported, or no such format; the message says what is.
    """
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {list(FORMATS)}. Received: format={format!r}")
    try:
        tokenizer = load_tokenizer(source, revision) if format == "tflm" else None
    except FileNotFoundError:  # a model alone; where the model is missing too, it is said below
        tokenizer = None
    model = load_model(source, revision)
    save_pretrained(model, directory, tokenizer, format)
    if format == "tflm" and (template := load_chat_template(source, revision)) is not None:
        save_chat_template(template, directory)
    if format == "huggingface" and not backbones.is_preset(os.fspath(source)):
        origin = locate(source, revision, weights=False)
        for path in (origin / name for name in (GENERATION_FILE, *TOKENIZER_FILES)):
            if path.is_file():
                shutil.copyfile(path, pathlib.Path(directory) / path.name)
    return model


def _huggingface(model: Model) -> tuple[str, dict[str, Any], list[Rule]]:
    family = families.of_model(model)
    dtype = {"dtype": str(model.variable_dtype), "torch_dtype": str(model.variable_dtype)}
    config = {**family.config_to_huggingface(model.config), **dtype}
    return CONFIG_FILE, config, list(family.weights(model.config))


def _own(model: Model) -> tuple[str, dict[str, Any], list[Rule]]:
    known = {cls: name for name, cls in models.ARCHITECTURES.items()}
    config = {
        "architecture": known[type(model)],
        "config": dataclasses.asdict(model.config),
    }
    paths = [path_of(model, weight) for weight in model.weights]
    return MODEL_FILE, config, [same(path, path) for path in paths]


def _arrays(model: Model, rules: list[Rule]) -> dict[str, Callable[[], np.ndarray]]:
    """A function for every tensor to write, which gives its array."""
    weights = {path_of(model, weight): weight for weight in model.weights}

    def part(rule: Rule, index: int) -> Callable[[], np.ndarray]:
        weight = weights[rule.ours]
        return lambda: rule.to_theirs(ops.convert_to_numpy(weight))[index]

    return {name: part(rule, i) for rule in rules for i, name in enumerate(rule.theirs)}


def write_tensors(
    directory: pathlib.Path, arrays: dict[str, Callable[[], np.ndarray]], shard_bytes: int
) -> None:
    """Writes safetensors: one file, or shards of about `shard_bytes` and an index.

    Args:
        directory: where to.
        arrays: a function for every tensor, which gives its array.
        shard_bytes: a shard ends before it grows beyond this, and holds one tensor at least.
    """
    shards: list[list[str]] = [[]]
    total = size = 0
    for name, read in arrays.items():
        array = read()
        if shards[-1] and size + array.nbytes > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += array.nbytes
        total += array.nbytes
    if len(shards) == 1:
        _write_file(directory / WEIGHTS_FILE, arrays, shards[0])
        return
    files = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    for file, names in zip(files, shards, strict=True):
        _write_file(directory / file, arrays, names)
    index = {
        "metadata": {"total_size": total},
        "weight_map": {n: f for f, names in zip(files, shards, strict=True) for n in names},
    }
    (directory / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _write_file(
    path: pathlib.Path, arrays: dict[str, Callable[[], np.ndarray]], names: list[str]
) -> None:
    tensors = {name: np.ascontiguousarray(arrays[name]()) for name in names}
    # transformers refuses a file that does not say which library's layout it has.
    safetensors.numpy.save_file(tensors, path, {"format": "pt"})
    path.chmod(0o644)


@contextlib.contextmanager
def staged(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """A new directory beside another, whose files are moved into that one at the end.

    A model that stood there before is removed, shards of another number and all.
    """
    directory = directory.absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    stage = pathlib.Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        yield stage
        for path in stage.rglob("*"):
            if path.is_file():
                with open(path, "rb") as written:
                    os.fsync(written.fileno())
        stage.chmod(0o755)
        if not directory.exists():
            os.rename(stage, directory)
            return
        others = (INDEX_FILE, CONFIG_FILE, MODEL_FILE)
        old = {*directory.glob("model*.safetensors"), *(directory / name for name in others)}
        for path in sorted(stage.iterdir(), key=lambda path: path.name in others):
            target = directory / path.name
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(path, target)
            old.discard(target)
        for path in old:
            path.unlink(missing_ok=True)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
