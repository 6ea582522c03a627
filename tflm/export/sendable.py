"""What of a text that is being written can be sent already."""

import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class Ends:
    """What of a text cannot be sent yet: it may turn out to be something else, or not to be there.

    Args:
        stop: strings that end a text.
    """

    def __init__(self, stop: Sequence[str]):
        beginnings = {each[:size] for each in stop for size in range(1, len(each))}
        ordered = sorted(beginnings, key=len, reverse=True)
        self._may_stop = f"(?s)(?:{'|'.join(map(re.escape, ordered))})$" if ordered else ""
        self._from_stop = f"(?s)(?:{'|'.join(map(re.escape, stop))}).*" if stop else ""

    def cut(self, texts: Any) -> tuple[Any, Any]:
        """Texts `(B,)` up to the first stop string, and which have one."""
        if not self._from_stop:
            return texts, tf.zeros_like(texts, tf.bool)
        found = tf.strings.regex_replace(texts, self._from_stop, "", replace_global=False)
        return found, found != texts

    def settled(self, texts: Any) -> Any:
        """Texts `(B,)` without what a later token may change."""
        texts, _ = self.cut(texts)
        # A character of which bytes are missing is U+FFFD.
        texts = tf.strings.regex_replace(texts, "\ufffd+$", "")
        if not self._may_stop:
            return texts
        return tf.strings.regex_replace(texts, self._may_stop, "", replace_global=False)
