"""Near duplicates: rows whose texts share most of their character n-grams with a row before them.

Two rows resemble each other by the share of n-grams that both have of those that either has
(Jaccard). MinHash (Broder, 1997, "On the resemblance and containment of documents") estimates it
as the share of equal minima under random hash functions; banding (Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", 3.4) finds what to compare with: rows that agree in all minima of a
band. Characters, not words, make it fit Chinese.
"""

import collections
import dataclasses
import math
from typing import ClassVar

import numpy as np

from tflm.data.cleaning.steps import Apply, Row, Step

_NUM_HASHES = 128
_NUM_BANDS = 8
_RECALL = 0.95  # of rows that resemble each other by just the threshold
_PIECE = 4096  # n-grams hashed at once
_RANDOM = np.random.default_rng(1997)
_FACTORS = _RANDOM.integers(2**63, size=(_NUM_HASHES, 1), dtype=np.uint64) * 2 + 1
_TERMS = _RANDOM.integers(2**63, size=(_NUM_HASHES, 1), dtype=np.uint64)


@dataclasses.dataclass(frozen=True)
class NearDuplicates(Step):
    """Rows that resemble no row before them; letter case, white space and labels do not count.

    Args:
        threshold: The least resemblance, above 0 and at most 1, of rows that are duplicates. The
            estimate's standard error is 0.035 at 0.8.
        ngram: Characters of an n-gram.
        window: How many kept rows are remembered, the latest; each takes about a kilobyte.

    Raises:
        ValueError: A parameter is out of its range.
    """

    NAME: ClassVar[str] = "near_duplicates"

    threshold: float = 0.8
    ngram: int = 3
    window: int = 1_000_000

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise ValueError(
                f"`threshold` must be above 0 and at most 1. Received: threshold={self.threshold}"
            )
        for name in ("ngram", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {getattr(self, name)}")

    def begin(self, num_texts: int) -> Apply:
        """Rows that resemble no row that was kept in this pass."""
        size = band_size(self.threshold)
        by_band: dict[bytes, bytes] = {}  # the latest signature that has these minima
        kept: collections.deque[tuple[bytes, list[bytes]]] = collections.deque()

        def apply(row: Row) -> Row | None:
            minima = signature(row, self.ngram)
            short = minima.astype(np.uint8).tobytes()
            bands = [
                band.to_bytes(1, "little") + minima[band * size : (band + 1) * size].tobytes()
                for band in range(_NUM_BANDS)
            ]
            candidates = {by_band[band] for band in bands if band in by_band}
            if any(resemblance(short, other) >= self.threshold for other in candidates):
                return None
            by_band.update(dict.fromkeys(bands, short))
            kept.append((short, bands))
            if len(kept) > self.window:
                forgotten, bands = kept.popleft()
                for band in bands:
                    if by_band.get(band) is forgotten:
                        del by_band[band]
            return row

        return apply


def band_size(threshold: float) -> int:
    """The most minima in a band at which rows that are just duplicates still meet in one."""
    if threshold == 1.0:
        return _NUM_HASHES // _NUM_BANDS
    agree = 1.0 - (1.0 - _RECALL) ** (1.0 / _NUM_BANDS)  # a band's probability, at the least
    size = math.floor(math.log(agree) / math.log(threshold))
    return min(max(size, 1), _NUM_HASHES // _NUM_BANDS)


def signature(row: Row, ngram: int = 3) -> np.ndarray:
    """The minima of the hashes of a row's n-grams: (128,), uint32.

    N-grams of different texts of the row are different ones.
    """
    grams = np.concatenate([_ngrams(text, ngram, place) for place, text in enumerate(row)])
    minima = np.full(_NUM_HASHES, 2**32 - 1, np.uint32)
    for start in range(0, len(grams), _PIECE):
        # Multiply-add-shift (Dietzfelbinger, 1996); integers of numpy wrap at 2**64.
        hashes = (_FACTORS * grams[start : start + _PIECE] + _TERMS) >> np.uint64(32)
        minima = np.minimum(minima, hashes.min(axis=1).astype(np.uint32))
    return minima


def resemblance(ours: bytes, theirs: bytes) -> float:
    """The share of minima that two rows have in common, given the low byte of each."""
    equal = np.frombuffer(ours, np.uint8) == np.frombuffer(theirs, np.uint8)
    return float(equal.mean())


def _ngrams(text: str, ngram: int, place: int) -> np.ndarray:
    """A number for each n-gram of a text, which depends on the text's place in its row; uint64."""
    shown = "".join(text.casefold().split()).ljust(ngram, "\0")
    codes = np.frombuffer(shown.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    grams = np.full(len(codes) - ngram + 1, place + 1, np.uint64)
    for start in range(ngram):
        # The finisher of splitmix64 (Steele, Lea and Flood, 2014) mixes each character in.
        grams = (grams << np.uint64(21)) + grams + codes[start : len(grams) + start]
        grams = (grams ^ (grams >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        grams = (grams ^ (grams >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        grams ^= grams >> np.uint64(31)
    return grams
