"""Text out of tokens as they come: whole characters, and nothing of a string that ends it.

tokens    "公"  "园\xe5"  "\xbe\x88"  "大\n"  "\n"         stop  "\n\n"
pieces    公    园         很          大
"""

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence

from tflm.tokenizers import Tokenizer
from tflm.tokenizers.spelling import spelling


class TextStream:
    """Makes the pieces of a text from its tokens.

    Args:
        tokenizer: whose tokens they are.
        continuation: from ids read and ids written to the text of those written; it is asked where
            bytes make no character, which each tokenizer decodes in its own way.
    """

    def __init__(self, tokenizer: Tokenizer, continuation: Callable[[list[int], list[int]], str]):
        self._first, self._later = spelling(tokenizer)
        self._continuation = continuation

    def pieces(
        self, tokens: Iterable[int], read: Sequence[int], stop: Sequence[str] = ()
    ) -> Iterator[str]:
        """The text of `tokens`, as soon as it is known, up to the first stop string.

        Args:
            tokens: ids as they are decoded; no more are taken than are needed.
            read: ids of the text before, the token that begins every text excluded.
            stop: what `tflm.generation.stopping.stop_strings` returned.

        Yields:
            Strings, none of them empty.
        """
        return before_stop(self._whole_characters(tokens, list(read)), stop)

    def _whole_characters(self, tokens: Iterable[int], read: list[int]) -> Iterator[str]:
        """Pieces that end where a character does."""
        written: list[int] = []
        waiting, given = b"", 0  # bytes since the last piece, characters up to it
        at_start = not any(self._writes(each) for each in read)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for token in tokens:
            written.append(token)
            if not self._writes(token):
                continue
            spelled = (self._first if at_start else self._later)[token]
            at_start = False
            waiting += spelled
            decoder.decode(spelled)
            if waiting and not decoder.getstate()[0]:
                piece = self._decoded(waiting, read, written, given)
                given += len(piece)
                waiting = b""
                yield piece
        if waiting:
            yield self._continuation(read, written)[given:]

    def _writes(self, token: int) -> bool:
        # A network may have more embeddings than there are pieces.
        return token < len(self._later) and bool(self._later[token])

    def _decoded(self, waiting: bytes, read: list[int], written: list[int], given: int) -> str:
        try:
            return waiting.decode()
        except UnicodeDecodeError:
            return self._continuation(read, written)[given:]


def before_stop(pieces: Iterable[str], stop: Sequence[str]) -> Iterator[str]:
    """Pieces of a text up to the first stop string, of which nothing is given.

    What may be the beginning of one is held back until it is known not to be.
    """
    held = ""
    for piece in pieces:
        held += piece
        places = [held.find(each) for each in stop]
        place = min((each for each in places if each >= 0), default=None)
        if place is not None:
            if place:
                yield held[:place]
            return
        free = len(held) - _beginning(held, stop)
        if free:
            yield held[:free]
            held = held[free:]
    if held:
        yield held


def _beginning(text: str, stop: Sequence[str]) -> int:
    """How many characters of the longest beginning of a stop string a text ends with."""
    longest = min(len(text), max(map(len, stop), default=1) - 1)
    sizes = range(longest, 0, -1)
    return next((n for n in sizes if any(each.startswith(text[-n:]) for each in stop)), 0)
