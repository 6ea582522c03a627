"""Strings at which a text ends, found while it is written by one look-up a token.

A stop string may go over several tokens, and begin and end inside them. The text is followed byte
by byte with the automaton of Aho & Corasick 1975 (https://doi.org/10.1145/360825.360855), whose
state is the longest beginning of a stop string that the text ends with. What a whole token does to
each state is known before decoding; most tokens do the same, so that a few classes of tokens
make a small table.

`S` states, `C` classes of tokens, `V` vocabulary, `B` rows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tflm.generation.protocol import Tensor

_START = 0  # no text yet: what the next token writes may depend on that
_NOTHING = 1  # the text ends with no beginning of a stop string


def stop_strings(stop: str | Sequence[str]) -> tuple[str, ...]:
    """The stop strings at which a text can end.

    One that holds another before its own end is left out: no text gets as far. Of the others, the
    first that begins in a text is the first that ends in it.

    Args:
        stop: one, or several.

    Raises:
        ValueError: one is empty, or no string.
    """
    strings = list(dict.fromkeys([stop] if isinstance(stop, str) else stop))
    if not all(isinstance(each, str) and each for each in strings):
        raise ValueError(f"`stop` must hold strings that are not empty. Received: stop={stop!r}")
    return tuple(each for each in strings if not any(other in each[:-1] for other in strings))


class StopStrings:
    """Follows what tokens write, until it holds one of some strings.

    Args:
        stop: what `stop_strings` returned, one at least.
        first: what each id writes at the start of a text, `V` of them; a part of a character
            perhaps, or nothing.
        later: what each id writes further on.
    """

    def __init__(self, stop: Sequence[str], first: Sequence[bytes], later: Sequence[bytes]):
        automaton = _automaton([each.encode() for each in stop])
        self._found = len(automaton) - 1
        self._writes = np.array([bool(each) for each in later])  # (V,)
        states = np.repeat(np.arange(len(automaton), dtype=np.int32)[:, None], len(later), axis=1)
        states[_START] = _NOTHING
        states[:1] = _read(automaton, states[:1], first)
        states[1:] = _read(automaton, states[1:], later)
        states[_START] = np.where(self._writes, states[_START], _START)
        columns, classes = np.unique(states.T, axis=0, return_inverse=True)  # (C, S), (V,)
        self._classes = classes.reshape(-1).astype(np.int32)
        self._table = columns.T.copy()  # (S, C)

    def start(self, before: Any) -> Tensor:
        """States `(B,)` of texts that begin with the ids `before`, ragged `(B, None)`.

        Only what is written later can be a stop string.
        """
        has_text = tf.reduce_any(tf.gather(self._writes, before), axis=1)
        return tf.where(has_text, _NOTHING, _START)

    def after(self, states: Tensor, tokens: Tensor) -> Tensor:
        """States after a token each, of the same shape."""
        columns = tf.gather(self._classes, tokens)
        return tf.gather(self._table.reshape(-1), states * self._table.shape[1] + columns)

    def is_found(self, states: Tensor) -> Tensor:
        """Whether the text holds a stop string, boolean of the same shape."""
        return states == self._found


def _automaton(stop: Sequence[bytes]) -> np.ndarray:
    """The state after each byte in each state, int32 `(S, 256)`; the last state is "found"."""
    beginnings = {each[:size] for each in stop for size in range(len(each))}
    number = {each: _NOTHING + i for i, each in enumerate(sorted(beginnings))}
    found = _NOTHING + len(number)
    table = np.full((found + 1, 256), _NOTHING, np.int32)
    table[found] = found
    for beginning, state in number.items():
        for byte in set(b"".join(stop)):
            text = beginning + bytes([byte])
            ends = (text[i:] for i in range(len(text) + 1))
            known = next(end for end in ends if end in number)
            table[state, byte] = found if text.endswith(tuple(stop)) else number[known]
    return table


def _read(automaton: np.ndarray, states: np.ndarray, written: Sequence[bytes]) -> np.ndarray:
    """States `(s, V)` after what each id writes."""
    states = states.copy()
    sizes = np.array([len(each) for each in written])  # (V,)
    starts = np.cumsum(sizes) - sizes
    flat = np.frombuffer(b"".join(written), np.uint8)
    place, open_ = 0, np.flatnonzero(sizes)
    while open_.size:
        states[:, open_] = automaton[states[:, open_], flat[starts[open_] + place]]
        place += 1
        open_ = open_[sizes[open_] > place]
    return states
