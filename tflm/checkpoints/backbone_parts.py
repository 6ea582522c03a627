"""What several of KerasHub's backbones have alike: sizes, and parts as rules.

Names of ours are paths of weights or layers without the model's name, names of theirs the same of a
backbone's.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tflm.checkpoints.mapping import Rule, same, split


def sizes(config: Mapping[str, Any]) -> dict[str, Any]:
    """A backbone's constructor arguments -> the fields of our `Config` that most of them give."""
    return {
        "vocab_size": config["vocabulary_size"],
        "hidden_dim": config["hidden_dim"],
        "ffn_dim": config["intermediate_dim"],
        "num_heads": config["num_heads"],
        "max_length": config["max_sequence_length"],
        "dropout": config["dropout"],
        "attention_dropout": config["dropout"],
    }


def heads_out(
    ours: str, *theirs: str, num_heads: int | Sequence[int], bias: bool = True
) -> Iterator[Rule]:
    """A dense layer of ours: projections to heads, kernel `(in, heads, width)`.

    Args:
        ours: path of our layer; it has `kernel` and `bias`.
        *theirs: paths of their layers, which have them too; ours has their heads side by side.
        num_heads: of each of theirs; one number where they have the same.
        bias: whether there are biases.
    """
    heads = [num_heads] * len(theirs) if isinstance(num_heads, int) else list(num_heads)

    def to_ours(*arrays: np.ndarray) -> np.ndarray:
        return np.concatenate([a.reshape(*a.shape[:-2], -1) for a in arrays], axis=-1)

    def to_theirs(array: np.ndarray) -> list[np.ndarray]:
        width = array.shape[-1] // sum(heads)
        parts = split(array, theirs, [count * width for count in heads])
        return [p.reshape(*p.shape[:-1], n, width) for p, n in zip(parts, heads, strict=True)]

    for weight in ("kernel", "bias") if bias else ("kernel",):
        names = tuple(f"{layer}/{weight}" for layer in theirs)
        yield Rule(f"{ours}/{weight}", names, to_ours, to_theirs)


def heads_in(ours: str, theirs: str, num_heads: int, bias: bool = True) -> Iterator[Rule]:
    """A dense layer of ours: a projection from heads, kernel `(heads, width, out)`.

    Args:
        ours: path of our layer; it has `kernel` and `bias`.
        theirs: path of their layer, which has them too.
        num_heads: of theirs.
        bias: whether there is one.
    """
    yield Rule(
        f"{ours}/kernel",
        (f"{theirs}/kernel",),
        lambda kernel: kernel.reshape(-1, kernel.shape[-1]),
        lambda kernel: [kernel.reshape(num_heads, -1, kernel.shape[-1])],
    )
    if bias:
        yield same(f"{ours}/bias", f"{theirs}/bias")


def self_attention(ours: str, theirs: str, num_heads: int) -> Iterator[Rule]:
    """The four projections of a self-attention with biases."""
    projections = [f"{theirs}/{name}" for name in ("query", "key", "value")]
    yield from heads_out(f"{ours}/query_key_value", *projections, num_heads=num_heads)
    yield from heads_in(f"{ours}/out", f"{theirs}/attention_output", num_heads)


def feed_forward(ours: str, theirs: str) -> Iterator[Rule]:
    """The feed-forward network of a block, with biases.

    Args:
        ours: path of our network.
        theirs: path of their block.
    """
    for name, layer in (("up", "intermediate"), ("down", "output")):
        for weight in ("kernel", "bias"):
            yield same(f"{ours}/{name}/{weight}", f"{theirs}/feedforward_{layer}_dense/{weight}")


def norm(ours: str, theirs: str) -> Iterator[Rule]:
    """A normalisation, whose `scale` and `offset` are `gamma` and `beta`."""
    yield same(f"{ours}/scale", f"{theirs}/gamma")
    yield same(f"{ours}/offset", f"{theirs}/beta")
