"""What the sides of `benchmarks/training.py` train: sizes and batches, by NumPy alone.

`B` rows, `S` source length, `T` target length.
"""

import dataclasses

import numpy as np

Batch = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]
_START, _FIRST = 2, 4  # the token that targets start with; the first that is not special


@dataclasses.dataclass(frozen=True)
class Work:
    """A network and a batch.

    Args:
        kind: "translation", "classification" or "language model".
        preset: of ours, of which come the activation and the rates of dropout, 0.1 as in the peers.
        rows, length: of a batch. A source, or a text that is classified, is padded to the length.
        layers: of the encoder and of the decoder, where there are both.
    """

    kind: str
    preset: str
    vocab_size: int
    rows: int
    length: int
    layers: int
    hidden_dim: int
    ffn_dim: int
    num_heads: int

    @property
    def unit(self) -> str:
        """What is counted."""
        return "examples" if self.kind == "classification" else "target tokens"

    @property
    def units(self) -> int:
        """How many are in a batch."""
        return self.rows if self.kind == "classification" else self.rows * self.length

    @property
    def flops(self) -> float:
        """Floating-point operations of the products of an update.

        Two for each weight and token forward, and as many for the gradient of either side of a
        product; attention multiplies each token with all of the row.
        """
        width, attention = self.hidden_dim, 2 * self.length * self.hidden_dim
        of_block = 4 * width**2 + 2 * width * self.ffn_dim + attention
        of_token = self.layers * of_block
        if self.kind == "translation":  # the decoder's blocks attend to the source too
            of_token += self.layers * (of_block + 4 * width**2 + attention)
        if self.kind != "classification":
            of_token += self.vocab_size * width
        return 3 * 2.0 * of_token * self.rows * self.length


WORKS = {
    "tiny": Work("translation", "transformer/tiny", 10_000, 256, 16, 4, 128, 256, 4),
    "base": Work("translation", "transformer/base", 32_000, 64, 32, 6, 512, 2048, 8),
    "bert": Work("classification", "bert/base", 30_522, 16, 128, 12, 768, 3072, 12),
    "gpt2": Work("language model", "gpt2/small", 50_257, 4, 256, 12, 768, 3072, 12),
}


def batches(work: Work, count: int) -> list[Batch]:
    """`count` times inputs, labels and their weights, as our tasks make them of texts.

    Targets fill their rows, so that all of a batch counts; the texts of the other side have from
    three quarters of the length on.
    """
    random = np.random.default_rng(0)
    return [_batch(work, random) for _ in range(count)]


def _batch(work: Work, random: np.random.Generator) -> Batch:
    shape = work.rows, work.length
    ids = random.integers(_FIRST, work.vocab_size, shape, np.int32)
    real = np.arange(work.length) < random.integers(
        work.length * 3 // 4, work.length, (work.rows, 1), endpoint=True
    )
    if work.kind == "classification":
        x = {"token_ids": np.where(real, ids, 0), "padding_mask": real}
        return x, random.integers(0, 2, work.rows, np.int32), np.ones(work.rows, np.float32)
    labels = random.integers(_FIRST, work.vocab_size, shape, np.int32)  # (B, T)
    before = np.full((work.rows, 1), _START, np.int32)
    shifted = np.concatenate([before, labels[:, :-1]], axis=1)  # (B, T)
    every = np.ones(shape, bool)
    if work.kind == "language model":
        x = {"token_ids": shifted, "padding_mask": every}
    else:
        x = {
            "encoder_token_ids": np.where(real, ids, 0),  # (B, S)
            "encoder_padding_mask": real,
            "decoder_token_ids": shifted,
            "decoder_padding_mask": every,
        }
    return x, labels, np.ones(shape, np.float32)
