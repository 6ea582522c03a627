"""Word vectors: files of GloVe, word2vec and fastText, and embeddings that start from them.

    vectors = WordVectors("glove.6B.300d.txt.gz")
    coverage = initialize_embedding(model.embedding, tokenizer, vectors, texts=training_texts)
    print(coverage)

Text files (GloVe, word2vec text, fastText `.vec`) have a word and its numbers in a line, with or
without a first line that says how many rows and dimensions there are. Binary files of word2vec
have such a first line, then a word, a blank and its float32 numbers, row after row.
"""

import dataclasses
import gzip
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tflm.data.readers import BadLine, BadLineReport, PathLike, _lines, _Source

_CHUNK = 1 << 20  # bytes read of a binary file at once; no word is longer
_BATCH = 1000  # texts tokenized at once


class WordVectors(_Source):
    """Pairs of a word and its vector, float32 `(dim,)`, in the order of a file.

    Args:
        path: The file; gzipped if its name ends in `.gz`.
        binary: Whether it is a binary file of word2vec; by default, whether its name ends in
            `.bin` or `.bin.gz`.
        on_bad: "raise" or "skip".
        report: Counts what is skipped; by default a new one, `vectors.report`.

    Raises:
        BadLine: From iteration: a row that is not a word and as many finite numbers as the others
            have, or more rows than the first line says. A text file may have fewer, being the head
            of a larger one.
    """

    def __init__(
        self,
        path: PathLike,
        binary: bool | None = None,
        *,
        on_bad: str = "raise",
        report: BadLineReport | None = None,
    ):
        super().__init__([path], on_bad, report)
        name = self.paths[0].name.removesuffix(".gz")
        self.binary = name.endswith(".bin") if binary is None else binary

    def _rows(self) -> Iterator[Any]:
        return self._binary_rows() if self.binary else self._text_rows()

    def _text_rows(self) -> Iterator[Any]:
        path, count, dim = str(self.paths[0]), None, None
        for number, line in enumerate(_lines(self.paths[0]), start=1):
            header = _header(line) if number == 1 else None
            if header is not None:
                count, dim = header
                continue
            fields = line.strip(b" \t").replace(b"\t", b" ").split(b" ")
            dim = len(fields) - 1 if dim is None else dim
            if count is not None and number > count + 1:
                reason = f"expected no more than the {count} rows that the first line says."
                yield BadLine(path, number, reason, repr(line))
            elif dim < 1 or len(fields) <= dim:
                received = f"{len(fields) - 1} numbers after {fields[0]!r}"
                yield BadLine(path, number, f"expected a word and {max(dim, 1)} numbers.", received)
            else:  # a word may hold blanks, as some of GloVe's do
                word = b" ".join(fields[:-dim])
                yield _checked(path, number, word, _numbers(fields[-dim:]))

    def _binary_rows(self) -> Iterator[Any]:
        path = str(self.paths[0])
        with gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb") as file:
            number = 1
            try:
                header = _header(file.readline(_CHUNK).rstrip(b"\r\n"))
                if header is None:
                    reason = "expected the number of rows and of dimensions."
                    raise BadLine(path, 1, reason)
                count, dim = header
                for number, (word, data) in enumerate(_records(file, 4 * dim), start=2):
                    if number > count + 1:
                        reason = f"expected no more than the {count} rows that the first line says."
                        raise BadLine(path, number, reason)
                    if data is None:
                        break
                    yield _checked(path, number, word, np.frombuffer(data, "<f4"))
                else:
                    number += 1
                if number != count + 2:
                    reason = f"expected {count} rows of a word and {dim} numbers of 4 bytes."
                    raise BadLine(path, number, reason, "the end of the file")
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise BadLine(path, number, "expected a whole gzip file.") from error


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How much of a vocabulary, and of a text, a file of word vectors has.

    Attributes:
        entries: Tokens in the vocabulary.
        exact: Those found as they are written.
        lowered: Those found in lower case only.
        tokens: Tokens in the text.
        tokens_exact: Those found as they are written.
        tokens_lowered: Those found in lower case only.
    """

    entries: int
    exact: int
    lowered: int
    tokens: int = 0
    tokens_exact: int = 0
    tokens_lowered: int = 0

    @property
    def share(self) -> float:
        """Of the vocabulary, the share that was found."""
        return (self.exact + self.lowered) / max(self.entries, 1)

    @property
    def token_share(self) -> float:
        """Of the text, the share that was found."""
        return (self.tokens_exact + self.tokens_lowered) / max(self.tokens, 1)

    def __str__(self) -> str:
        lines = [
            f"Vocabulary: {self.share:.1%} of {self.entries:,} entries have a vector "
            f"({self.exact:,} as written, {self.lowered:,} in lower case)."
        ]
        if self.tokens:
            lines.append(
                f"Text: {self.token_share:.1%} of {self.tokens:,} tokens have a vector "
                f"({self.tokens_exact:,} as written, {self.tokens_lowered:,} in lower case)."
            )
        return "\n".join(lines)


def initialize_embedding(
    embedding: Any,
    tokenizer: Any,
    vectors: Iterable[tuple[str, np.ndarray]],
    *,
    texts: Iterable[str] = (),
    trainable: bool = True,
) -> Coverage:
    """Gives an embedding the vectors of the words that its tokens are.

    A token takes the vector of the text it stands for, else that of this text in lower case, else
    it keeps the values it has. Looking a token up gives its vector, also where the layer multiplies
    by the square root of its width.

    Args:
        embedding: A built layer whose `embeddings` are `(V, dim)`.
        tokenizer: The tokenizer whose ids are looked up.
        vectors: A `WordVectors`, or other pairs of a word and its vector; of equal words the first
            counts.
        texts: Texts in which to count the tokens found.
        trainable: Whether the embedding is trained further, or frozen.

    Returns:
        What was found.

    Raises:
        ValueError: The embedding is not built or smaller than the vocabulary, or the vectors are
            not as wide.
    """
    table = getattr(embedding, "embeddings", None)
    if table is None:
        raise ValueError(f"`embedding` must be a built layer. Received: {embedding!r}")
    if tokenizer.vocab_size > table.shape[0]:
        raise ValueError(
            "`embedding` must have a row for every token of the vocabulary. "
            f"Received: {table.shape[0]} rows, {tokenizer.vocab_size} tokens"
        )
    words = token_texts(tokenizer)
    values = np.array(table)
    scale = values.shape[1] ** -0.5 if getattr(embedding, "scaled", False) else 1.0
    found = np.zeros(len(words), "int8")  # 2 as written, 1 in lower case
    for word, vector, ids, rank in _matches(words, vectors):
        if len(vector) != values.shape[1]:
            raise ValueError(
                "`vectors` must be as wide as the embedding. "
                f"Received: {len(vector)} numbers for {word!r}, embeddings of width "
                f"{values.shape[1]}"
            )
        ids = [i for i in ids if found[i] < rank]
        values[ids] = vector * scale
        found[ids] = rank
    table.assign(values)
    embedding.trainable = trainable
    counts = _token_counts(tokenizer, texts)
    return Coverage(
        entries=len(words),
        exact=int((found == 2).sum()),
        lowered=int((found == 1).sum()),
        tokens=int(counts.sum()),
        tokens_exact=int(counts[found == 2].sum()),
        tokens_lowered=int(counts[found == 1].sum()),
    )


def token_texts(tokenizer: Any) -> list[str]:
    """The text that each token of a vocabulary stands for, without blanks around it.

    Empty where a token stands for none, as the end of a text does, or for part of a character.
    """
    texts = tokenizer.detokenize([[i] for i in range(tokenizer.vocab_size)]).numpy()
    words = [text.decode(errors="replace").strip() for text in texts]
    return ["" if "\ufffd" in word else word for word in words]


def _matches(words: list[str], vectors: Iterable[tuple[str, np.ndarray]]) -> Iterator[Any]:
    """For each vector that is wanted: word, vector, ids and 2 for the word itself, 1 lowered."""
    exact: dict[str, list[int]] = {}
    lowered: dict[str, list[int]] = {}
    for i, word in enumerate(words):
        if word:
            exact.setdefault(word, []).append(i)
            if word.lower() != word:
                lowered.setdefault(word.lower(), []).append(i)
    for word, vector in vectors:
        if word in exact:
            yield word, vector, exact[word], 2
        if word in lowered:
            yield word, vector, lowered[word], 1


def _token_counts(tokenizer: Any, texts: Iterable[str]) -> np.ndarray:
    counts = np.zeros(tokenizer.vocab_size, "int64")
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            counts += _count(tokenizer, batch)
            batch = []
    return counts + _count(tokenizer, batch) if batch else counts


def _count(tokenizer: Any, batch: list[str]) -> np.ndarray:
    ids = tokenizer.tokenize(batch).flat_values.numpy()
    return np.bincount(ids, minlength=tokenizer.vocab_size)


def _header(line: bytes) -> tuple[int, int] | None:
    """Rows and dimensions, where a first line says them."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields) or int(fields[1]) == 0:
        return None
    return int(fields[0]), int(fields[1])


def _records(file: Any, size: int) -> Iterator[tuple[bytes, bytes | None]]:
    """A word and its `size` bytes, row after row; no bytes where the file ends within a row."""
    buffer = b""
    while True:
        end = buffer.find(b" ")
        if end < 0 or len(buffer) < end + 1 + size:
            chunk = file.read(_CHUNK) if len(buffer) < _CHUNK + size else b""
            if chunk:
                buffer += chunk
                continue
            if buffer.strip(b"\n"):
                yield buffer[: max(end, 0)], None
            return
        # The original program ends every row with a line break; others do not.
        yield buffer[:end].lstrip(b"\n"), buffer[end + 1 : end + 1 + size]
        buffer = buffer[end + 1 + size :]


def _numbers(fields: list[bytes]) -> np.ndarray | None:
    try:
        return np.array([float(field) for field in fields], "float32")
    except ValueError:
        return None


def _checked(path: str, number: int, word: bytes, vector: np.ndarray | None) -> Any:
    if vector is None or not np.isfinite(vector).all():
        return BadLine(path, number, "expected finite numbers after the word.", repr(word))
    try:
        text = word.decode()
    except UnicodeDecodeError:
        return BadLine(path, number, "expected a word in UTF-8.", repr(word))
    return (text, vector) if text else BadLine(path, number, "expected a word before the numbers.")
