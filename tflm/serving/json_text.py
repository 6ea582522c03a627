"""JSON of a request, and what rapidjson says of a text that is none (`JSON Parse error: ...`)."""

import itertools
import json
import math
import re
from typing import Any

from tflm.serving.status import invalid

_SPACE = b" \t\n\r"
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_WORDS = {  # a first letter, and what may follow
    b"t": (b"true",),
    b"f": (b"false",),
    b"n": (b"null",),
    b"N": (b"NaN",),
    b"I": (b"Infinity",),
}
_DEEPEST = 500  # lists in lists: deeper ones exhaust the stack, and no tensor has them
_SHOWN = 256


def parse(text: bytes) -> Any:
    """The value of a JSON text, with NaN and Infinity as TF Serving reads them.

    Strings that are not UTF-8 keep their bytes, as surrogate escapes: `to_bytes` gives them back.

    Raises:
        RequestError: it is not JSON; the message is rapidjson's, with the place in bytes.
    """
    if not text:
        raise invalid("JSON Parse error: The document is empty")
    text = text.removeprefix(b"\xef\xbb\xbf")
    if _SURROGATE.search(text):  # half a pair would pass Python's reader
        _check(text)
    try:
        return json.loads(
            text.decode("utf-8", "surrogateescape"), parse_int=_integer, parse_float=_decimal
        )
    except (ValueError, RecursionError) as error:
        _check(text)
        raise invalid(f"JSON Parse error: {error}") from error


def show(value: Any) -> str:
    """A value in an error message: as it would be written, cut to 256 bytes."""
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
    else:
        pieces = json.JSONEncoder(indent=4, ensure_ascii=False).iterencode(value)
        text = "".join(itertools.islice(pieces, _SHOWN))
    return to_bytes(text)[:_SHOWN].decode("utf-8", "ignore")


def to_bytes(value: str) -> bytes:
    """A string of a parsed text as the bytes that stood there."""
    return value.encode("utf-8", "surrogateescape")


def _integer(digits: str) -> int | float:
    """An integer where 64 bits hold it, else a decimal, as rapidjson does."""
    value = int(digits) if len(digits) <= 20 else _decimal(digits)
    return value if -(2**63) <= value < 2**64 else float(value)


def _decimal(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("Number too big to be stored in double.")
    return value


class _Malformed(Exception):
    pass


def _check(text: bytes) -> None:
    """Finds the first fault of a text.

    Raises:
        RequestError: there is one.
    """
    scanner = _Scanner(text)
    try:
        scanner.document()
    except _Malformed as fault:
        raise invalid(f"JSON Parse error: {fault} at offset: {scanner.place}") from None


class _Scanner:
    """Reads JSON without making values of it, and without recursion."""

    def __init__(self, text: bytes):
        self.text = text
        self.place = 0

    def document(self) -> None:
        self._skip_space()
        if self.place == len(self.text):
            raise _Malformed("The document is empty.")
        open_ends: list[bytes] = []  # what closes each list and object that is open
        while True:
            opened = self._value(open_ends)
            while not opened:
                self._skip_space()
                if not open_ends:
                    if self.place < len(self.text):
                        raise _Malformed("The document root must not be followed by other values.")
                    return
                end = open_ends[-1]
                if self._take(b","):
                    self._skip_space()
                    if end == b"}":
                        self._key()
                    break
                if not self._take(end):
                    what = "an array element" if end == b"]" else "an object member"
                    raise _Malformed(f"Missing a comma or {end.decode()} after {what}.")
                open_ends.pop()

    def _value(self, open_ends: list[bytes]) -> bool:
        """Reads a value, or the beginning of one: whether a value must follow."""
        for start, end in ((b"[", b"]"), (b"{", b"}")):
            if self._take(start):
                if len(open_ends) >= _DEEPEST:
                    raise _Malformed(f"More than {_DEEPEST} lists and objects in each other.")
                self._skip_space()
                if self._take(end):
                    return False
                open_ends.append(end)
                if end == b"}":
                    self._key()
                return True
        if self._take(b'"'):
            self._string()
        elif not self._word():
            self._number()
        return False

    def _key(self) -> None:
        if not self._take(b'"'):
            raise _Malformed("Missing a name for object member.")
        self._string()
        self._skip_space()
        if not self._take(b":"):
            raise _Malformed("Missing a colon after a name of object member.")
        self._skip_space()

    def _word(self) -> bool:
        words = _WORDS.get(self.text[self.place : self.place + 1], ())
        for word in words:
            for letter in word:
                if self.text[self.place : self.place + 1] != bytes([letter]):
                    raise _Malformed("Invalid value.")
                self.place += 1
        return bool(words)

    def _number(self) -> None:
        start = self.place
        if self.text.startswith(b"-Infinity", start):
            self.place += len(b"-Infinity")
            return
        found = _NUMBER.match(self.text, start)
        if not found:
            self.place += self.text.startswith(b"-", start)
            raise _Malformed("Invalid value.")
        self.place = found.end()
        if self._take(b"."):
            self._digits("Miss fraction part in number.")
        if self._take(b"e") or self._take(b"E"):
            if not self._take(b"+"):
                self._take(b"-")
            self._digits("Miss exponent in number.")
        if math.isinf(float(self.text[start : self.place])):
            self.place = start
            raise _Malformed("Number too big to be stored in double.")

    def _digits(self, missing: str) -> None:
        start = self.place
        while self.text[self.place : self.place + 1].isdigit():
            self.place += 1
        if self.place == start:
            raise _Malformed(missing)

    def _string(self) -> None:
        while self.place < len(self.text):
            letter = self.text[self.place]
            if letter == 0x22:
                self.place += 1
                return
            if letter == 0x5C:
                self._escape()
            elif letter < 0x20:
                raise _Malformed("Invalid encoding in string.")
            else:
                self.place += 1
        raise _Malformed("Missing a closing quotation mark in string.")

    def _escape(self) -> None:
        """An escape; a fault is told of its backslash."""
        code = self._escaped(self.place)
        if 0xD800 <= code < 0xDC00:
            low = self._escaped(self.place + 6)
            if not 0xDC00 <= low < 0xE000:
                raise _Malformed("The surrogate pair in string is invalid.")
            self.place += 12
        elif 0xDC00 <= code < 0xE000:
            raise _Malformed("The surrogate pair in string is invalid.")
        else:
            self.place += 6 if code >= 0 else 2

    def _escaped(self, place: int) -> int:
        """The code of a `\\uXXXX`, -1 for another escape."""
        two = self.text[place : place + 2]
        if two != b"\\u":
            if place == self.place and (len(two) < 2 or two[1] not in b'"\\/bfnrt'):
                raise _Malformed("Invalid escape character in string.")
            return -1
        digits = self.text[place + 2 : place + 6]
        if not re.fullmatch(rb"[0-9a-fA-F]{4}", digits):
            raise _Malformed("Incorrect hex digit after \\u escape in string.")
        return int(digits, 16)

    def _skip_space(self) -> None:
        while self.place < len(self.text) and self.text[self.place] in _SPACE:
            self.place += 1

    def _take(self, letter: bytes) -> bool:
        found = self.text.startswith(letter, self.place)
        self.place += found
        return found
