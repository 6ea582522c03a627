"""Opening a saved tokenizer without knowing its kind."""

import os
from pathlib import Path

from tflm.tokenizers import byte_pair, marian, sentencepiece, wordpiece

Tokenizer = (
    sentencepiece.SentencePieceTokenizer
    | wordpiece.WordPieceTokenizer
    | byte_pair.BytePairTokenizer
    | marian.MarianTokenizer
)

_KINDS = {
    sentencepiece.MODEL_FILE: sentencepiece.SentencePieceTokenizer,
    wordpiece.CONFIG_FILE: wordpiece.WordPieceTokenizer,
    byte_pair.CONFIG_FILE: byte_pair.BytePairTokenizer,
    marian.MODEL_FILES[0]: marian.MarianTokenizer,
}


def load(directory: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer that any tokenizer's `save` wrote into `directory`.

    Raises:
        FileNotFoundError: `directory` holds none, or not all of its files.
    """
    for name, kind in _KINDS.items():
        if (Path(directory) / name).is_file():
            return kind.load(directory)
    present = sorted(path.name for path in Path(directory).glob("*"))
    raise FileNotFoundError(
        f"`directory` must hold one of {', '.join(_KINDS)}. Received: {os.fspath(directory)}, "
        f"which holds {', '.join(present) or 'nothing'}; "
        "`tflm.tokenizers.from_huggingface` opens a Hugging Face directory"
    )
