"""SentencePiece subwords: one trained model that tokenizes in `tf.data`, in a graph and in Python.

The graph side is the SentencePiece ops of TF Text, which TF Serving links; the Python side
(training, subword sampling) is the `sentencepiece` package. Both read the same model bytes and give
the same ids, except that they may break a tie between equally likely unigram segmentations
differently; every id that `tokenize` returns is the graph's.

What the format cannot represent: SentencePiece writes a space as U+2581 (LOWER ONE EIGHTH BLOCK),
so that one character comes back as a space. Every other text that is valid UTF-8 comes back
unchanged when the tokenizer was trained with the defaults of `SentencePieceTokenizer.train`.
"""

import hashlib
import io
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import sentencepiece
import tensorflow as tf
import tensorflow_text

from tflm.tokenizers.rows import to_ragged

ALGORITHMS = ("bpe", "unigram", "char")
MODEL_FILE = "sentencepiece.model"

_SPACE = "\u2581"  # how SentencePiece writes a space
_RESERVED = "\u2585"  # the trainer drops every line that holds it
_MASKS = ("[MASK]", "<mask>")  # what the piece is called that stands for a masked one
_MAX_LINE_BYTES = 1 << 20  # the trainer drops longer lines; its own default is 4,192
_NUM_SEEDS = 2**32 - 1  # 2**32 - 1 itself asks SentencePiece for a random seed

_ops = tf.load_op_library(
    str(Path(tensorflow_text.__path__[0]) / "python" / "ops" / "_sentencepiece_tokenizer.so")
)

# The generator's seed is global and read when a thread first samples.
_sampling_lock = threading.Lock()


class SentencePieceTokenizer(tf.Module):
    """Text to subword ids and back with one SentencePiece model.

    Args:
        model: A serialized SentencePiece model, the content of a `.model` file.

    Attributes:
        vocab_size: Number of pieces, V.
        pad_id, unk_id, bos_id, eos_id, mask_id: Ids of the special pieces; -1 where the model has
            none.

    Raises:
        ValueError: `model` is not a SentencePiece model.

    Example:
        tokenizer = SentencePieceTokenizer.train(lines, vocab_size=8000)
        ids = tokenizer.tokenize(["two dogs", "a cat"])     # ragged (2, None) int32
        tokenizer.detokenize(ids)                           # [b"two dogs", b"a cat"]
    """

    def __init__(self, model: bytes):
        super().__init__(name="sentencepiece_tokenizer")
        self._model = bytes(model)
        self._python = _load_model(self._model)
        self._resource = _ModelResource(self._model)
        self.vocab_size = int(self._python.get_piece_size())
        self.pad_id = int(self._python.pad_id())
        self.unk_id = int(self._python.unk_id())
        self.bos_id = int(self._python.bos_id())
        self.eos_id = int(self._python.eos_id())
        self.mask_id = next(
            (id_ for id_ in map(self._python.piece_to_id, _MASKS) if id_ != self.unk_id), -1
        )
        self._unk_bytes = len(self._python.decode([self.unk_id]).encode())
        self._adds_space = self._python.encode("a", out_type=str)[0].startswith(_SPACE)

    @property
    def model(self) -> bytes:
        """The serialized SentencePiece model."""
        return self._model

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        algorithm: str = "bpe",
        byte_fallback: bool = True,
        user_symbols: Sequence[str] = (),
        control_symbols: Sequence[str] = (),
        normalization: str = "identity",
        character_coverage: float = 1.0,
    ) -> Self:
        """A tokenizer learned from `texts`; the same texts and arguments give the same tokenizer.

        Args:
            texts: Lines of text, read once.
            vocab_size: Number of pieces, special pieces, bytes and symbols included. With "char"
                at most as many: texts with fewer different characters give fewer.
            algorithm: "bpe", "unigram", or "char", in which every piece is a single character, a
                line break the piece of its byte, and no space is put in front of a text.
            byte_fallback: Whether a character outside the vocabulary becomes its UTF-8 bytes
                (256 pieces) instead of `unk_id`.
            user_symbols: Strings that are always one piece.
            control_symbols: More special pieces, "[MASK]" say: no text gives them, and they are
                left out of decoded text.
            normalization: SentencePiece's rule: "identity", "nfkc", "nmt_nfkc", "nfkc_cf" or
                "nmt_nfkc_cf". Anything but "identity" gives up the exact round trip.
            character_coverage: Share of the characters in `texts` that become pieces; the rarest
                ones are left to `byte_fallback`.

        Raises:
            ValueError: `algorithm` is unknown, `texts` is empty, or `vocab_size` does not suit
                the texts.
            TypeError: `texts` is a single string or yields something else than strings.
        """
        if algorithm not in ALGORITHMS:
            raise ValueError(
                f"`algorithm` must be one of {', '.join(ALGORITHMS)}. Received: {algorithm!r}"
            )
        if isinstance(texts, str):
            raise TypeError(f"`texts` must be an iterable of lines. Received: str {texts[:40]!r}")
        writer = io.BytesIO()
        failure: list[Exception] = []
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=_training_lines(texts, failure),
                model_writer=writer,
                model_type=algorithm,
                vocab_size=vocab_size,
                byte_fallback=byte_fallback,
                user_defined_symbols=list(user_symbols),
                control_symbols=list(control_symbols),
                normalization_rule_name=normalization,
                character_coverage=character_coverage,
                remove_extra_whitespaces=False,
                add_dummy_prefix=algorithm != "char",
                hard_vocab_limit=algorithm != "char",
                max_sentence_length=_MAX_LINE_BYTES,
                pad_id=0,
                unk_id=1,
                bos_id=2,
                eos_id=3,
                minloglevel=2,
            )
        except (RuntimeError, ValueError) as error:
            raise (failure or [_training_error(str(error), vocab_size)])[0] from error
        if failure:
            raise failure[0]
        return cls(writer.getvalue())

    def tokenize(self, texts: str | Sequence[str] | tf.Tensor) -> tf.RaggedTensor:
        """Ids of each text, without bos and eos.

        Args:
            texts: Strings, (B,); a single Python string counts as B = 1. Bytes that are not valid
                UTF-8 are read as U+FFFD.

        Returns:
            int32 ids, ragged (B, None).
        """
        return self._split(texts, tf.int32)

    def pieces(self, texts: str | Sequence[str] | tf.Tensor) -> tf.RaggedTensor:
        """The pieces of each text as strings; one that is unknown is the text it stands for.

        Args:
            texts: As for `tokenize`.

        Returns:
            Strings, ragged (B, None).
        """
        return self._split(texts, tf.string)

    def _split(self, texts: str | Sequence[str] | tf.Tensor, out_type: Any) -> tf.RaggedTensor:
        if isinstance(texts, str):
            texts = [texts]
        texts = tf.convert_to_tensor(texts, tf.string)  # (B,)
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        values, row_splits = _ops.sentencepiece_tokenize_op(
            self._resource.resource_handle,
            texts,
            nbest_size=0,
            alpha=1.0,
            add_bos=False,
            add_eos=False,
            reverse=False,
            out_type=out_type,
        )  # (all ids,), (B + 1,)
        ragged: Any = tf.RaggedTensor  # whose stubs lack its class methods
        return ragged.from_row_splits(values, row_splits, validate=False)  # (B, None)

    def detokenize(self, ids: Any) -> tf.Tensor:
        """The text of each row of ids; special and out-of-range ids are left out.

        Args:
            ids: Integer ids, ragged (B, None) or dense (B, T).

        Returns:
            Strings, (B,), always valid UTF-8.
        """
        ids = to_ragged(ids)
        values = tf.cast(ids.flat_values, tf.int32)  # (all ids,)
        keep = (values >= 0) & (values < self.vocab_size)
        for special in (self.pad_id, self.unk_id, self.bos_id, self.eos_id):
            keep &= values != special
        ids = tf.ragged.boolean_mask(ids.with_flat_values(values), ids.with_flat_values(keep))
        texts = self._joined(ids)  # with the one space that tokenizing put in front
        return tf.strings.regex_replace(texts, "^ ", "") if self._adds_space else texts

    def _joined(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """The pieces of each row of ids as one text, spaces at its start and all, `(B,)`.

        The op removes every space from the start of a text, wanted or not. Behind an unknown piece
        nothing is at the start; the piece's own text is then cut off here.
        """
        guard: Any = tf.fill([ids.nrows(), 1], self.unk_id)
        guarded: Any = tf.concat([guard, ids], axis=1)  # (B, 1 + None)
        texts = _ops.sentencepiece_detokenize_op(
            self._resource.resource_handle,
            guarded.flat_values,
            guarded.row_splits,
            add_bos=False,
            add_eos=False,
            reverse=False,
        )
        return tf.strings.substr(texts, self._unk_bytes, tf.int32.max)

    def sample(self, texts: Sequence[str], alpha: float, seed: int) -> list[list[int]]:
        """Ids of one random segmentation per text (subword regularization), for training.

        Args:
            texts: Lines of text.
            alpha: BPE: probability of leaving out a merge (BPE-dropout). Unigram: sharpness of
                the distribution over segmentations; smaller is more random.
            seed: Any integer; within a process the result depends on `texts`, `alpha` and `seed`
                alone. Another process may draw others.

        Raises:
            ValueError: `alpha` is not above 0 and at most 1.
        """
        if not 0.0 < alpha <= 1.0:
            raise ValueError(f"`alpha` must be above 0 and at most 1. Received: {alpha}")
        result: list[list[int]] = []

        def encode() -> None:
            result.extend(
                self._python.encode(
                    list(texts), enable_sampling=True, alpha=alpha, nbest_size=-1, num_threads=1
                )
            )

        # A thread reads the seed once, so each call samples in a thread of its own.
        with _sampling_lock:
            sentencepiece.set_random_generator_seed(seed % _NUM_SEEDS)
            thread = threading.Thread(target=encode)
            thread.start()
            thread.join()
        return result

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write `sentencepiece.model` into `directory`, which is made if need be."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        unfinished = directory / (MODEL_FILE + ".unfinished")
        unfinished.write_bytes(self._model)
        unfinished.replace(directory / MODEL_FILE)

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Self:
        """The tokenizer that `save` wrote into `directory`."""
        return cls((Path(directory) / MODEL_FILE).read_bytes())


class _ModelResource(tf.saved_model.experimental.TrackableResource):
    """The model as the ops see it, in a graph and in the SavedModel of whatever holds it.

    `tf.random.set_seed` throws away every op kernel, and with it a resource of the kernel's own
    (https://github.com/tensorflow/text/issues/570, the reason not to use TF Text's Python class).
    One with a shared name stays; named by its content, equal models are one.
    """

    def __init__(self, model: bytes):
        super().__init__()
        self._model = model
        self._shared_name = f"sentencepiece_{hashlib.sha256(model).hexdigest()}"
        with tf.init_scope():
            _ = self.resource_handle  # made when first read

    def _create_resource(self) -> tf.Tensor:
        return _ops.sentencepiece_op(model=self._model, shared_name=self._shared_name)


def _load_model(model: bytes) -> sentencepiece.SentencePieceProcessor:
    message = f"`model` must be a serialized SentencePiece model. Received: {len(model)} bytes"
    if not model:  # which SentencePiece would take for "not loaded yet"
        raise ValueError(message)
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:
        raise ValueError(message) from error


def _training_lines(texts: Iterable[str], failure: list[Exception]) -> Iterator[bytes]:
    # An exception must not travel through the trainer's C++: it is kept, and the lines end.
    try:
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"`texts` must yield strings. Received: {text!r}")
            yield from _parts(text.replace(_RESERVED, " ").encode())
    except Exception as error:
        failure.append(error)


def _parts(line: bytes) -> Iterator[bytes]:
    """A line, or if it is too long for the trainer what its line breaks and spaces part it into."""
    start = 0
    while len(line) - start > _MAX_LINE_BYTES:
        most = start + _MAX_LINE_BYTES
        end = max(line.rfind(b"\n", start + 1, most), line.rfind(b" ", start + 1, most))
        if end < 0:  # no place to part it at: between two characters
            end = most
            while line[end] & 0xC0 == 0x80:  # a byte within one
                end -= 1
        yield line[start:end]
        start = end
    yield line[start:]


def _training_error(message: str, vocab_size: int) -> ValueError:
    if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return ValueError(
            f"`vocab_size` must be at least {found[1]} for these texts, one piece per character "
            f"and special piece; or lower `character_coverage`. Received: vocab_size={vocab_size}"
        )
    if found := re.search(r"set it to a value <= (\d+)", message):
        return ValueError(
            f"`vocab_size` must be at most {found[1]} for these texts, which hold no more pieces. "
            f"Received: vocab_size={vocab_size}"
        )
    if "!sentences_.empty()" in message:
        return ValueError("`texts` must hold at least one line that is not empty.")
    return ValueError(f"SentencePiece could not train: {message}")
