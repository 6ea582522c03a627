"""WordPiece (BERT, DistilBERT): ids in a graph.

Devlin et al. 2019, "BERT", section 3: text is cleaned and cut at white space, punctuation and Han
characters, and each word is matched from the left with the longest pieces of the vocabulary. Ids
are those of Hugging Face `tokenizers`, but for one kind of text: where accents are dropped, marks
that are no accents stay in place though Unicode's canonical order would swap them (U+302E before
U+1D165, and the few of their kind).
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf
import tensorflow_text
from tokenizers import decoders

from tflm.tokenizers.directory import read_config, write_files
from tflm.tokenizers.rows import row_of_each, to_ragged
from tflm.tokenizers.special_tokens import SpecialToken, SpecialTokens, read_special_tokens
from tflm.tokenizers.unicode import (
    BLANK,
    KIND_SHIFT,
    WORD,
    CodePointTable,
    bert_characters,
    characters,
)

VOCABULARY_FILE = "vocab.txt"
CONFIG_FILE = "wordpiece.json"
ROLES = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}

_PREFIX = "##"  # of a piece that does not start a word
_MAX_CHARACTERS = 100  # of a word; longer ones are unknown
_TRAINING_BATCH = 1024


class WordPieceTokenizer(tf.Module):
    """Text to ids of WordPiece and back.

    Args:
        vocabulary: The pieces; a piece's place is its id.
        lowercase: Whether capitals become small letters.
        strip_accents: Whether accents are dropped; None for what `lowercase` is.
        split_chinese: Whether each Han character is a word.
        clean_text: Whether control characters are dropped.
        special_tokens: Tokens outside the pieces; None for those of `roles` with their ids in
            `vocabulary`.
        roles: Content of the special token for any of pad, unk, bos, eos, cls, sep, mask; None for
            BERT's. There is one for unk.

    Attributes:
        vocab_size: Number of pieces, V.
        pad_id, unk_id, bos_id, eos_id, cls_id, sep_id, mask_id: Ids by role; None where there is
            none.

    Raises:
        ValueError: `vocabulary` is empty or lacks the token for a role, or no token is for unk.

    Example:
        tokenizer = WordPieceTokenizer.load("bert")
        ids = tokenizer.tokenize(["Two dogs.", "a cat"])    # ragged (2, None) int32
        tokenizer.detokenize(ids)                           # [b"two dogs.", b"a cat"]
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        lowercase: bool = True,
        strip_accents: bool | None = None,
        split_chinese: bool = True,
        clean_text: bool = True,
        special_tokens: Sequence[SpecialToken] | None = None,
        roles: Mapping[str, str] | None = None,
    ):
        super().__init__(name="word_piece_tokenizer")
        # As text: `tf.Module` would take a list or a dict for a part of the graph.
        self._vocabulary = "".join(f"{piece}\n" for piece in vocabulary)
        settings = {
            "lowercase": lowercase,
            "strip_accents": lowercase if strip_accents is None else strip_accents,
            "split_chinese": split_chinese,
            "clean_text": clean_text,
        }
        self._settings = json.dumps(settings)
        ids = {piece: number for number, piece in enumerate(vocabulary)}
        if roles is None:
            roles = {role: token for role, token in ROLES.items() if token in ids}
        if absent := [token for token in roles.values() if token not in ids]:
            raise ValueError(
                f"`vocabulary` must hold the tokens of `roles`. Received: one of "
                f"{len(vocabulary)} pieces without {', '.join(absent)}"
            )
        if "unk" not in roles:
            raise ValueError(
                f"`roles` must name a token for unk, and `vocabulary` hold it. Received: "
                f"roles={dict(roles)}, {len(vocabulary)} pieces"
            )
        if special_tokens is None:
            special_tokens = [SpecialToken(c, ids[c]) for c in dict.fromkeys(roles.values())]
        self._special = SpecialTokens(special_tokens, roles)
        self.vocab_size = max(len(vocabulary), *(token.id + 1 for token in self._special.tokens))
        self.pad_id = self._special.id_of("pad")
        self.unk_id = self._special.id_of("unk")
        self.bos_id = self._special.id_of("bos")
        self.eos_id = self._special.id_of("eos")
        self.cls_id = self._special.id_of("cls")
        self.sep_id = self._special.id_of("sep")
        self.mask_id = self._special.id_of("mask")
        self._normalizer = BertWords(**settings)
        with tf.init_scope():
            self._matcher = tensorflow_text.FastWordpieceTokenizer(
                # A piece that stands twice counts where it stands last. A blank is in no word.
                vocab=[p if p and ids[p] == n else f" {n}" for n, p in enumerate(vocabulary)],
                suffix_indicator=_PREFIX,
                max_bytes_per_word=4 * _MAX_CHARACTERS,
                token_out_type=tf.int32,
                unknown_token=roles["unk"],
                no_pretokenization=True,
            )
            first, later = self._spelling()
            self._first, self._later = tf.constant(first), tf.constant(later)  # (V,), (V,)

    @property
    def vocabulary(self) -> list[str]:
        """The pieces in the order of their ids."""
        return _lines(self._vocabulary)

    @property
    def special_tokens(self) -> tuple[SpecialToken, ...]:
        """The tokens outside the pieces."""
        return self._special.tokens

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        lowercase: bool = True,
        strip_accents: bool | None = None,
    ) -> Self:
        """A tokenizer learned from `texts` by KerasHub's WordPiece trainer.

        Args:
            texts: Lines of text, read once.
            vocab_size: Number of pieces at most, BERT's five special tokens included.
            lowercase: Whether capitals become small letters.
            strip_accents: Whether accents are dropped; None for what `lowercase` is.

        Raises:
            ValueError: `texts` holds no word, or `vocab_size` is too small for their characters.
            TypeError: `texts` is a single string.
        """
        if isinstance(texts, str):
            raise TypeError(f"`texts` must be an iterable of lines. Received: str {texts[:40]!r}")
        import keras_hub

        cut = BertWords(
            True, True, lowercase if strip_accents is None else strip_accents, lowercase
        )
        words = tf.data.Dataset.from_generator(
            lambda: iter(texts), output_signature=tf.TensorSpec([], tf.string)
        )
        words = words.batch(_TRAINING_BATCH).map(lambda batch: cut.split(batch)[0])
        vocabulary = keras_hub.tokenizers.compute_word_piece_vocabulary(
            words, vocab_size, split=False, reserved_tokens=list(ROLES.values())
        )
        return cls(vocabulary, lowercase, strip_accents)

    def tokenize(
        self, texts: str | Sequence[str] | tf.Tensor, special_tokens: bool = False
    ) -> tf.RaggedTensor:
        """Ids of each text, without cls and sep.

        Args:
            texts: Strings, (B,); a single Python string counts as B = 1. Bytes that are not valid
                UTF-8 are read as U+FFFD.
            special_tokens: Whether a special token spelled out in a text becomes its id. Leave it
                off for text from users.

        Returns:
            int32 ids, ragged (B, None).
        """
        texts = tf.convert_to_tensor([texts] if isinstance(texts, str) else texts, tf.string)
        return self._special.tokenize_around(texts, self._tokenize_plain, special_tokens)

    def _tokenize_plain(self, texts: Any) -> Any:
        words, sizes, row_splits = self._normalizer.split(texts)  # (W,), (W,), (B + 1,)
        words = tf.where(sizes > _MAX_CHARACTERS, " ", words)  # which no piece matches
        pieces = self._matcher.tokenize(words)  # ragged (W, None)
        ragged: Any = tf.RaggedTensor  # whose stubs lack its class methods
        return ragged.from_row_splits(
            pieces.flat_values, tf.gather(pieces.row_splits, row_splits), validate=False
        )

    def detokenize(self, ids: Any) -> tf.Tensor:
        """The text of each row of ids as far as the ids hold it: words are a space apart.

        Special and out-of-range ids are left out. As in Hugging Face `tokenizers`, no space stands
        in front of ".", ",", "!" and "?".

        Args:
            ids: Integer ids, ragged (B, None) or dense (B, T).

        Returns:
            Strings, (B,).
        """
        ids = to_ragged(ids)
        values = tf.cast(ids.flat_values, tf.int32)  # (all ids,)
        keep = (values >= 0) & (values < self.vocab_size)
        for token in self.special_tokens:
            if token.special:
                keep &= values != token.id
        ids = tf.ragged.boolean_mask(ids.with_flat_values(values), ids.with_flat_values(keep))
        spelled = tf.concat(
            [tf.gather(self._first, ids[:, :1]), tf.gather(self._later, ids[:, 1:])], axis=1
        )
        return tf.strings.reduce_join(spelled, axis=1)  # (B,)

    def _spelling(self) -> tuple[list[str], list[str]]:
        """How each id is written at the start of a text and further on."""
        pieces = self.vocabulary
        pieces += [""] * (self.vocab_size - len(pieces))
        for token in self.special_tokens:
            pieces[token.id] = token.content
        decoder: Any = decoders.WordPiece(prefix=_PREFIX, cleanup=True)
        later = [decoder.decode(["", piece]) if piece else "" for piece in pieces]
        return [decoder.decode([piece]) for piece in pieces], later

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write `vocab.txt` and `wordpiece.json` into `directory`."""
        config = {**json.loads(self._settings), **self._special.to_config()}
        write_files(
            directory,
            {
                VOCABULARY_FILE: self._vocabulary,
                CONFIG_FILE: json.dumps(config, ensure_ascii=False, indent=2),
            },
        )

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Self:
        """The tokenizer that `save` wrote into `directory`.

        Raises:
            FileNotFoundError: `directory` holds no tokenizer of this kind.
        """
        config = read_config(directory, CONFIG_FILE, (VOCABULARY_FILE,))
        return cls(read_pieces(directory), **read_special_tokens(config))


class BertWords(tf.Module):
    """BERT's words: cleaned, in small letters on request, cut where `WordPieceTokenizer` says."""

    def __init__(self, clean_text: bool, split_chinese: bool, strip_accents: bool, lowercase: bool):
        super().__init__(name="bert_words")
        values, several = bert_characters(clean_text, split_chinese, strip_accents, lowercase)
        self._characters = CodePointTable(values)
        with tf.init_scope():
            self._several = tf.constant([*sum(several, []), 0], tf.int32)
            self._start = tf.constant(np.cumsum([0, *map(len, several), 1]), tf.int32)

    def split(self, texts: Any) -> tuple[Any, Any, Any]:
        """The words of texts, (B,).

        Returns:
            Words, (W,), their numbers of characters, (W,), and where each text's words start,
            int64, (B + 1,).
        """
        found = characters(texts)
        codes = self._characters.lookup(found.codes)  # (C,)
        codes, row_splits = tf.cond(
            tf.reduce_any(codes < 0),
            lambda: self._spread(codes, found.row_splits),
            lambda: (codes, found.row_splits),
        )  # (D,), (B + 1,)
        kinds = tf.bitwise.right_shift(codes, KIND_SHIFT)
        rows = row_of_each(row_splits)  # (D,)
        joins = kinds == WORD
        joins &= tf.concat([[False], joins[:-1] & (rows[1:] == rows[:-1])], 0)[: tf.size(codes)]
        visible = tf.where(kinds != BLANK)[:, 0]
        at = tf.where(~tf.gather(joins, visible))[:, 0]  # (W,), among the visible
        size = tf.size(visible, tf.int64)
        splits = tf.concat([at, [size]], 0)  # (W + 1,)
        ragged: Any = tf.RaggedTensor  # whose stubs lack its class methods
        codes = tf.bitwise.bitwise_and(tf.gather(codes, visible), (1 << KIND_SHIFT) - 1)
        words = tf.strings.unicode_encode(
            ragged.from_row_splits(codes, splits, validate=False), "UTF-8"
        )  # (W,)
        row = tf.gather(tf.gather(rows, visible), at)  # (W,)
        counts = tf.math.unsorted_segment_sum(
            tf.ones_like(at), row, tf.size(row_splits, tf.int64) - 1
        )  # (B,)
        return words, splits[1:] - splits[:-1], tf.concat([[0], tf.cumsum(counts)], 0)

    def _spread(self, codes: Any, row_splits: Any) -> tuple[Any, Any]:
        """`codes` without those that stand for nothing, and with all that one stands for."""
        entry = tf.maximum(-2 - codes, 0)  # (C,)
        start = tf.gather(self._start, entry)  # (C,)
        sizes = tf.where(codes < -1, tf.gather(self._start, entry + 1) - start, 1)
        sizes = tf.cast(tf.where(codes == -1, 0, sizes), tf.int64)
        splits = tf.concat([[0], tf.cumsum(sizes)], 0)  # (C + 1,)
        source = row_of_each(splits)  # (D,)
        within = tf.cast(tf.range(splits[-1]) - tf.gather(splits, source), tf.int32)
        codes = tf.gather(codes, source)
        several = tf.gather(
            self._several, tf.where(codes < 0, tf.gather(start, source) + within, 0)
        )
        return tf.where(codes < 0, several, codes), tf.gather(splits, row_splits)


def read_pieces(directory: str | os.PathLike[str]) -> list[str]:
    """The pieces in `vocab.txt`, a line each."""
    return _lines((Path(directory) / VOCABULARY_FILE).read_text(encoding="utf-8"))


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")
