"""Tokens that stand for something else than the text that spells them.

Plain text is never read as a special token unless a call asks for it: a user who types "</s>" gets
the ids of those four characters.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import tensorflow as tf

ROLES = ("pad", "unk", "bos", "eos", "cls", "sep", "mask")

_WHITESPACE = (
    r"[\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*"
)
_CUT = b"\xff"  # which UTF-8 does not use


@dataclass(frozen=True)
class SpecialToken:
    """A token outside the vocabulary's own rules.

    Attributes:
        content: What it looks like.
        id: Its id.
        special: Whether it is left out of decoded text, and found in text only on request. A
            token that is not special is always found.
        takes_left, takes_right: Whether it swallows the white space beside it.
    """

    content: str
    id: int
    special: bool = True
    takes_left: bool = False
    takes_right: bool = False


class SpecialTokens(tf.Module):
    """The special tokens of a tokenizer, and what each is for.

    Args:
        tokens: The tokens.
        roles: Content of the token for each of `ROLES` that there is.

    Raises:
        ValueError: A role is unknown, or its token is not among `tokens`; or two tokens look the
            same or have one id.
    """

    def __init__(self, tokens: Sequence[SpecialToken], roles: Mapping[str, str]):
        super().__init__(name="special_tokens")
        self.tokens = tuple(tokens)
        self.roles = dict(roles)
        self._by_content = {token.content: token for token in tokens}
        if len(self._by_content) < len(tokens) or len({t.id for t in tokens}) < len(tokens):
            raise ValueError(
                "`special_tokens` must differ in content and in id. Received: "
                f"{[(token.content, token.id) for token in tokens]}"
            )
        if "" in self._by_content:
            raise ValueError("`special_tokens` must not hold an empty token.")
        for role, content in roles.items():
            if role not in ROLES:
                raise ValueError(
                    f"`roles` must be among {', '.join(ROLES)}. Received: role {role!r}"
                )
            if content not in self._by_content:
                raise ValueError(
                    f"`roles` must name special tokens, which are "
                    f"{', '.join(self._by_content) or 'none'}. Received: {role}={content!r}"
                )
        self._always, self._asked = (
            _Finder(found) if found else None
            for found in ([token for token in tokens if not token.special], tokens)
        )

    def id_of(self, role: str) -> int | None:
        """The id of the token for `role`, None where there is none."""
        return self._by_content[self.roles[role]].id if role in self.roles else None

    def to_config(self) -> dict[str, Any]:
        """What `read_special_tokens` takes, as JSON can hold it."""
        return {"special_tokens": list(map(asdict, self.tokens)), "roles": dict(self.roles)}

    def tokenize_around(self, texts: Any, tokenize: Any, special_tokens: bool) -> Any:
        """Ids of texts in which tokens of this object are found first.

        Args:
            texts: (B,).
            tokenize: Gives the ids of the texts in between, (S,) -> ragged (S, None); none for "".
            special_tokens: Whether those that are special are found too.

        Returns:
            Ragged (B, None) int32.
        """
        finder = self._asked if special_tokens else self._always
        if finder is None:
            return tokenize(texts)
        segments, ids = finder.split(texts)  # ragged (B, None), (S,)
        found = ids >= 0
        ragged: Any = tf.RaggedTensor  # whose stubs lack its class methods
        single = ragged.from_row_lengths(
            tf.boolean_mask(ids, found), tf.cast(found, tf.int64), validate=False
        )  # ragged (S, 0 or 1)
        between = tokenize(tf.where(found, "", segments.flat_values))  # ragged (S, None)
        pieces: Any = tf.concat([single, between], 1)  # ragged (S, None)
        return ragged.from_row_splits(
            pieces.flat_values, tf.gather(pieces.row_splits, segments.row_splits), validate=False
        )


def read_special_tokens(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with the tokens that `SpecialTokens.to_config` wrote as objects again."""
    return {**config, "special_tokens": [SpecialToken(**each) for each in config["special_tokens"]]}


class _Finder(tf.Module):
    def __init__(self, tokens: Sequence[SpecialToken]):
        super().__init__(name="finder")
        # The longest first: an expression takes the first alternative that fits.
        tokens = sorted(tokens, key=lambda token: -len(token.content))
        self._pattern = "|".join(
            _WHITESPACE * token.takes_left
            + _quoted(token.content)
            + _WHITESPACE * token.takes_right
            for token in tokens
        )
        self._strips = any(token.takes_left or token.takes_right for token in tokens)
        with tf.init_scope():
            self._ids = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(
                    [token.content for token in tokens],
                    tf.constant([token.id for token in tokens], tf.int32),
                ),
                default_value=-1,
            )

    def split(self, texts: Any) -> tuple[Any, Any]:
        """Segments, ragged (B, None), and the ids of those that are tokens, else -1, (S,)."""
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        texts = tf.strings.regex_replace(texts, f"({self._pattern})", _CUT + rb"\1" + _CUT)
        segments: Any = tf.strings.split(texts, _CUT)  # TF Text's splitter ends at a zero byte
        ids = self._ids.lookup(segments.flat_values)  # (S,)
        if self._strips:
            contents = tf.strings.regex_replace(segments.flat_values, f"^{_WHITESPACE}", "")
            contents = tf.strings.regex_replace(contents, f"{_WHITESPACE}$", "")
            ids = tf.maximum(ids, self._ids.lookup(contents))
        return segments, ids


def _quoted(content: str) -> str:
    # RE2 takes a backslash in front of any ASCII sign that is not a letter, a digit or "_".
    return re.sub(r"([!-/:-@\[-^`{-~])", r"\\\1", content)
