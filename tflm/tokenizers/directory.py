"""The files of a saved tokenizer."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_files(directory: str | os.PathLike[str], contents: Mapping[str, str | bytes]) -> None:
    """Write files into `directory`, which is made if need be; each is whole or not there."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = {name: directory / f"{name}.unfinished" for name in contents}
    for name, content in contents.items():
        unfinished[name].write_bytes(content.encode() if isinstance(content, str) else content)
    for name in contents:
        unfinished[name].replace(directory / name)


def read_config(
    directory: str | os.PathLike[str], config_file: str, other_files: Sequence[str] = ()
) -> dict[str, Any]:
    """The settings in `config_file`.

    Raises:
        FileNotFoundError: `directory` lacks one of the files.
    """
    require_files(directory, (config_file, *other_files))
    return json.loads((Path(directory) / config_file).read_text(encoding="utf-8"))


def require_files(directory: str | os.PathLike[str], names: Sequence[str]) -> None:
    """Do nothing if `directory` holds all the files.

    Raises:
        FileNotFoundError: It lacks one.
    """
    missing = [name for name in names if not (Path(directory) / name).is_file()]
    if missing:
        present = sorted(path.name for path in Path(directory).glob("*"))
        raise FileNotFoundError(
            f"`directory` must hold {', '.join(names)}. Received: {os.fspath(directory)}, which "
            f"lacks {', '.join(missing)} and holds {', '.join(present) or 'nothing'}"
        )
