"""Byte-level byte-pair encoding (GPT-2, RoBERTa, BART, Llama 3, Qwen): ids in a graph.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2: text is cut
into words, a word is its UTF-8 bytes, and pairs of neighbours are merged in the order learned. Ids
are those of Hugging Face `tokenizers`. A table made with the tokenizer answers for each word that
is one token, and the merges run for the others, each different word of a batch once; nothing is
remembered from one batch to the next.
"""

import functools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf
import tensorflow_text
import tokenizers

from tflm.tokenizers.directory import read_config, write_files
from tflm.tokenizers.merging import Merges
from tflm.tokenizers.rows import row_of_each, to_ragged
from tflm.tokenizers.special_tokens import SpecialToken, SpecialTokens, read_special_tokens
from tflm.tokenizers.splitting import WordSplitter, check_rule, pre_tokenizer

VOCABULARY_FILE = "vocab.json"
MERGES_FILE = "merges.txt"
CONFIG_FILE = "byte_pair.json"
NORMALIZATIONS = ("none", "nfc")


class BytePairTokenizer(tf.Module):
    """Text to ids of byte-level BPE and back.

    Args:
        vocabulary: Id of each token, written in GPT-2's alphabet of bytes (a space is "Ġ"). It
            holds all 256 single bytes. Gaps between ids are allowed.
        merges: Left and right half of each merge, the first learned first.
        split: How texts are cut into words, see `tflm.tokenizers.splitting.WordSplitter`.
        special_tokens: Tokens outside the merges. Their ids may be in `vocabulary` or beyond.
        roles: Content of the special token for any of pad, unk, bos, eos, cls, sep, mask.
        add_prefix_space: Whether a text that does not start with a space gets one in front.
        normalization: "none", or "nfc" for Unicode's form C first (Qwen).
        whole_words: Whether a word in the vocabulary is one token even if the merges would not
            make it (`ignore_merges` of a `tokenizer.json`: Llama 3).

    Attributes:
        vocab_size: The largest id and one, V.
        pad_id, unk_id, bos_id, eos_id, cls_id, sep_id, mask_id: Ids by role; None where there is
            none.

    Raises:
        ValueError: `vocabulary` lacks a byte, a half of a merge or what a merge makes; or `split`,
            `normalization` or a role is unknown.

    Example:
        tokenizer = BytePairTokenizer.train(lines, vocab_size=8000)
        ids = tokenizer.tokenize(["two dogs", "a cat"])     # ragged (2, None) int32
        tokenizer.detokenize(ids)                           # [b"two dogs", b"a cat"]
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        split: str = "gpt2",
        special_tokens: Sequence[SpecialToken] = (),
        roles: Mapping[str, str] | None = None,
        add_prefix_space: bool = False,
        normalization: str = "none",
        whole_words: bool = False,
    ):
        super().__init__(name="byte_pair_tokenizer")
        if normalization not in NORMALIZATIONS:
            raise ValueError(
                f"`normalization` must be one of {', '.join(NORMALIZATIONS)}. "
                f"Received: {normalization!r}"
            )
        _check(vocabulary, merges)
        # As text: `tf.Module` would take a dict or a list of theirs for a part of the graph.
        self._vocabulary = json.dumps(dict(vocabulary), ensure_ascii=False)
        self._merges_text = "".join(f"{left} {right}\n" for left, right in merges)
        self._split, self._add_prefix_space = split, add_prefix_space
        self._normalization, self._whole_words = normalization, whole_words
        self._special = SpecialTokens(special_tokens, roles or {})
        self._splitter = WordSplitter(split)
        self.vocab_size = 1 + max([*vocabulary.values(), *(token.id for token in special_tokens)])
        self.pad_id = self._special.id_of("pad")
        self.unk_id = self._special.id_of("unk")
        self.bos_id = self._special.id_of("bos")
        self.eos_id = self._special.id_of("eos")
        self.cls_id = self._special.id_of("cls")
        self.sep_id = self._special.id_of("sep")
        self.mask_id = self._special.id_of("mask")
        spelled = np.full(self.vocab_size, b"", object)
        for token, number in vocabulary.items():
            spelled[number] = _bytes_of(token)
        self._merges = Merges(
            [(vocabulary[left], vocabulary[right]) for left, right in merges],
            [vocabulary[left + right] for left, right in merges],
            list(spelled),
        )
        for token in special_tokens:
            spelled[token.id] = b"" if token.special else token.content.encode()
        with tf.init_scope():
            self._byte_ids = tf.constant([vocabulary[c] for c in _alphabet()], tf.int32)  # (256,)
            self._spelled = tf.constant(spelled, tf.string)  # (V,)
            whole = self._words_of_one_token(vocabulary)
            self._whole = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(
                    tf.constant(list(whole), tf.string), tf.constant(list(whole.values()), tf.int32)
                ),
                default_value=-1,
            )

    @property
    def special_tokens(self) -> tuple[SpecialToken, ...]:
        """The tokens outside the merges."""
        return self._special.tokens

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        split: str = "gpt2",
        roles: Mapping[str, str] | None = None,
    ) -> Self:
        """A tokenizer learned from `texts` by Hugging Face `tokenizers`.

        Args:
            texts: Lines of text, read once.
            vocab_size: Number of tokens, the 256 bytes and special tokens included; texts with
                few different words give fewer.
            split: How texts are cut into words.
            roles: Content of the special token for each role; they get the first ids in this
                order. By default pad "<pad>", bos "<s>" and eos "</s>".

        Raises:
            ValueError: `vocab_size` is too small for the bytes and the special tokens, or `split`
                is unknown.
            TypeError: `texts` is a single string.
        """
        if isinstance(texts, str):
            raise TypeError(f"`texts` must be an iterable of lines. Received: str {texts[:40]!r}")
        roles = {"pad": "<pad>", "bos": "<s>", "eos": "</s>"} if roles is None else roles
        contents = list(dict.fromkeys(roles.values()))
        if vocab_size < 256 + len(contents):
            raise ValueError(
                f"`vocab_size` must be at least {256 + len(contents)}, one for each byte and "
                f"special token. Received: vocab_size={vocab_size}"
            )
        check_rule(split)
        trained: Any = tokenizers.Tokenizer(tokenizers.models.BPE())
        trained.pre_tokenizer = pre_tokenizer(split)
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=contents,
            initial_alphabet=_alphabet(),
            show_progress=False,
        )
        trained.train_from_iterator(texts, trainer)
        model = json.loads(trained.to_str())["model"]
        return cls(
            model["vocab"],
            [tuple(pair) for pair in model["merges"]],
            split,
            [SpecialToken(content, model["vocab"][content]) for content in contents],
            roles,
        )

    def tokenize(
        self, texts: str | Sequence[str] | tf.Tensor, special_tokens: bool = False
    ) -> tf.RaggedTensor:
        """Ids of each text, without bos and eos.

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
        if self._normalization == "nfc":
            texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
            texts = tensorflow_text.normalize_utf8(texts, "NFC")
        if self._add_prefix_space:
            texts = tf.strings.regex_replace(texts, r"^([^ ])", r" \1")
        words = self._splitter.split(texts)  # ragged (B, None)
        whole = self._whole.lookup(words.flat_values)  # (W,), -1 for words of several tokens
        missing = tf.where(whole < 0)[:, 0]
        different, which = tf.unique(tf.gather(words.flat_values, missing))  # (U,), (missing,)
        pieces = self._merges.apply(self._byte_ids_of(different))  # ragged (U, None)
        counts = tf.tensor_scatter_nd_update(
            tf.ones_like(whole),
            missing[:, tf.newaxis],
            tf.gather(tf.cast(pieces.row_lengths(), tf.int32), which),
        )  # (W,): ids of each word
        splits = tf.concat([[0], tf.cumsum(counts)], 0)  # (W + 1,)
        ids = tf.scatter_nd(splits[:-1, tf.newaxis], whole, splits[-1:])  # (all ids,)
        if_several = tf.gather(pieces, which)  # ragged (missing, None)
        start = tf.gather(splits, missing) - tf.cast(if_several.row_starts(), tf.int32)
        place = tf.gather(start, row_of_each(if_several.row_splits))
        place += tf.range(tf.size(place))
        ids = tf.tensor_scatter_nd_update(ids, place[:, tf.newaxis], if_several.flat_values)
        row_splits = tf.cast(tf.gather(splits, words.row_splits), tf.int64)
        ragged: Any = tf.RaggedTensor  # whose stubs lack its class methods
        return ragged.from_row_splits(tf.ensure_shape(ids, [None]), row_splits, validate=False)

    def _byte_ids_of(self, words: Any) -> Any:
        """The ids of the bytes of words, (U,) -> ragged (U, None)."""
        found = tf.io.decode_raw(tf.strings.reduce_join(words), tf.uint8)  # (bytes,)
        sizes = tf.cast(tf.strings.length(words), tf.int64)  # (U,)
        ragged: Any = tf.RaggedTensor
        return ragged.from_row_lengths(
            tf.gather(self._byte_ids, tf.cast(found, tf.int32)), sizes, validate=False
        )

    def detokenize(self, ids: Any) -> tf.Tensor:
        """The text of each row of ids; special and out-of-range ids are left out.

        Args:
            ids: Integer ids, ragged (B, None) or dense (B, T).

        Returns:
            Strings, (B,), always valid UTF-8: bytes that make no character become U+FFFD.
        """
        ids = to_ragged(ids)
        values = tf.cast(ids.flat_values, tf.int64)
        known = (values >= 0) & (values < self.vocab_size)
        spelled = tf.where(known, tf.gather(self._spelled, tf.where(known, values, 0)), "")
        texts = tf.strings.reduce_join(ids.with_flat_values(spelled), axis=1)  # (B,)
        if self._add_prefix_space:
            texts = tf.strings.regex_replace(texts, "^ ", "")
        return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write `vocab.json`, `merges.txt` and `byte_pair.json` into `directory`."""
        config = {
            "split": self._split,
            "add_prefix_space": self._add_prefix_space,
            "normalization": self._normalization,
            "whole_words": self._whole_words,
            **self._special.to_config(),
        }
        write_files(
            directory,
            {
                VOCABULARY_FILE: self._vocabulary,
                MERGES_FILE: f"#version: 0.2\n{self._merges_text}",
                CONFIG_FILE: json.dumps(config, ensure_ascii=False, indent=2),
            },
        )

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Self:
        """The tokenizer that `save` wrote into `directory`.

        Raises:
            FileNotFoundError: `directory` holds no tokenizer of this kind.
        """
        config = read_config(directory, CONFIG_FILE, (VOCABULARY_FILE, MERGES_FILE))
        return cls(*read_vocabulary(directory), **read_special_tokens(config))

    def _words_of_one_token(self, vocabulary: Mapping[str, int]) -> dict[bytes, int]:
        special = {token.content for token in self.special_tokens}
        words = {
            _bytes_of(token): number for token, number in vocabulary.items() if token not in special
        }
        if self._whole_words:
            return words
        pieces = self._merges.apply(self._byte_ids_of(tf.constant(list(words), tf.string)))
        is_one = pieces.row_lengths().numpy() == 1
        return {word: words[word] for word, one in zip(words, is_one, strict=True) if one}


def read_vocabulary(
    directory: str | os.PathLike[str],
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """`vocab.json` and `merges.txt`, which may start with a line `#version`."""
    directory = Path(directory)
    vocabulary = json.loads((directory / VOCABULARY_FILE).read_text(encoding="utf-8"))
    lines = (directory / MERGES_FILE).read_text(encoding="utf-8").split("\n")
    merges = [line for line in lines if line and not line.startswith("#version")]
    return vocabulary, [(left, right) for left, right in (line.split(" ") for line in merges)]


@functools.cache
def _alphabet() -> list[str]:
    """GPT-2's sign for each byte: the byte's own where it can be seen, else one from U+0100 on."""
    visible = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return [chr(byte if byte in visible else next(hidden)) for byte in range(256)]


@functools.cache
def _byte_of() -> dict[str, int]:
    return {sign: byte for byte, sign in enumerate(_alphabet())}


def _bytes_of(token: str) -> bytes:
    table = _byte_of()
    return bytes(table[c] for c in token) if all(c in table for c in token) else token.encode()


def _check(vocabulary: Mapping[str, int], merges: Sequence[tuple[str, ...]]) -> None:
    if missing := [byte for byte, sign in enumerate(_alphabet()) if sign not in vocabulary]:
        raise ValueError(
            f"`vocabulary` must hold each of the 256 bytes in GPT-2's alphabet. Received: one "
            f"that lacks {len(missing)} of them, among these byte {missing[0]:#04x}, "
            f"{_alphabet()[missing[0]]!r}"
        )
    for left, right in merges:
        for token in (left, right, left + right):
            if token not in vocabulary:
                raise ValueError(
                    f"`vocabulary` must hold what `merges` name and make. Received: merge "
                    f"{left!r} {right!r} without {token!r}"
                )
