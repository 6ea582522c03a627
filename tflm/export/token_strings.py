"""Tokens as people read them: the signature `tokenize`, and the pieces of `explain`.

公园很大 two     "公园"  "很"  "<0xE5>"  "<0xA4>"  "<0xA7>"  " two"
"""

from typing import Any

import tensorflow as tf

from tflm.export.sharing import Shared
from tflm.tokenizers.pieces import Pieces

_ROLES = {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>"}


class TokenStrings:
    """What ids look like.

    Args:
        tokenizer: whose ids they are.
    """

    def __init__(self, tokenizer: Any):
        strings = token_strings(tokenizer)
        self._size = len(strings)
        # A function, so that the graph holds the vocabulary once.
        self._table = Shared(lambda: tf.constant(strings, tf.string), [])

    def of(self, token_ids: Any, mask: Any = None) -> Any:
        """Ids -> strings of the same shape, "" where `mask` is false and for unknown ids."""
        known = (token_ids >= 0) & (token_ids < self._size)
        if mask is not None:
            known &= mask
        return tf.where(known, tf.gather(self._table(), tf.where(known, token_ids, 0)), "")

    def tokenized(self, ids: Any) -> dict[str, Any]:
        """Ragged ids `(B, None)` -> what the signature `tokenize` gives.

        Returns:
            int32 `token_ids` and string `pieces` `(B, S)`, 0 and "" where a text has no more; int32
            `length` `(B,)`, how many it has.
        """
        mask = tf.sequence_mask(ids.row_lengths())  # (B, S)
        token_ids = tf.cast(ids.to_tensor(0), tf.int32)
        return {
            "token_ids": token_ids,
            "pieces": self.of(token_ids, mask),
            "length": tf.cast(ids.row_lengths(), tf.int32),
        }


def token_strings(tokenizer: Any) -> list[str]:
    """What each id looks like: its text, with the space in front of a word; "<0xE5>" for a byte.

    A special token looks as it is spelled, "</s>" say; an id that is not used is "".
    """
    pieces = Pieces.of(tokenizer)
    strings = [_readable(spelled) for spelled in pieces.spelled]
    special = {id_: content for content, id_ in pieces.special_ids.items()}
    for role, content in _ROLES.items():
        id_ = getattr(tokenizer, f"{role}_id", None)
        if id_ is not None and 0 <= id_ < len(strings) and not strings[id_]:
            strings[id_] = content
    return [special.get(id_, string) for id_, string in enumerate(strings)]


def _readable(spelled: bytes) -> str:
    try:
        return spelled.decode()
    except UnicodeDecodeError:
        return "".join(f"<0x{byte:02X}>" for byte in spelled)
