"""KerasHub's tokenizers, and its packing of ids, for a graph that TF Serving runs.

Its byte-pair tokenizer remembers every word in a table that grows, and tokenizes otherwise inside
of a graph than outside, where `generate` runs it: KerasHub 0.32 merges there over the whole text,
with no cut between words. Ours takes its vocabulary, and the way to cut that gives its ids. A
SentencePiece model is its own description. Its WordPiece has fixed tables and ops that every
server has: it stays.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import tensorflow as tf
from sentencepiece import sentencepiece_model_pb2 as _protocol

from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer
from tflm.tokenizers.special_tokens import SpecialToken
from tflm.tokenizers.splitting import RULES

_MODEL: Any = _protocol.ModelProto  # pyright: ignore[reportAttributeAccessIssue]
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
        pad_id, cls_id, sep_id: ids that fill rows, that begin and that end a text, if any does.
        special_ids: ids that are no text.
        hidden_ids: those that are left out of texts; all of `special_ids` at first.
        probes: those of `PROBES` that have the same ids inside of a graph and outside.
        probed: their ids.

    Raises:
        ValueError: it is of another kind, or gives other ids than ours on any of `PROBES`.
    """

    def __init__(self, theirs: Any):
        super().__init__(name="hub_tokenizer")
        self.pad_id = theirs.pad_token_id
        self.cls_id = getattr(theirs, "start_token_id", None)
        self.sep_id = getattr(theirs, "end_token_id", None)
        self.special_ids = tuple(sorted(theirs.special_token_ids))
        self.hidden_ids = self.special_ids
        self._ours: Any = None
        self._tokenize: Any = None
        expected = _ids(theirs(list(PROBES)))
        for ours, tokenize in _candidates(theirs):
            found = _in_a_graph(tokenize)
            if found == expected or (
                isinstance(ours, _Pieces) and found == _in_their_graph(theirs)
            ):
                self._ours, self._tokenize = ours, tokenize
                same = [one == other for one, other in zip(found, expected, strict=True)]
                self.probes = tuple(itertools.compress(PROBES, same))
                self.probed = tuple(map(tuple, itertools.compress(expected, same)))
                return
        raise ValueError(
            "`tokenizer` must cut texts as a byte-pair, SentencePiece or WordPiece tokenizer of "
            "KerasHub does by itself; set one in `task.preprocessor` that does. "
            f"Received: {type(theirs).__name__}, which has other ids"
        )

    def tokenize(self, texts: Any) -> Any:
        """Strings `(B,)` -> their ids, ragged int32 `(B, None)`, without start and end."""
        return tf.cast(self._tokenize(texts), tf.int32)

    def text(self, ids: Any, mask: Any) -> Any:
        """Ids `(B, T)` -> strings `(B,)` of those that `mask` has and that are not hidden."""
        for number in self.hidden_ids:
            mask &= ids != number
        found = self._ours.detokenize(tf.ragged.boolean_mask(ids, mask))
        return tf.strings.unicode_transcode(found, "UTF-8", "UTF-8")


class Frame(NamedTuple):
    """How a text's ids stand in a row, as a KerasHub packer puts them there.

    Args:
        first: ids before them.
        last: ids behind them.
        pad_id: what fills the row.
        length: ids of a row, `T`.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    pad_id: int
    length: int

    @classmethod
    def of(cls, rows: np.ndarray, mask: np.ndarray, tokens: Sequence[Sequence[int]]) -> Self:
        """The frame of rows that KerasHub made.

        Where there are several that would do, one; where there is none, one that does not.

        Args:
            rows: `(P, T)`.
            mask: boolean `(P, T)`, False for padding.
            tokens: the ids that are framed, `P` lists of them; the first is empty.
        """
        mask = mask.astype(bool)
        edges = rows[0][mask[0]].tolist()
        filling = rows[~mask]
        pad_id = int(filling[0]) if filling.size else 0
        length = rows.shape[1]
        frames = [
            cls(tuple(edges[:place]), tuple(edges[place:]), pad_id, length)
            for place in range(len(edges), -1, -1)
        ]
        given = [row[kept].tolist() for row, kept in zip(rows, mask, strict=True)]
        return next(
            (
                frame
                for frame in frames
                if all(
                    [*frame.first, *ids[: length - len(edges)], *frame.last] == row
                    for ids, row in zip(tokens, given, strict=True)
                )
            ),
            frames[0],
        )


def pack(ids: Any, frame: Frame) -> tuple[Any, Any, Any]:
    """Rows of ids in a frame.

    Args:
        ids: ragged int32 `(B, None)`.
        frame: with `T` ids a row.

    Returns:
        int32 `(B, T)`; boolean `(B, T)`, True for what is no padding; which rows lost ids, boolean
        `(B,)`.
    """
    first, last, pad_id, length = frame
    room = length - len(first) - len(last)
    rows = ids.nrows()
    cut = ids.row_lengths() > room  # (B,)

    def column(values: Sequence[int]) -> Any:
        return tf.tile(tf.constant([values], tf.int32, (1, len(values))), [rows, 1])

    packed: Any = tf.concat([column(first), ids[:, :room], column(last)], axis=1)
    mask = tf.sequence_mask(packed.row_lengths(), length)  # (B, T)
    return packed.to_tensor(pad_id, shape=[None, length]), mask, cut


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
        pieces = _Pieces(theirs)
        yield pieces, pieces.tokenize
    elif isinstance(theirs, kinds.BytePairTokenizer):
        for rule in ("", *RULES):
            ours = _byte_pair(theirs, rule)
            yield ours, lambda texts, ours=ours: ours.tokenize(texts, special_tokens=True)


class _Pieces(SentencePieceTokenizer):
    """A SentencePiece model, with the ids and the texts that KerasHub has of it."""

    def __init__(self, theirs: Any):
        super().__init__(theirs.proto)
        model = _MODEL.FromString(theirs.proto)
        numbers = [theirs.token_to_id(piece.piece) for piece in model.pieces]
        # XLM-RoBERTa has special tokens in other places than its SentencePiece model.
        self._numbers = None if numbers == [*range(len(numbers))] else numbers
        self._strips = model.normalizer_spec.remove_extra_whitespaces

    def tokenize(self, texts: Any) -> Any:
        """Ids of each text, ragged `(B, None)`."""
        ids = super().tokenize(texts)
        return ids if self._numbers is None else tf.gather(tf.constant(self._numbers), ids)

    def detokenize(self, ids: Any) -> Any:
        """The text of each row, with SentencePiece's sign for what is unknown."""
        values = ids.flat_values
        ids = tf.ragged.boolean_mask(ids, ids.with_flat_values(values < self.vocab_size))
        texts = self._joined(ids)
        if not self._adds_space and not self._strips:
            return texts
        return tf.strings.regex_replace(texts, "^ +" if self._strips else "^ ", "")


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


def _in_their_graph(theirs: Any) -> list[list[int]] | None:
    """The ids that a KerasHub tokenizer gives in a graph, where it can be in one.

    Where cuts are equally likely, SentencePiece takes another one there than outside.
    """
    try:
        return _in_a_graph(theirs.tokenize)
    except Exception:  # whatever Python does that a graph cannot
        return None


def _in_a_graph(tokenize: Any) -> list[list[int]]:
    """The ids of `PROBES` in a graph."""
    return _ids(tf.function(tokenize, autograph=False)(tf.constant(PROBES)))


def _ids(rows: Any) -> list[list[int]]:
    """Rows of ids, of whatever a tokenizer gives."""
    rows = rows.to_list() if isinstance(rows, tf.RaggedTensor) else rows
    return [[int(number) for number in row] for row in rows]
