"""Tables of the decoding comparison: milliseconds, shares of the machine, ratios."""

import statistics
from collections.abc import Mapping
from typing import Any

from decode_cells import OURS, Cell, Network, Seconds, fastest, ratios

DEFAULT = f"{OURS} default"
_BYTES = {"float32": 4, "bfloat16": 2, "int8": 1, "w8a8": 1}


def dtype_of(side: str) -> str:
    """What a side multiplies; an export by default keeps the float32 of its task."""
    return next((dtype for dtype in _BYTES if dtype in side.split()), "float32")


def shares(
    side: str, seconds: float, network: Network, cell: Cell, rates: Mapping[str, float]
) -> tuple[float | None, float]:
    """The share of the rate of products, if it is known, and of the rate of reading memory."""
    dtype = dtype_of(side)
    read = network.weights_of_step * _BYTES[dtype] * network.num_written
    rate = rates.get(dtype)
    products = network.flops(cell.batch, cell.beams) / seconds / rate if rate else None
    return products, read / seconds / rates["memory"]


def summary(
    cell: Cell, by_peer: Mapping[str, Seconds], network: Network, rates: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """For each side of a cell what its row says, by the names of the columns.

    Args:
        cell: the cell.
        by_peer: seconds of our sides and a peer's in the same rounds, by the peer's library.
        network: its sizes.
        rates: what `limits.measure` gives.
    """
    found: dict[str, dict[str, Any]] = {}
    pooled: dict[str, list[float]] = {}
    for seconds in by_peer.values():
        for side, times in seconds.items():
            pooled.setdefault(side, []).extend(times)
        to = {"to_best": fastest(seconds, OURS), "to_default": DEFAULT}
        for column, ours in to.items():
            for side, ratio in ratios(seconds, ours).items() if ours in seconds else ():
                found.setdefault(side, {})[column] = ratio
    for side, times in pooled.items():
        median = statistics.median(times)
        products, memory = shares(side, median, network, cell, rates)
        found[side] = {
            "ms_a_step": 1e3 * median / network.num_written,
            "of_products": products,
            "of_memory": memory,
            "rounds": len(times),
            **found.get(side, {}),
        }
    return {side: found[side] for side in pooled}


def table(cell: Cell, network: Network, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """A cell's rows as text."""
    work = network.flops(cell.batch, cell.beams) / 1e9
    weights = network.weights_of_step / 1e6
    lines = [
        f"{cell.name}: {work:,.1f} GFLOP in {network.num_written} steps, "
        f"{weights:.1f} million weights read in each",
        f"  {'':24s} {'ms a step':>10s} {'products':>9s} {'memory':>8s} "
        f"{'/ our best':>11s} {'/ our default':>14s}",
    ]
    for side, row in rows.items():
        cells = (
            f"{row['ms_a_step']:10.2f}",
            f"{_percent(row['of_products']):>9s}",
            f"{_percent(row['of_memory']):>8s}",
            f"{_ratio(row.get('to_best')):>11s}",
            f"{_ratio(row.get('to_default')):>14s}",
        )
        lines.append(f"  {side:24s} {' '.join(cells)}")
    return "\n".join(lines)


def verdict_line(verdict: Mapping[str, Any]) -> str:
    """What became of a target, in a line."""
    what = "{cell}: {peer} / {ours} {ratio:.2f}, >= {least}".format(**verdict)
    return f"{what}: {'met' if verdict['met'] else 'NOT MET'}"


def agreement(answers: Mapping[str, list[list[int]]], reference: str) -> dict[str, int]:
    """How many rows of each side are those of `reference`, token for token."""
    expected = answers[reference]
    return {
        side: sum(row == other for row, other in zip(rows, expected, strict=True))
        for side, rows in answers.items()
    }


def versions_line(versions: Mapping[str, str]) -> str:
    """The versions that the sides named."""
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"
