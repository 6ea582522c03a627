"""How a checkpoint wants a conversation written: the Jinja template beside its tokenizer."""

import dataclasses
import json
import os
import pathlib
from typing import Any

from tflm.checkpoints import backbones
from tflm.checkpoints.loading import locate

JINJA_FILE = "chat_template.jinja"
OWN_FILE = "chat_template.json"


@dataclasses.dataclass(frozen=True)
class ChatTemplate:
    """A Jinja template from messages to a text in which special tokens are spelled out.

    Attributes:
        source: The template, as Hugging Face's `apply_chat_template` reads it.
        tokens: The special tokens that it may name: {"bos_token": "<s>"}.
    """

    source: str
    tokens: dict[str, str] = dataclasses.field(default_factory=dict)


def load_chat_template(
    source: str | os.PathLike, revision: str | None = None
) -> ChatTemplate | None:
    """The chat template of a public checkpoint; `None` where it has none.

    Of several templates it is the one named "default".

    Args:
        source: as for `load_tokenizer`.
        revision: of a repository on the Hugging Face Hub.

    Raises:
        FileNotFoundError: there is no such directory or repository.
    """
    if backbones.is_preset(os.fspath(source)):
        return None
    directory = locate(source, revision, weights=False)
    if own := _json(directory / OWN_FILE):
        return ChatTemplate(**own)
    settings = {
        **_json(directory / "special_tokens_map.json"),
        **_json(directory / "tokenizer_config.json"),
    }
    found = settings.get("chat_template")
    if (directory / JINJA_FILE).is_file():
        found = (directory / JINJA_FILE).read_text(encoding="utf-8")
    if isinstance(found, list):
        found = {each["name"]: each["template"] for each in found}.get("default")
    if found is None:
        return None
    contents = {
        name: content.get("content") if isinstance(content, dict) else content
        for name, content in settings.items()
        if name.endswith("_token")
    }
    return ChatTemplate(found, {n: c for n, c in contents.items() if isinstance(c, str)})


def save_chat_template(template: ChatTemplate, directory: str | os.PathLike) -> None:
    """Writes a template into a directory of `save_pretrained`'s own format."""
    text = json.dumps(dataclasses.asdict(template), indent=2, ensure_ascii=False)
    (pathlib.Path(directory) / OWN_FILE).write_text(text + "\n", encoding="utf-8")


def _json(path: pathlib.Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
