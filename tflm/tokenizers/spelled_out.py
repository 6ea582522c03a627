"""Texts in which special tokens are spelled out, "Paris is the [MASK] of France" say, to ids.

Plain text is never read as a special token (`tflm.tokenizers.special_tokens`); here a caller names
those that are. The text between them gets the ids that it has inside a whole text, which are not
those it has alone: SentencePiece puts a space in front of what it takes for a text's beginning.
"""

import re
from collections.abc import Mapping, Sequence

from tflm.tokenizers.byte_pair import BytePairTokenizer
from tflm.tokenizers.loading import Tokenizer
from tflm.tokenizers.pieces import Pieces
from tflm.tokenizers.sentencepiece import SentencePieceTokenizer

_GUARD = "\u2585"  # which is in no piece of a SentencePiece model


class SpelledOut:
    """Reads some special tokens where a text spells them, and puts other ids in their place.

    A token stands for whole words: where the pieces of words begin with a space, the space in front
    of the token belongs to it. A character that a SentencePiece model has neither a piece nor bytes
    for is not read where it stands right behind a token.

    Args:
        tokenizer: Tokenizes the text in between.
        pieces: Its pieces.
        tokens: Ids of the tokens by how they are spelled.

    Example:
        spelled = SpelledOut(tokenizer, Pieces.of(tokenizer), {"[MASK]": tokenizer.mask_id})
        spelled.tokenize(["a [MASK] barks"])           # [[5, 4, 83]]
        spelled.fill("a [MASK] barks", [[71]])         # "a dog barks"
    """

    def __init__(self, tokenizer: Tokenizer, pieces: Pieces, tokens: Mapping[str, int]):
        self.tokenizer = tokenizer
        self.pieces = pieces
        self.tokens = dict(tokens)
        longest_first = sorted(tokens, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        self._guard: list[int] = []
        if isinstance(tokenizer, SentencePieceTokenizer):
            self._guard = tokenizer.tokenize([_GUARD]).to_list()[0]
            self._takes_space = tokenizer._adds_space
        else:
            self._takes_space = isinstance(tokenizer, BytePairTokenizer)

    def find(self, text: str) -> list[str]:
        """The tokens that a text spells, in order."""
        return self._pattern.findall(text)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, those of the tokens among them."""
        guard = _GUARD if self._guard else ""
        flat = [
            guard + part if number else part
            for text in texts
            for number, part in enumerate(self._between(text))
        ]
        ids = iter(self.tokenizer.tokenize(flat).to_list() if flat else [])
        found = []
        for text in texts:
            row = next(ids)
            for token in self.find(text):
                row += [self.tokens[token], *next(ids)[len(self._guard) :]]
            found.append(row)
        return found

    def fill(self, text: str, spans: Sequence[Sequence[int]]) -> str:
        """The text with what each span of ids spells in the place of a token, first to last."""
        first, *rest = self._pattern.split(text)
        filled = first.encode()
        for span, part in zip(spans, rest, strict=True):
            filled = self._appended(filled, self.pieces.join(list(span))) + part.encode()
        return filled.decode(errors="replace")

    def _between(self, text: str) -> list[str]:
        """What stands before, between and behind the tokens."""
        *parts, last = self._pattern.split(text)
        return [part.rstrip(" ") if self._takes_space else part for part in parts] + [last]

    def _appended(self, text: bytes, spelled: bytes) -> bytes:
        if not self.pieces.keeps_spaces and spelled.startswith(b" "):
            return text + spelled[1:]  # a word of WordPiece: the space, if any, is the text's
        if self._takes_space or not self.pieces.keeps_spaces:
            text = text.rstrip(b" ")
        return text + spelled if text or not self._takes_space else spelled.lstrip(b" ")
