"""Marian's tokenizers (OPUS-MT): SentencePiece cuts a text, and `vocab.json` numbers the pieces.

Junczys-Dowmunt et al. 2018, "Marian: Fast Neural Machine Translation in C++". Each language has a
SentencePiece model of its own; the numbers are shared unless there is a `target_vocab.json`.
"""

import functools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import tensorflow as tf

from tflm.tokenizers.directory import require_files, write_files
from tflm.tokenizers.rows import to_ragged
from tflm.tokenizers.sentencepiece import SentencePieceTokenizer

MODEL_FILES = ("source.spm", "target.spm")
VOCABULARY_FILES = ("vocab.json", "target_vocab.json")

_SPACE = "\u2581"  # how SentencePiece writes a space
_SPECIAL = ("<pad>", "<unk>", "</s>")
_LANGUAGE = "(?s)^(>>.*?<<)"  # in front of a text: what to translate it into


class MarianTokenizer(tf.Module):
    """Text of the source language to ids and back; `target` does the same for the other language.

    A text that starts with a language in the form ">>fra<<" gets the id of that sign first, as the
    models for several target languages want it.

    Args:
        source_model, target_model: Serialized SentencePiece models.
        vocabulary: Id of each piece.
        target_vocabulary: Ids of the target language's pieces where they are others.

    Attributes:
        vocab_size: The largest id and one, V.
        pad_id, unk_id, eos_id: Ids of the special pieces.
        bos_id: None; decoding starts with `pad_id`.

    Raises:
        ValueError: `vocabulary` lacks a special piece, or a model is not SentencePiece's.
    """

    def __init__(
        self,
        source_model: bytes,
        target_model: bytes,
        vocabulary: Mapping[str, int],
        target_vocabulary: Mapping[str, int] | None = None,
    ):
        super().__init__(name="marian_tokenizer")
        if missing := [piece for piece in _SPECIAL if piece not in vocabulary]:
            raise ValueError(
                f"`vocabulary` must hold {', '.join(_SPECIAL)}. Received: {len(vocabulary)} pieces "
                f"without {', '.join(missing)}"
            )
        self._models = (source_model, target_model)
        # As text: `tf.Module` would take a dict for a part of the graph.
        self._vocabularies = tuple(
            json.dumps(dict(each), ensure_ascii=False)
            for each in (vocabulary, target_vocabulary)
            if each is not None
        )
        self._pieces = SentencePieceTokenizer(source_model)
        self.vocab_size = 1 + max(vocabulary.values())
        self.pad_id, self.unk_id, self.eos_id = (vocabulary[piece] for piece in _SPECIAL)
        self.bos_id = None
        spelled = [""] * self.vocab_size
        for piece, number in vocabulary.items():
            spelled[number] = "" if piece in _SPECIAL else piece.replace(_SPACE, " ")
        with tf.init_scope():
            self._spelled = tf.constant(spelled)  # (V,)
            self._ids = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(
                    tf.constant(list(vocabulary)), tf.constant(list(vocabulary.values()), tf.int32)
                ),
                default_value=self.unk_id,
            )

    @functools.cached_property
    def target(self) -> "MarianTokenizer":
        """The tokenizer of the target language, whose own `target` is the source language's."""
        vocabularies = [json.loads(text) for text in reversed(self._vocabularies)]
        return MarianTokenizer(self._models[1], self._models[0], *vocabularies)

    def tokenize(self, texts: str | Sequence[str] | tf.Tensor) -> tf.RaggedTensor:
        """Ids of each text, without eos.

        Args:
            texts: Strings, (B,); a single Python string counts as B = 1. Bytes that are not valid
                UTF-8 are read as U+FFFD.

        Returns:
            int32 ids, ragged (B, None).
        """
        texts = tf.convert_to_tensor([texts] if isinstance(texts, str) else texts, tf.string)
        rest = tf.strings.regex_replace(texts, _LANGUAGE, "")  # (B,)
        size = tf.strings.length(texts) - tf.strings.length(rest)
        language = tf.strings.substr(texts, tf.zeros_like(size), size)  # (B,)
        given = size > 0
        ragged: Any = tf.RaggedTensor  # whose stubs lack its class methods
        language = ragged.from_row_lengths(
            tf.boolean_mask(language, given), tf.cast(given, tf.int64), validate=False
        )
        pieces: Any = tf.concat([language, self._pieces.pieces(rest)], axis=1)  # (B, None)
        return pieces.with_flat_values(self._ids.lookup(pieces.flat_values))

    def detokenize(self, ids: Any) -> tf.Tensor:
        """The text of each row of ids; special and out-of-range ids are left out.

        Args:
            ids: Integer ids, ragged (B, None) or dense (B, T).

        Returns:
            Strings, (B,), without spaces at the ends.
        """
        ids = to_ragged(ids)
        values = tf.cast(ids.flat_values, tf.int64)
        known = (values >= 0) & (values < self.vocab_size)
        spelled = tf.where(known, tf.gather(self._spelled, tf.where(known, values, 0)), "")
        return tf.strings.strip(tf.strings.reduce_join(ids.with_flat_values(spelled), axis=1))

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write `source.spm`, `target.spm`, `vocab.json` and, if need be, `target_vocab.json`."""
        contents: dict[str, str | bytes] = dict(zip(MODEL_FILES, self._models, strict=True))
        contents |= dict(zip(VOCABULARY_FILES, self._vocabularies, strict=False))
        write_files(directory, contents)

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Self:
        """The tokenizer that `save` wrote into `directory`, or a published model's.

        Raises:
            FileNotFoundError: `directory` holds no tokenizer of this kind.
        """
        require_files(directory, (*MODEL_FILES, VOCABULARY_FILES[0]))
        files = [Path(directory) / name for name in VOCABULARY_FILES]
        vocabularies = [
            json.loads(path.read_text(encoding="utf-8")) for path in files if path.is_file()
        ]
        source, target = ((Path(directory) / name).read_bytes() for name in MODEL_FILES)
        return cls(source, target, *vocabularies)
