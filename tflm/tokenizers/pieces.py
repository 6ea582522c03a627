"""What the ids of a tokenizer stand for: the bytes they spell, and which spell nothing."""

import dataclasses
from typing import Self

import numpy as np
import sentencepiece

from tflm.tokenizers.loading import Tokenizer
from tflm.tokenizers.sentencepiece import SentencePieceTokenizer
from tflm.tokenizers.wordpiece import WordPieceTokenizer

_SPACE = "\u2581"  # how SentencePiece writes a space
_PREFIX = "##"  # of a piece of WordPiece that does not start a word


@dataclasses.dataclass(frozen=True, eq=False)
class Pieces:
    """The pieces of a vocabulary of V ids.

    Attributes:
        spelled: What each id spells, V of them, with the space in front of a word; `b""` where it
            spells nothing. A piece may end inside a character.
        special: Which ids spell nothing: special tokens, the unknown, unused ids; boolean (V,).
        special_ids: Ids of the special tokens by what they look like.
        keeps_spaces: Whether the spaces are the text's own. WordPiece does not keep them: a space
            says that a piece starts a word.
    """

    spelled: list[bytes]
    special: np.ndarray
    special_ids: dict[str, int]
    keeps_spaces: bool = True

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Self:
        """The pieces of a tokenizer."""
        if isinstance(tokenizer, SentencePieceTokenizer):
            spelled, special_ids = _of_sentencepiece(tokenizer)
        else:
            tokens = getattr(tokenizer, "special_tokens", ())
            special_ids = {token.content: token.id for token in tokens if token.special}
            if isinstance(tokenizer, WordPieceTokenizer):
                spelled = _of_wordpiece(tokenizer, set(special_ids.values()))
            else:
                spelled = list(tokenizer._spelled.numpy())
        special = np.array([not each for each in spelled])
        return cls(spelled, special, special_ids, not isinstance(tokenizer, WordPieceTokenizer))

    def content(self, special_id: int) -> str | None:
        """What a special token looks like; `None` for an id that is none."""
        found = (content for content, id_ in self.special_ids.items() if id_ == special_id)
        return next(found, None)

    def join(self, ids: list[int]) -> bytes:
        """What ids spell one after another."""
        return b"".join(self.spelled[id_] for id_ in ids)


def _of_sentencepiece(tokenizer: SentencePieceTokenizer) -> tuple[list[bytes], dict[str, int]]:
    model = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    spelled, special_ids = [], {}
    for id_ in range(tokenizer.vocab_size):
        piece = model.id_to_piece(id_)
        if model.is_control(id_) or model.is_unknown(id_) or id_ == tokenizer.mask_id:
            special_ids[piece] = id_
            spelled.append(b"")
        elif model.is_unused(id_):
            spelled.append(b"")
        elif model.is_byte(id_):
            spelled.append(bytes([int(piece[1:-1], 16)]))  # "<0x41>"
        else:
            spelled.append(piece.replace(_SPACE, " ").encode())
    return spelled, special_ids


def _of_wordpiece(tokenizer: WordPieceTokenizer, special: set[int]) -> list[bytes]:
    spelled = [b""] * tokenizer.vocab_size
    for id_, piece in enumerate(tokenizer.vocabulary):
        if id_ not in special:
            starts = not piece.startswith(_PREFIX)
            spelled[id_] = (f" {piece}" if starts else piece.removeprefix(_PREFIX)).encode()
    return spelled
