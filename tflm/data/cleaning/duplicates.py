"""Exact duplicates: of rows with the same texts the first stays."""

import dataclasses
import hashlib
from typing import ClassVar

from tflm.data.cleaning.steps import Apply, Row, Step

_DIGEST_SIZE = 16  # bytes: that two of 10**9 rows share one by chance has probability 10**-21


@dataclasses.dataclass(frozen=True)
class Duplicates(Step):
    """Rows whose texts no row before them has; labels do not count.

    A digest of 16 bytes is remembered of each row, with what holds it about 100 bytes.
    """

    NAME: ClassVar[str] = "duplicates"

    def begin(self, num_texts: int) -> Apply:
        """Rows that come the first time in this pass."""
        seen: set[bytes] = set()

        def apply(row: Row) -> Row | None:
            digest = digest_of(row)
            if digest in seen:
                return None
            seen.add(digest)
            return row

        return apply


def digest_of(row: Row) -> bytes:
    """16 bytes that stand for the texts of a row and for where each of them ends."""
    found = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    for text in row:
        encoded = text.encode("utf-8", "surrogatepass")
        found.update(len(encoded).to_bytes(8, "little"))
        found.update(encoded)
    return found.digest()
