"""Texts of Python as tensors of UTF-8, which a Python string need not be.

"\\ud83d"     half of an emoji, as JSON of some clients has it      U+FFFD
"\\udce9"     a byte of a command's arguments that is no UTF-8      U+FFFD
"""

import re
from collections.abc import Sequence

import tensorflow as tf

_SURROGATE = re.compile("[\ud800-\udfff]")


def without_surrogates(text: str) -> str:
    """A text with U+FFFD for each character that has no UTF-8."""
    return _SURROGATE.sub("\ufffd", text)


def check_texts(argument: str, texts: Sequence[str | bytes]) -> None:
    """Whether there is a list of texts, of any number.

    Args:
        argument: what the caller calls `texts`.
        texts: what is checked.

    Raises:
        ValueError: `texts` is one text rather than a list, or holds something else.
    """
    if isinstance(texts, str | bytes):
        raise ValueError(f"`{argument}` must be a list of texts. Received: {texts!r:.80}")
    for text in texts:
        if not isinstance(text, str | bytes):
            raise ValueError(
                f"`{argument}` must be a list of texts. "
                f"Received: {text!r:.80} of type {type(text).__name__} among them"
            )


def string_tensor(argument: str, texts: Sequence[str | bytes]) -> tf.Tensor:
    """Texts as a string tensor `(B,)`, with U+FFFD for what has no UTF-8: one character for one.

    Arguments and errors are those of `check_texts`.
    """
    check_texts(argument, texts)
    replaced = [without_surrogates(text) if isinstance(text, str) else text for text in texts]
    return tf.constant(replaced, tf.string, shape=[len(replaced)])
