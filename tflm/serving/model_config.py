"""Which models are served, and where they are: a directory of models, or a `models.config`."""

import dataclasses
import logging
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tflm.serving.versions import VersionPolicy, find_versions

_PLATFORM = "tensorflow"
_log = logging.getLogger("tflm.serving")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A model to serve.

    Args:
        name: what requests call it.
        base_path: the directory of its versions.
        policy: which of its versions are served.
        labels: versions by label.
    """

    name: str
    base_path: pathlib.Path
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)


def discover_models(
    directory: str | os.PathLike[str], policy: VersionPolicy | None = None
) -> list[ModelConfig]:
    """The models of a directory, each a directory of numbered versions with the model's name.

    A directory that holds numbered versions itself is one model of that name.

    Raises:
        NotADirectoryError: there is no such directory.
    """
    root = pathlib.Path(directory).absolute()
    if not root.is_dir():
        raise NotADirectoryError(
            f"`directory` must be a directory of models. Received: directory={directory}"
        )
    kept = policy or VersionPolicy()
    if find_versions(root):
        return [ModelConfig(root.name, root, kept)]
    return [
        ModelConfig(child.name, child, kept)
        for child in sorted(root.iterdir())
        if child.is_dir() and find_versions(child)
    ]


def read_model_config(path: str | os.PathLike[str]) -> list[ModelConfig]:
    """The models of TF Serving's `--model_config_file`, a `ModelServerConfig` in text.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it says what cannot be served.
    """
    return _parsed(pathlib.Path(path).read_text(encoding="utf-8"), path)


class ModelConfigFile:
    """The models of a `models.config` at each call: it is read again, and taken if it changed.

    What cannot be read or served changes nothing, and is logged: it may be half written.

    Args:
        path: the file.
        poll_seconds: between two looks at it; 0 for one look at the start.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it says what cannot be served.
    """

    def __init__(self, path: str | os.PathLike[str], poll_seconds: float = 0.0):
        self._path = pathlib.Path(path)
        self._poll_seconds = poll_seconds
        self._looked = time.monotonic()
        self._text = self._path.read_text(encoding="utf-8")
        self._models = _parsed(self._text, path)

    def __call__(self) -> list[ModelConfig]:
        """The models now."""
        if self._poll_seconds and time.monotonic() - self._looked >= self._poll_seconds:
            self._looked = time.monotonic()
            try:
                self._read()
            except (OSError, ValueError) as error:
                _log.error("%s is not taken: %s", self._path, error)
        return self._models

    def _read(self) -> None:
        text = self._path.read_text(encoding="utf-8")
        if text != self._text:
            self._text = text
            self._models = _parsed(text, self._path)


def _parsed(text: str, path: str | os.PathLike[str]) -> list[ModelConfig]:
    message = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise ValueError(
            f"`model_config_file` must be a ModelServerConfig in text. Received: {path}: {error}"
        ) from error
    return models_of(message)


def models_of(message: Any) -> list[ModelConfig]:
    """The models of a `ModelServerConfig`.

    Raises:
        ValueError: it says what cannot be served.
    """
    if message.WhichOneof("config") != "model_config_list":
        raise ValueError(
            "`model_config_list` must be given, the one kind of configuration that is supported. "
            f"Received: {message.WhichOneof('config') or 'an empty configuration'}"
        )
    found: dict[str, ModelConfig] = {}
    for each in message.model_config_list.config:
        model = _model(each)
        if model.name in found:
            raise ValueError(f"`name` must be of one model only. Received: name={model.name!r}")
        found[model.name] = model
    return list(found.values())


def _model(config: Any) -> ModelConfig:
    if not config.name:
        raise ValueError(
            f"`name` must be given for each model. Received: none for {config.base_path!r}"
        )
    if config.model_platform != _PLATFORM:
        raise ValueError(
            f"`model_platform` must be '{_PLATFORM}'. Received: "
            f"model_platform={config.model_platform!r} for {config.name!r}"
        )
    path = pathlib.Path(config.base_path)
    if not path.is_absolute():
        raise ValueError(
            "`base_path` must be absolute, as in TF Serving. Received: "
            f"base_path={config.base_path!r} for {config.name!r}"
        )
    policy = VersionPolicy()
    if config.HasField("model_version_policy"):
        policy = _policy(config.model_version_policy)
    return ModelConfig(config.name, path, policy, dict(config.version_labels))


def _policy(message: Any) -> VersionPolicy:
    kind = message.WhichOneof("policy_choice")
    if kind == "all":
        return VersionPolicy(latest=None)
    if kind == "specific":
        return VersionPolicy(specific=tuple(message.specific.versions))
    return VersionPolicy(max(message.latest.num_versions, 1))
