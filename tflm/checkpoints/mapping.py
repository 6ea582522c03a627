"""Which weight of ours is which tensor of theirs, and the check that none is left over.

A family states its weights as `Rule`s, most of them through the helpers `same`, `dense`, `conv1d`
and `norm`. A rule works in both directions.
"""

import dataclasses
import fnmatch
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tflm.checkpoints.tensors import Tensors

Shape = tuple[int, ...]


def _identity(array: np.ndarray) -> np.ndarray:
    return array


def _alone(array: np.ndarray) -> list[np.ndarray]:
    return [array]


@dataclasses.dataclass(frozen=True)
class Rule:
    """One weight of ours and the tensors that hold it elsewhere.

    Args:
        ours: the weight's path without the model's name, "block_0/attention/out/kernel" say.
        theirs: names of the tensors that make it up.
        to_ours: their arrays, in this order -> our array.
        to_theirs: our array -> their arrays. Slices, transposes and reshapes only, where possible:
            it is also given an array without memory, to find their shapes.
        aliases: other names under which the one tensor of `theirs` may be stored, instead or as
            well: tied weights, names of older versions. Never written.
    """

    ours: str
    theirs: tuple[str, ...]
    to_ours: Callable[..., np.ndarray] = _identity
    to_theirs: Callable[[np.ndarray], Sequence[np.ndarray]] = _alone
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.aliases and len(self.theirs) != 1:
            raise ValueError(
                "`aliases` must be other names of a single tensor. "
                f"Received: aliases={self.aliases}, theirs={self.theirs}"
            )

    def shapes(self, shape: Shape) -> list[Shape]:
        """The shapes of their tensors, where our weight has this one."""
        return [part.shape for part in self.to_theirs(np.broadcast_to(np.float32(0), shape))]


class Read:
    """The value of one weight of ours, read when it is asked for.

    Args:
        rule: what it is made of.
        stored: where.
        names: of the tensors of `rule.theirs`, as they are stored.
    """

    def __init__(self, rule: Rule, stored: Tensors, names: Sequence[str]):
        self._rule = rule
        self._stored = stored
        self._names = tuple(names)

    def __call__(self) -> np.ndarray:
        """The whole array."""
        return self._rule.to_ours(*(self._stored[name] for name in self._names))

    def pieces(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """The array in pieces along its first axis, each with the row that it starts at.

        Args:
            size: bytes of a piece, about; only what is stored as it is can be read in pieces.
        """
        if self._rule.to_ours is not _identity:
            yield 0, self()
            return
        (name,) = self._names
        rows, *rest = self._stored.shape(name) or (1,)
        step = max(1, size // (4 * math.prod(rest)))
        if rows <= step:
            yield 0, self()
            return
        for start in range(0, rows, step):
            yield start, self._stored.rows(name, start, min(start + step, rows))


def same(ours: str, theirs: str, *aliases: str) -> Rule:
    """A weight that is stored as it is.

    Args:
        ours: path of our weight.
        theirs: name of their tensor.
        *aliases: other names it may have.
    """
    return Rule(ours, (theirs,), aliases=aliases)


def dense(
    ours: str,
    *theirs: str,
    bias: bool = True,
    parts: Sequence[int] = (),
) -> Iterator[Rule]:
    """A dense layer of ours, kernel `(in, out)`: one linear layer of theirs, `(out, in)`, or more.

    Args:
        ours: path of our layer; it has `kernel` and `bias`.
        *theirs: names of their layers, which have `weight` and `bias`; ours has their outputs side
            by side.
        bias: whether there are biases.
        parts: width of each of theirs; equal by default.
    """

    def to_ours(*weights: np.ndarray) -> np.ndarray:
        first, *others = weights
        return np.concatenate(weights, axis=0).T if others else first.T

    def to_theirs(kernel: np.ndarray) -> list[np.ndarray]:
        return [part.T for part in split(kernel, theirs, parts)]

    def join(*biases: np.ndarray) -> np.ndarray:
        first, *others = biases
        return np.concatenate(biases) if others else first

    yield Rule(f"{ours}/kernel", _named(theirs, "weight"), to_ours, to_theirs)
    if bias:
        yield Rule(
            f"{ours}/bias", _named(theirs, "bias"), join, lambda array: split(array, theirs, parts)
        )


def conv1d(ours: str, theirs: str) -> Iterator[Rule]:
    """A dense layer of ours that theirs stores as `(in, out)` too (GPT and GPT-2).

    Args:
        ours: path of our layer; it has `kernel` and `bias`.
        theirs: name of their layer; it has `weight` and `bias`.
    """
    yield same(f"{ours}/kernel", f"{theirs}.weight")
    yield same(f"{ours}/bias", f"{theirs}.bias")


def norm(ours: str, theirs: str, bias: bool = True) -> Iterator[Rule]:
    """A normalisation: `scale` and `offset` are `weight` and `bias`, or `gamma` and `beta` of old.

    Args:
        ours: path of our layer.
        theirs: name of their layer.
        bias: whether there is an offset.
    """
    yield same(f"{ours}/scale", f"{theirs}.weight", f"{theirs}.gamma")
    if bias:
        yield same(f"{ours}/offset", f"{theirs}.bias", f"{theirs}.beta")


def split(array: np.ndarray, theirs: Sequence[str], parts: Sequence[int] = ()) -> list[np.ndarray]:
    """An array cut along its last axis, equally or into the widths given."""
    if len(theirs) == 1:
        return [array]
    where = np.cumsum(parts)[:-1].tolist() if parts else len(theirs)
    return np.split(array, where, axis=-1)


def _named(layers: Iterable[str], weight: str) -> tuple[str, ...]:
    return tuple(f"{layer}.{weight}" for layer in layers)


def match(
    rules: Iterable[Rule],
    stored: Tensors,
    own: Mapping[str, Shape],
    prefix: str = "",
    elsewhere: Sequence[str] = (),
    source: Any = "",
) -> dict[str, Read]:
    """Finds the tensors of every weight, and complains of all that is wrong at once.

    Args:
        rules: what the model's weights are made of.
        stored: the tensors there are.
        own: the shapes of the model's weights.
        prefix: a name may be stored with it or without it.
        elsewhere: patterns (`fnmatch`) of names that are no weights of the model: buffers, heads.
        source: named in the message.

    Returns:
        What reads it, for every weight by path.

    Raises:
        ValueError: a tensor is missing, surplus or of another shape, or stored twice with
            different values; the message lists every one.
    """
    wrong: list[str] = []
    used: set[str] = set()
    reads: dict[str, Read] = {}
    for rule in rules:
        if rule.ours not in own:
            wrong.append(f"unknown  {rule.ours} is no weight of the model")
            continue
        found = [_find((name, *rule.aliases), stored, prefix) for name in rule.theirs]
        used.update(name for names in found for name in names)
        wrong += _problems(rule, found, stored, own[rule.ours])
        reads[rule.ours] = Read(rule, stored, [names[0] for names in found if names])
    wrong += [f"unmapped {path} {own[path]}" for path in own if path not in reads]
    for name in stored:
        bare = name.removeprefix(prefix)
        if name not in used and not any(
            fnmatch.fnmatchcase(name, p) or fnmatch.fnmatchcase(bare, p) for p in elsewhere
        ):
            wrong.append(f"surplus  {name} {stored.shape(name)}")
    if wrong:
        lines = "\n  ".join(wrong)
        raise ValueError(f"`source` must hold the model's weights. Received: {source}\n  {lines}")
    return reads


def _find(names: Iterable[str], stored: Tensors, prefix: str) -> list[str]:
    """Where a tensor of these names is stored, each with or without the prefix."""
    spellings = dict.fromkeys(
        spelling for name in names for spelling in (name, prefix + name, name.removeprefix(prefix))
    )
    return [spelling for spelling in spellings if spelling in stored]


def _problems(rule: Rule, found: list[list[str]], stored: Tensors, own: Shape) -> list[str]:
    wrong = []
    for name, names, shape in zip(rule.theirs, found, rule.shapes(own), strict=True):
        if not names:
            wrong.append(f"missing  {name} {shape}")
        elif stored.shape(names[0]) != shape:
            wrong.append(f"shape    {names[0]} {stored.shape(names[0])}, expected {shape}")
        else:
            wrong += [
                f"differs  {other} from {names[0]}, which must be the same tensor"
                for other in names[1:]
                if not np.array_equal(stored[other], stored[names[0]])
            ]
    return wrong
