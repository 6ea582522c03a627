"""The cells of the decoding comparison: which network, batch and strategy, what work that is, and
what ratios are wanted there."""

import dataclasses
import fnmatch
import random
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rounds import median_ratio

OURS = "tflm"
SETTINGS = {
    "Hugging Face": ("float32", "bfloat16"),
    "CTranslate2": ("float32", "int8"),
    "KerasHub": ("float32", "float32 XLA", "bfloat16", "bfloat16 XLA"),
}
PEERS = tuple(SETTINGS)
Seconds = Mapping[str, Sequence[float]]  # of each round, by side: "KerasHub float32 XLA"


@dataclasses.dataclass(frozen=True)
class Network:
    """Sizes of a network, and how long its texts are.

    `layers` are those of the encoder and as many of the decoder, or of the decoder alone;
    `num_read` the tokens of a source or a prompt with its special one, `num_written` the new ones.
    """

    name: str
    vocab_size: int
    hidden_dim: int
    ffn_dim: int
    num_heads: int
    layers: int
    has_encoder: bool
    num_read: int
    num_written: int
    activation: str

    @property
    def special(self) -> dict[str, int]:
        """Ids of the special tokens, as the published checkpoints have them."""
        if self.has_encoder:
            return {"eos": 0, "unk": 1, "pad": self.vocab_size - 1}
        return {"eos": self.vocab_size - 1, "unk": 0}

    def rows(self, count: int) -> list[list[int]]:
        """Random sources or prompts, `num_read` tokens each, the same at each call."""
        chance, end = random.Random(0), [self.special["eos"]]
        words = range(2, self.vocab_size - 1)
        rows = [chance.choices(words, k=self.num_read - 1) for _ in range(count)]
        return [row + end if self.has_encoder else end + row for row in rows]

    @property
    def weights_of_step(self) -> int:
        """How many weights a step of decoding reads: those that it multiplies by."""
        width, ffn = self.hidden_dim, self.ffn_dim
        # Keys and values of the source are ready: of its attention two products are left.
        of_layer = (6 if self.has_encoder else 4) * width**2 + 2 * width * ffn
        return self.layers * of_layer + self.vocab_size * width

    def flops(self, batch: int, beams: int) -> float:
        """Floating-point operations of the products of a call, two for each weight and row."""
        width, rows = self.hidden_dim, batch * beams
        of_block = 4 * width**2 + 2 * width * self.ffn_dim
        reading = self.layers * of_block * self.num_read * batch
        if self.has_encoder:
            reading += 2 * self.layers * width**2 * self.num_read * batch  # keys and values
            reading += 2 * self.layers * width * self.num_read**2 * batch
            seen = self.num_read + (self.num_written + 1) / 2
            steps = self.num_written
        else:  # where the first new token comes of reading
            reading += self.layers * width * self.num_read**2 * batch  # each sees half of them
            reading += self.vocab_size * width * batch
            seen = self.num_read + self.num_written / 2
            steps = self.num_written - 1
        of_step = self.weights_of_step + 2 * self.layers * width * seen
        return 2.0 * (reading + of_step * steps * rows)


NETWORKS = {
    network.name: network
    for network in (
        Network("marian", 32000, 512, 2048, 8, 6, True, 20, 32, "relu"),
        Network("gpt2", 50257, 768, 3072, 12, 12, False, 32, 64, "gelu_tanh"),
    )
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """What is timed: so many texts at once, greedily or with beams."""

    network: str
    batch: int
    beams: int

    @property
    def strategy(self) -> str:
        """As in the name."""
        return "greedy" if self.beams == 1 else f"beam{self.beams}"

    @property
    def name(self) -> str:
        """`marian/32/beam4`."""
        return f"{self.network}/{self.batch}/{self.strategy}"


CELLS = (
    *(Cell("marian", batch, beams) for beams in (1, 4) for batch in (1, 4, 32, 128)),
    *(Cell("gpt2", batch, 1) for batch in (1, 32)),
)


def cells_named(patterns: Iterable[str], most: int) -> list[Cell]:
    """The cells that `CELLS` has under the patterns, and those named in full besides.

    Args:
        patterns: "marian/*/greedy", or any "network/batch/greedy" and "network/batch/beam4".
        most: rows that there are.

    Raises:
        ValueError: a pattern is neither, or more rows are asked for.
    """
    found: dict[str, Cell] = {}
    for pattern in patterns:
        named = re.fullmatch(rf"({'|'.join(NETWORKS)})/([1-9]\d*)/(greedy|beam4)", pattern)
        cells = [cell for cell in CELLS if fnmatch.fnmatchcase(cell.name, pattern)]
        if named:
            cells = [Cell(named[1], int(named[2]), 1 if named[3] == "greedy" else 4)]
        if not cells or any(cell.batch > most for cell in cells):
            known = " ".join(cell.name for cell in CELLS)
            raise ValueError(
                f"a cell must be network/batch/strategy with a batch of at most {most}, or a "
                f"pattern of some of {known}. Received: {pattern!r}"
            )
        found.update((cell.name, cell) for cell in cells)
    return list(found.values())


@dataclasses.dataclass(frozen=True)
class Target:
    """A peer, by its library or one of its sides, must take so many times as long as our best."""

    peer: str
    cells: tuple[str, ...]
    least: float


TARGETS = (
    Target("CTranslate2 int8", ("marian/32/*", "marian/128/*"), 1.0),
    Target("CTranslate2 float32", ("marian/1/*",), 1.0),
    Target("Hugging Face", ("marian/32/beam4",), 2.5),
    Target("Hugging Face", ("marian/1/greedy",), 1.5),
    Target("KerasHub", ("*",), 2.5),
    Target("KerasHub", ("marian/32/beam4",), 10.0),
)


def library(side: str) -> str:
    """The first words of a side's name, of which the others say the setting."""
    return next(name for name in (OURS, *PEERS) if side.startswith(name))


def fastest(seconds: Seconds, name: str) -> str:
    """The side of a library with the least median, or the side of that name."""
    found = [side for side in seconds if side == name or library(side) == name]
    return min(found, key=lambda side: statistics.median(seconds[side]))


def ratios(seconds: Seconds, to: str) -> dict[str, float]:
    """How many times as long each peer's side takes as `to`: medians over the rounds of both."""
    return {
        side: median_ratio(list(times), list(seconds[to][: len(times)]))
        for side, times in seconds.items()
        if library(side) != OURS
    }


def verdicts(cell: str, by_peer: Mapping[str, Seconds]) -> list[dict[str, Any]]:
    """What became of the targets of a cell for the peers that ran.

    Args:
        cell: its name.
        by_peer: seconds of our sides and a peer's in the same rounds, by the peer's library.
    """
    found = []
    for target in TARGETS:
        wanted = any(fnmatch.fnmatchcase(cell, pattern) for pattern in target.cells)
        if not wanted or library(target.peer) not in by_peer:
            continue
        seconds = by_peer[library(target.peer)]
        theirs, ours = fastest(seconds, target.peer), fastest(seconds, OURS)
        ratio = ratios(seconds, ours)[theirs]
        found.append(
            {
                "cell": cell,
                "peer": theirs,
                "ours": ours,
                "ratio": ratio,
                "least": target.least,
                "met": ratio >= target.least,
            }
        )
    return found
