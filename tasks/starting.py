"""What training starts from instead of fresh weights: a run, a saved task, a public checkpoint."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from tflm import checkpoints
from tflm.models.base import Decoder, Encoder, EncoderDecoder
from tflm.tasks.base import CONFIG_FILE, Task
from tflm.tasks.predictor import task_directory
from tflm.tokenizers import Tokenizer

_KINDS = (Encoder, Decoder, EncoderDecoder)


def open_start(
    start: str | os.PathLike[str], kind: type | tuple[type, ...], purpose: str
) -> tuple[Any, tuple[Tokenizer, ...]]:
    """The network of a run or a checkpoint, whatever it was trained for, and its tokenizers.

    Args:
        start: the directory of a finished run, of a saved task, or of a checkpoint as `tflm
            convert` writes it or the transformers library does.
        kind: `Encoder`, `Decoder` or `EncoderDecoder`, which the task takes; or several of them.
        purpose: what the task is called.

    Returns:
        The network, and its tokenizer or those of source and target.

    Raises:
        FileNotFoundError: there is nothing there.
        ValueError: it is a network of another kind.
    """
    path = pathlib.Path(start)
    if _is_checkpoint(path):
        model, tokenizer = checkpoints.from_pretrained(path)
        found, owner = (tokenizer,), "a checkpoint"
    else:
        task: Any = Task.from_pretrained(task_directory(path, "start"))
        model, owner = task.model, type(task).__name__
        names = ("tokenizer", "source_tokenizer", "target_tokenizer")
        found = tuple(getattr(task, name) for name in names if hasattr(task, name))
    if not isinstance(model, kind):
        other = next(each.__name__ for each in _KINDS if isinstance(model, each))
        kinds = " or ".join(
            each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,))
        )
        raise ValueError(
            f"`start` must have the kind of network that {purpose} takes, {kinds}. "
            f"Received: {other} ({type(model).__name__} of {owner}) in {path}"
        )
    return model, found


def chat_template_of(start: str | os.PathLike[str]) -> checkpoints.ChatTemplate | None:
    """How what `open_start` opens wants a conversation written; `None` where it does not say.

    Raises:
        FileNotFoundError: there is nothing there.
    """
    path = pathlib.Path(start)
    if _is_checkpoint(path):
        return checkpoints.load_chat_template(path)
    saved = json.loads((task_directory(path, "start") / CONFIG_FILE).read_text(encoding="utf-8"))
    template = saved.get("settings", {}).get("chat_template")
    return None if template is None else checkpoints.ChatTemplate(**template)


def _is_checkpoint(path: pathlib.Path) -> bool:
    """Whether a directory is a public checkpoint rather than a saved task or a run."""
    names = checkpoints.CONFIG_FILES
    return not (path / CONFIG_FILE).is_file() and any((path / name).is_file() for name in names)


def changed(config: Any, changes: Mapping[str, Any]) -> Any:
    """A network's config with other values in the fields that it has.

    A run trains any architecture: what an architecture has no field for is not its own.
    """
    fields = {field.name for field in dataclasses.fields(config)}
    return dataclasses.replace(
        config, **{name: value for name, value in changes.items() if name in fields}
    )


def restarted(model: Any, rates: Mapping[str, Any], dtype: str) -> Any:
    """A network with the weights of `model`, other rates of dropout and another dtype policy."""
    twin = type(model)(changed(model.config, rates), dtype=dtype)
    twin.build(None)
    twin.set_weights(model.get_weights())
    return twin
