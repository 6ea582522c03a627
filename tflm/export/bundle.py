"""What goes beside exported models, so that a stock TF Serving can be started on them.

    saved_models/                  one directory of models
        models.config              all of them
        compose.yaml               docker compose up
        kubernetes.yaml            kubectl apply -f kubernetes.yaml
        ready.sh                   whether all of them answer: what the two above probe
        client.py                  asks one of them; needs `requests` alone
        demo/1/                    a version, with `batching_params.pbtxt`
        demo/requests/1/           requests to try it with

What a user changed is kept: a file that is there is not written, `models.config` gets the new model
and stays as it is else.
"""

import importlib.resources
import os
import pathlib
import tempfile
from typing import NamedTuple

from tflm.export.model_config import with_model
from tflm.export.sample_requests import sample_requests
from tflm.export.warmup import read_warmup

CONFIG_FILE = "models.config"
FILES = ("client.py", "compose.yaml", "kubernetes.yaml", "ready.sh")
MOUNTED = "/models"  # where the official image has a directory of models


class Bundle(NamedTuple):
    """What `write_bundle` did.

    Args:
        written: the files that are new or changed.
        kept: those that are there with another content than would have been written.
    """

    written: list[pathlib.Path]
    kept: list[pathlib.Path]


def template(name: str) -> str:
    """The text of a file that is the same for every model."""
    return importlib.resources.files("tflm.export").joinpath("templates", name).read_text("utf-8")


def write_bundle(version: str | os.PathLike[str]) -> Bundle:
    """Writes what TF Serving needs beside a version of a model, and lists the model.

    A file appears whole. One that is there with another content is left alone, but for
    `models.config`: the model is added to it where it is not listed. A new `models.config` lists
    every model beside this one; one that holds no list of models is left alone.

    Args:
        version: the directory of the version, `saved_models/demo/1` say.

    Raises:
        FileNotFoundError: there is no model.
    """
    version = pathlib.Path(version).resolve()
    if not _is_version(version):
        raise FileNotFoundError(
            f"`version` must be the numbered directory of a SavedModel. Received: {version}"
        )
    model, parent = version.parent, version.parents[1]
    files = {parent / name: template(name) for name in FILES}
    requests = sample_requests(model.name, read_warmup(version))
    files |= {model / "requests" / version.name / name: text for name, text in requests.items()}
    written, kept = _list(parent / CONFIG_FILE, model.name)
    for path, text in files.items():
        if not path.exists():
            _write(path, text)
            written.append(path)
        elif path.read_bytes() != text.encode():
            kept.append(path)
    return Bundle(written, kept)


def _list(config: pathlib.Path, model: str) -> Bundle:
    """Puts a model into `models.config`; into a new one all that there are."""
    before = config.read_text(encoding="utf-8") if config.exists() else ""
    after = before
    try:
        for name in [model] if before else _models(config.parent):
            after = with_model(after, name, f"{MOUNTED}/{name}")
    except ValueError:
        return Bundle([], [config])
    if after == before:
        return Bundle([], [])
    _write(config, after)
    return Bundle([config], [])


def _models(parent: pathlib.Path) -> list[str]:
    """Names of the models in a directory."""
    return sorted(
        child.name for child in parent.iterdir() if any(map(_is_version, child.glob("[0-9]*")))
    )


def _is_version(path: pathlib.Path) -> bool:
    return path.name.isdecimal() and (path / "saved_model.pb").is_file()


def _write(path: pathlib.Path, text: str) -> None:
    """The whole file at once: a server may be reading its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise
