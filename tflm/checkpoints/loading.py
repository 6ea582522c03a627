"""Public checkpoints in: from a directory, the Hugging Face Hub or KerasHub."""

import dataclasses
import fnmatch
import json
import os
import pathlib
from typing import Any

from tflm import models, tokenizers
from tflm.checkpoints import backbones, families, hub
from tflm.checkpoints.assembly import assemble, weight_shapes
from tflm.checkpoints.mapping import match, same
from tflm.checkpoints.tensors import Subset, Tensors, open_directory, refuse_other_formats
from tflm.models.base import Model
from tflm.tokenizers import Tokenizer

CONFIG_FILE = "config.json"
MODEL_FILE = "model.json"
CONFIG_FILES = (CONFIG_FILE, MODEL_FILE)  # one of them is in every directory that is opened here
TOKENIZER_DIRECTORY = "tokenizer"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A Hugging Face checkpoint, opened; its tensors are read when a model is made.

    Attributes:
        directory: where its files are.
        config: what `config.json` holds: number and names of labels, for example.
        tensors: every stored tensor by name.
        family: what opens it.
    """

    directory: pathlib.Path
    config: dict[str, Any]
    tensors: Tensors
    family: families.Family

    @property
    def heads(self) -> Tensors:
        """The tensors that belong to a head rather than to the model, under their stored names."""
        patterns = self.family.HEADS
        names = (n for n in self.tensors if any(fnmatch.fnmatchcase(n, p) for p in patterns))
        return Subset(self.tensors, names)

    def model(self, **kwargs: Any) -> Model:
        """Our model with the checkpoint's weights.

        Args:
            **kwargs: passed to it: `dtype`, `name`.

        Raises:
            ValueError: tensors are missing, surplus or of another shape (every one is listed), or
                the configuration has an option that is not implemented.
        """
        family = self.family
        names = {name.removeprefix(family.PREFIX) for name in self.tensors}
        config = family.config_from_huggingface(self.config, names)
        reads = match(
            family.weights(config),
            self.tensors,
            weight_shapes(family.MODEL, config),
            family.PREFIX,
            (*family.HEADS, *family.IGNORED),
            self.directory,
        )
        return assemble(family.MODEL, config, reads, **kwargs)


def open_checkpoint(source: str | os.PathLike, revision: str | None = None) -> Checkpoint:
    """Opens a Hugging Face checkpoint without reading its tensors.

    Args:
        source: a directory with `config.json` and safetensors, or a repository on the Hub.
        revision: of the repository: a commit, branch or tag.

    Raises:
        FileNotFoundError: there is no such directory or repository, or it is not complete.
        ValueError: its weights are no safetensors, or its `model_type` is not supported.
    """
    directory = locate(source, revision)
    if not (directory / CONFIG_FILE).is_file():
        raise FileNotFoundError(
            f"`source` must hold {CONFIG_FILE} and safetensors. Received: {directory}"
        )
    config = json.loads((directory / CONFIG_FILE).read_text(encoding="utf-8"))
    family = families.of_model_type(config.get("model_type"))
    if config.get("quantization_config"):
        raise ValueError(
            "`source` must hold weights that are not quantized. "
            f"Received: quantization_config in {directory / CONFIG_FILE}"
        )
    return Checkpoint(directory, config, open_directory(directory), family)


def load_model(source: Any, revision: str | None = None, **kwargs: Any) -> Model:
    """A model of the zoo with public weights.

    Args:
        source: a directory (Hugging Face, KerasHub preset, or written by `save_pretrained`), a
            repository on the Hugging Face Hub, the name of a KerasHub preset, or a KerasHub
            backbone.
        revision: of a repository on the Hugging Face Hub: a commit, branch or tag.
        **kwargs: passed to the model: `dtype`, `name`.

    Returns:
        The model, built, every weight read.

    Raises:
        FileNotFoundError: there is no such directory or repository, or it is not complete.
        ValueError: it is not supported; the message says what is.
    """
    if backbones.is_backbone(source):
        return backbones.convert_backbone(source, **kwargs)
    source = os.fspath(source)
    if backbones.is_preset(source):
        return backbones.convert_backbone(backbones.open_preset(source), **kwargs)
    directory = locate(source, revision)
    if (directory / MODEL_FILE).is_file():
        return _load_own(directory, **kwargs)
    return open_checkpoint(directory).model(**kwargs)


def load_tokenizer(source: str | os.PathLike, revision: str | None = None) -> Tokenizer:
    """The tokenizer of a public checkpoint, with its ids.

    Args:
        source: a directory (Hugging Face, KerasHub preset, or written by `save_pretrained`), a
            repository on the Hugging Face Hub, of which no weights are downloaded, or the name of
            a KerasHub preset.
        revision: of the repository: a commit, branch or tag.

    Raises:
        FileNotFoundError: there is no such directory or repository, or it has no tokenizer.
        TypeError: it is a KerasHub backbone, which has none.
        ValueError: the tokenizer is of a kind that is not supported.
    """
    if backbones.is_backbone(source):
        raise TypeError(
            "`source` must be a directory, a repository or a preset: a backbone has no tokenizer, "
            f"and `load_model` takes it. Received: {type(source).__name__}"
        )
    if backbones.is_preset(os.fspath(source)):
        return backbones.open_tokenizer(os.fspath(source))
    directory = locate(source, revision, weights=False)
    if (directory / TOKENIZER_DIRECTORY).is_dir():
        return tokenizers.load(directory / TOKENIZER_DIRECTORY)
    return tokenizers.from_huggingface(directory)


def from_pretrained(
    source: str | os.PathLike, revision: str | None = None, **kwargs: Any
) -> tuple[Model, Tokenizer]:
    """A model of the zoo with public weights, and its tokenizer.

    Args:
        source: as in `load_model`, but no object.
        revision: of a repository on the Hugging Face Hub: a commit, branch or tag.
        **kwargs: passed to the model: `dtype`, `name`.

    Raises:
        FileNotFoundError: there is no such directory or repository, or it is not complete.
        ValueError: model or tokenizer are not supported; the message says what is.
    """
    tokenizer = load_tokenizer(source, revision)
    return load_model(source, revision, **kwargs), tokenizer


def locate(
    source: str | os.PathLike, revision: str | None = None, weights: bool = True
) -> pathlib.Path:
    """The directory of a checkpoint: the one given, or a repository's, downloaded.

    Args:
        source: a directory or a repository's name.
        revision: of the repository.
        weights: whether weights are downloaded too.

    Raises:
        FileNotFoundError: there is neither.
        ValueError: it is a file, of weights in pickle say.
    """
    path = pathlib.Path(source)
    if path.is_dir():
        return path
    if path.is_file():
        refuse_other_formats([path.name], path.parent)
        raise ValueError(
            f"`source` must be a directory, which holds {CONFIG_FILE} too. Received: {path}"
        )
    if not hub.is_repository(os.fspath(source)):
        raise FileNotFoundError(
            "`source` must be a directory, a repository on the Hugging Face Hub (owner/name) or a "
            f"KerasHub preset. Received: {os.fspath(source)!r}"
        )
    return hub.download(os.fspath(source), revision, weights)


def _load_own(directory: pathlib.Path, **kwargs: Any) -> Model:
    """A directory that `save_pretrained` wrote in our own format."""
    saved = json.loads((directory / MODEL_FILE).read_text(encoding="utf-8"))
    cls = models.ARCHITECTURES.get(saved["architecture"])
    if cls is None:
        raise ValueError(
            f"`architecture` must be one of {sorted(models.ARCHITECTURES)}. "
            f"Received: {saved['architecture']!r} in {directory / MODEL_FILE}"
        )
    config = cls.Config(**saved["config"])
    shapes = weight_shapes(cls, config)
    rules = (same(path, path) for path in shapes)
    reads = match(rules, open_directory(directory), shapes, source=directory)
    return assemble(cls, config, reads, **kwargs)
