"""KerasHub's tokenizers, and its packing of ids, for a graph that TF Serving runs.

Its byte-pair tokenizer remembers every word in a table that grows, and tokenizes otherwise inside
of a graph than outside, where `generate` runs it: KerasHub 0.32 merges there over the whole text,
with no cut between words. Ours takes its vocabulary, and the way to cut that gives its ids. A
SentencePiece model is its own description. Its WordPiece has fixed tables and ops that every
server has: it stays.
"""

from typing import Any

import tensorflow as tf

from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer
from tflm.tokenizers.special_tokens import SpecialToken
from tflm.tokenizers.splitting import RULES

# What tokenizers are compared on: cuts differ at digits, white space, signs, case and scripts.
PROBES = (
    "",
    "How are you today? I'm fine, DON'T worry: it's 3 May 2021, 12345678 people.",
    "Two  spaces,\ttabs \n\n lines\r\n and   ends  ",
    "你今天好吗？我们2021年5月3日在北京见面，带了12345元。",
    "Zürich, naïve café -- “quoted” [x_1] (y^2) {z}: http://example.org/a?b=c&d=%20",
    "日本語と한국어와 русский текст, ไทย, हिन्दी 👩‍👧 🙂",
    "snake_case camelCase HTML5 3.14e-10 !!! ... ?!",
)


class HubTokenizer(tf.Module):
    """A KerasHub tokenizer as the modules of this package use one, in a graph.

    Args:
        theirs: a KerasHub tokenizer, byte-pair, SentencePiece or WordPiece.

    Attributes:
        pad_id, cls_id, sep_id: ids that fill rows, that begin and that end a text.

    Raises:
        ValueError: it is of another kind, or gives other ids than ours on any of `PROBES`.
    """

    def __init__(self, theirs: Any):
        super().__init__(name="hub_tokenizer")
        self.pad_id = theirs.pad_token_id
        self.cls_id = theirs.start_token_id
        self.sep_id = theirs.end_token_id
        self._special_ids = tuple(sorted(theirs.special_token_ids))
        self._ours: Any = None
        self._tokenize: Any = None
        expected = _ids(theirs(list(PROBES)))
        for ours, tokenize in _candidates(theirs):
            if _ids(tf.function(tokenize, autograph=False)(tf.constant(PROBES))) == expected:
                self._ours, self._tokenize = ours, tokenize
                return
        raise ValueError(
            "`tokenizer` must cut texts as a byte-pair, SentencePiece or WordPiece tokenizer of "
            f"KerasHub does by itself. Received: {type(theirs).__name__}, which has other ids"
        )

    def tokenize(self, texts: Any) -> Any:
        """Strings `(B,)` -> their ids, ragged int32 `(B, None)`, without start and end."""
        return tf.cast(self._tokenize(texts), tf.int32)

    def text(self, ids: Any, mask: Any) -> Any:
        """Ids `(B, T)` -> strings `(B,)` of those that `mask` has and that are not special."""
        for number in self._special_ids:
            mask &= ids != number
        found = self._ours.detokenize(tf.ragged.boolean_mask(ids, mask))
        return tf.strings.unicode_transcode(found, "UTF-8", "UTF-8")


def pack(ids: Any, packer: Any, length: int, end: bool) -> tuple[Any, Any, Any]:
    """Rows of ids as a KerasHub `StartEndPacker` packs them.

    Args:
        ids: ragged int32 `(B, None)`.
        packer: says what a row begins and ends with, and is filled with.
        length: `T`.
        end: whether a row gets its end.

    Returns:
        int32 `(B, T)`; boolean `(B, T)`, True for what is no padding; which rows lost ids, boolean
        `(B,)`.
    """
    first: list[int] = list(packer.start_value or ())
    last: list[int] = list(packer.end_value or ()) if end else []
    room = length - len(first) - len(last)
    rows = ids.nrows()
    cut = ids.row_lengths() > room  # (B,)

    def column(values: list[int]) -> Any:
        return tf.tile(tf.constant([values], tf.int32), [rows, 1])

    edges = [column(values) for values in (first, last)]
    packed: Any = tf.concat([edges[0], ids[:, :room], edges[1]], axis=1)
    mask = tf.sequence_mask(packed.row_lengths(), length)  # (B, T)
    return packed.to_tensor(packer.pad_value or 0, shape=[None, length]), mask, cut


def longest(mask: Any) -> Any:
    """Tokens of the longest row of a mask `(B, T)`: what is behind it is inert, and left out."""
    return tf.reduce_max(tf.reduce_sum(tf.cast(mask, tf.int32), axis=1))


def _candidates(theirs: Any) -> Any:
    """What may do the same in a graph: what is to be tracked, and the function."""
    import keras_hub

    kinds = keras_hub.tokenizers
    if isinstance(theirs, kinds.WordPieceTokenizer):
        yield None, lambda texts: theirs.tokenize(texts)  # a tracked Keras layer would be traced
    elif isinstance(theirs, kinds.SentencePieceTokenizer):
        ours = SentencePieceTokenizer(theirs.proto)
        yield ours, ours.tokenize
    elif isinstance(theirs, kinds.BytePairTokenizer):
        for rule in ("", *RULES):
            ours = _byte_pair(theirs, rule)
            yield ours, lambda texts, ours=ours: ours.tokenize(texts, special_tokens=True)


def _byte_pair(theirs: Any, rule: str) -> BytePairTokenizer:
    """Ours with their vocabulary, which cuts by a rule, or not at all."""
    merges = [merge.split(" ") for merge in theirs.merges if not merge.startswith("#version")]
    vocabulary = dict(theirs.vocabulary)
    special_ids = theirs.special_token_ids
    tokens = [
        SpecialToken(token, vocabulary[token], special=vocabulary[token] in special_ids)
        for token in sorted(theirs.unsplittable_tokens)
    ]
    options = {"special_tokens": tokens, "add_prefix_space": theirs.add_prefix_space}
    pairs = [(left, right) for left, right in merges]
    if rule:
        return BytePairTokenizer(vocabulary, pairs, rule, **options)
    return _UncutBytePairTokenizer(vocabulary, pairs, **options)


class _UncutBytePairTokenizer(BytePairTokenizer):
    """Byte-pair encoding of a text as one word."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._splitter: Any = _WholeTexts()


class _WholeTexts(tf.Module):
    def split(self, texts: Any) -> Any:
        """Strings `(B,)` -> ragged `(B, 0 or 1)`."""
        ragged: Any = tf.RaggedTensor  # whose stubs lack its class methods
        holds_some = texts != ""
        return ragged.from_row_lengths(
            tf.boolean_mask(texts, holds_some), tf.cast(holds_some, tf.int64), validate=False
        )


def _ids(rows: Any) -> list[list[int]]:
    """Rows of ids, of whatever a tokenizer gives."""
    rows = rows.to_list() if isinstance(rows, tf.RaggedTensor) else rows
    return [[int(number) for number in row] for row in rows]
