"""SavedModels as TF Serving wants them: `<name>/<version>/`, complete or absent."""

import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from tflm.export.bundle import template
from tflm.export.compact import OPTIONS, compact
from tflm.export.recording import WARMUP_TEXTS, record_warmup

BATCHING_FILE = "batching_params.pbtxt"


def next_version(directory: str | os.PathLike) -> int:
    """The number after the highest version in `directory`, 1 where there is none."""
    path = pathlib.Path(directory)
    versions = [int(child.name) for child in path.glob("*") if child.name.isdecimal()]
    return max(versions, default=0) + 1


def new_version(directory: str | os.PathLike, version: int | None = None) -> pathlib.Path:
    """The directory of a version that does not exist yet, the next free one by default.

    Raises:
        ValueError: `version` is not positive.
        FileExistsError: `version` exists.
    """
    version = next_version(directory) if version is None else version
    if version < 1:
        raise ValueError(f"`version` must be at least 1. Received: version={version}")
    final = pathlib.Path(directory) / str(version)
    if final.exists():
        raise FileExistsError(f"`version` must not exist yet. Received: {final}")
    return final


def save(
    module: tf.Module,
    signatures: dict[str, Callable],
    directory: str | os.PathLike,
    version: int | None = None,
    extra: Mapping[str, str] | None = None,
    warmup: Sequence[str] = WARMUP_TEXTS,
) -> pathlib.Path:
    """Writes one version of a model.

    The version is written under a temporary name that no server loads and renamed when it is
    complete, so a server polling `directory` never sees half of it. Before that it is loaded from
    the disk and asked; requests and answers stay with it, for the server to warm up with. How the
    server puts requests into batches is in `batching_params.pbtxt`, if it is told to read that.

    Args:
        module: holds every variable, tokenizer and table that the signatures use.
        signatures: `tf.function`s with an input signature, by name.
        directory: the model's directory; versions are numbered directories inside.
        version: a positive number; the next free one by default.
        extra: texts of the files in `assets.extra`, by name: what a server ignores.
        warmup: texts that signatures of strings are asked, see `record_warmup`; none for no
            warm-up.

    Returns:
        The version's directory.

    Raises:
        ValueError: `version` is not positive.
        FileExistsError: `version` exists.
        tf.errors.OpError: the model that was written cannot be loaded, or fails on a text.
    """
    final = new_version(directory, version)
    directory = final.parent
    directory.mkdir(parents=True, exist_ok=True)
    temporary = tempfile.mkdtemp(prefix=".writing-", dir=directory)
    try:
        tf.saved_model.save(module, temporary, signatures=signatures, options=OPTIONS)
        compact(temporary)
        pathlib.Path(temporary, BATCHING_FILE).write_text(template(BATCHING_FILE), encoding="utf-8")
        for name, text in (extra or {}).items():
            path = pathlib.Path(temporary, "assets.extra", name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if warmup:
            record_warmup(temporary, final.parent.resolve().name, warmup)
        os.chmod(temporary, 0o755)
        os.rename(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return final
