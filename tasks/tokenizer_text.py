"""A tokenizer as JSON, for the configuration inside a `.keras` file."""

import base64
import pathlib
import tempfile

from tflm import tokenizers
from tflm.tokenizers import Tokenizer


def tokenizer_to_text(tokenizer: Tokenizer) -> dict[str, str]:
    """The files that `tokenizer.save` writes, by name, in base 64."""
    with tempfile.TemporaryDirectory() as directory:
        tokenizer.save(directory)
        return {
            path.name: base64.b64encode(path.read_bytes()).decode("ascii")
            for path in sorted(pathlib.Path(directory).iterdir())
        }


def tokenizer_from_text(files: dict[str, str]) -> Tokenizer:
    """The inverse of `tokenizer_to_text`.

    Raises:
        FileNotFoundError: `files` are those of no tokenizer.
    """
    with tempfile.TemporaryDirectory() as directory:
        for name, text in files.items():
            pathlib.Path(directory, name).write_bytes(base64.b64decode(text))
        return tokenizers.load(directory)
