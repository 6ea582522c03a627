"""What differs between two texts, token by token: words, or characters where a script has no
spaces."""

import dataclasses
import difflib
import functools
import re
import unicodedata

# Thai, Lao, Myanmar, Khmer; kana; Han with its extensions and compatibility forms.
_NO_SPACES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_MAX_TOKENS = 1500  # of either text; difflib takes quadratic time


@dataclasses.dataclass(frozen=True)
class Piece:
    """A stretch of a text that the other text shares, or not.

    Args:
        text: The stretch.
        is_shared: Whether the other text holds it in the same order.
    """

    text: str
    is_shared: bool


def split_tokens(text: str) -> list[str]:
    """Return words, punctuation marks and white space, in order: joined, they are `text`.

    In scripts written without spaces (Chinese, Japanese kana, Thai, Lao, Khmer, Burmese) a
    character with its marks is a token.

        >>> split_tokens("I don't know 北京.")
        ['I', ' ', "don't", ' ', 'know', ' ', '北', '京', '.']
    """
    return _pattern().findall(text)


def num_tokens(text: str) -> int:
    """Return the number of tokens that are not white space."""
    return sum(not token.isspace() for token in split_tokens(text))


def differences(hypothesis: str, reference: str) -> tuple[list[Piece], list[Piece]]:
    """Return both texts in pieces that are shared or not.

    Texts of more than 1,500 tokens are not compared: they come back whole, as shared.
    """
    ours, theirs = split_tokens(hypothesis), split_tokens(reference)
    if max(len(ours), len(theirs)) > _MAX_TOKENS:
        return [Piece(hypothesis, True)], [Piece(reference, True)]
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    left: list[Piece] = []
    right: list[Piece] = []
    for kind, i, j, k, m in matcher.get_opcodes():
        for pieces, tokens in ((left, ours[i:j]), (right, theirs[k:m])):
            if tokens:
                pieces.append(Piece("".join(tokens), kind == "equal"))
    return _joined(left), _joined(right)


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Pieces in which only white space stands between two that are not shared, as one piece."""
    joined: list[Piece] = []
    for index, piece in enumerate(pieces):
        inside = joined and not joined[-1].is_shared and index + 1 < len(pieces)
        if inside and piece.is_shared and piece.text.isspace():
            piece = Piece(piece.text, False)
        if joined and joined[-1].is_shared == piece.is_shared:
            joined[-1] = Piece(joined[-1].text + piece.text, piece.is_shared)
        else:
            joined.append(piece)
    return joined


def nearest(hypothesis: str, references: tuple[str, ...]) -> int:
    """Return the index of the reference that shares most with the hypothesis; 0 of none."""
    if len(references) < 2:
        return 0

    def likeness(index: int) -> float:
        left, right = differences(hypothesis, references[index])
        shared = sum(len(piece.text) for piece in left + right if piece.is_shared)
        return shared / max(1, len(hypothesis) + len(references[index]))

    return max(range(len(references)), key=likeness)


@functools.cache
def _pattern() -> re.Pattern[str]:
    # Combining marks belong to the letter before them; `\w` does not match them.
    marks = "".join(
        chr(code)
        for code in range(0x300, 0x1F000)
        if unicodedata.category(chr(code)) in ("Mn", "Mc")
    )
    letter = rf"[^\W{_NO_SPACES}][{marks}]*"
    return re.compile(
        rf"\s+|[{_NO_SPACES}][{marks}]*|(?:{letter})+(?:['’\-](?:{letter})+)*|[^\w\s][{marks}]*"
    )
