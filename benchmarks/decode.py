"""Decoding speed of exported models against Hugging Face, CTranslate2 and KerasHub.

    python benchmarks/decode.py --check --out decode.json

One network of random weights is the same on every side but KerasHub's, which has its own of the
same sizes: Marian's base sizes (6+6 layers, 512 wide, feed-forward 2,048, 8 heads, vocabulary
32,000; sources of 20 tokens, exactly 32 new ones) and GPT-2's small ones (12 layers, 768 wide,
vocabulary 50,257; prompts of 32 tokens, exactly 64 new ones). Every side is a process of its own
with every core, and they run in turn:

    tflm            the SavedModel's `serving_default`, strings in and strings out, without our
                    code and without XLA, as a stock TF Serving runs it
    Hugging Face    `generate` on PyTorch, float32 and bfloat16
    CTranslate2     float32 and int8, all rows in one batch
    KerasHub        `generate` of BART or GPT-2, float32 and bfloat16, with and without XLA

PyTorch and CTranslate2 get virtual environments of their own (see benchmarks/environments.py); set
PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu to spare a gigabyte of CUDA. Before it is
timed, each float32 side must write the same tokens, greedily. A side that takes twice as long as
another of its library in the first round stays out of the others, and `--leave-out "Hugging Face
bfloat16"` spares what takes minutes a call on a processor without bfloat16. Printed for each cell:
medians over the rounds, shares of what the machine can do (benchmarks/limits.py; products and
weights of one byte have no rate, "-"), and how many times as long as our best and our default each
side takes: medians of the ratios in each round.
"""

import argparse
import contextlib
import dataclasses
import datetime
import functools
import json
import os
import pathlib
import sys
import tempfile
from typing import Any

import limits
from decode_cells import (
    CELLS,
    NETWORKS,
    OURS,
    PEERS,
    SETTINGS,
    Cell,
    Network,
    cells_named,
    library,
    verdicts,
)
from decode_report import agreement, dtype_of, summary, table, verdict_line, versions_line
from decode_sides import EXPORTS, Sides
from environments import DEFAULT
from rounds import machine, time_rounds
from sides import Side

MOST_ROWS, CHECKED_ROWS = 256, 4
PAUSE = 0.5  # seconds: OpenMP's threads look for work for 0.2


def written(sides: dict[str, Side]) -> dict[str, list[list[int]]]:
    """What the sides that have our weights write for the first rows, token ids."""
    ask = {"batch": CHECKED_ROWS, "answers": True}
    return {
        name: side.run(**ask)["result"]
        for name, side in sides.items()
        if library(name) != "KerasHub"
    }


def check_answers(answers: dict[str, list[list[int]]], greedy: bool) -> dict[str, int]:
    """How many rows each side writes as the first float32 side does.

    Raises:
        RuntimeError: greedily, another float32 side writes other tokens, or all rows are the same.
    """
    float32 = [name for name in answers if dtype_of(name) == "float32"]
    if not float32:
        return {}
    equal = agreement(answers, float32[0])
    print("  rows of", CHECKED_ROWS, "as", float32[0], "writes them:", equal, flush=True)
    rows = answers[float32[0]]
    other = [name for name in float32 if equal[name] < CHECKED_ROWS]
    if greedy and (other or len(set(map(tuple, rows))) == 1):
        told = "\n".join(f"{name}: {answers[name]}" for name in float32)
        raise RuntimeError(
            "float32 sides must write the same tokens, and others for other rows. "
            f"Received:\n{told}"
        )
    return equal


def time_cell(sides: dict[str, Side], batch: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each side in each round; those that cannot be their library's best have one."""
    calls = {name: functools.partial(side.run, batch=batch) for name, side in sides.items()}
    seconds = time_rounds(calls, 1, pause=PAUSE)
    best: dict[str, float] = {}
    for name, (time,) in seconds.items():
        best[library(name)] = min(time, best.get(library(name), time))
    calls = {
        name: call
        for name, call in calls.items()
        if library(name) == OURS or seconds[name][0] < 2 * best[library(name)]
    }
    for name, times in time_rounds(calls, rounds - 1, warmups=0, pause=PAUSE).items():
        seconds[name] += times
    return seconds


def compare(cells: list[Cell], network: Network, folder: pathlib.Path, result: dict) -> None:
    """Times cells of one network and one strategy, and adds what is found to `result`."""
    options, beams = result["options"], cells[0].beams
    most = max(CHECKED_ROWS, *(cell.batch for cell in cells))
    sides = Sides(network, beams, network.rows(most), folder, options)
    by_cell: dict[str, dict[str, dict[str, list[float]]]] = {cell.name: {} for cell in cells}
    kind = f"{network.name}/{cells[0].strategy}"
    with sides.running(OURS, result) as ours:
        answers = written(ours)
        for peer in options.peers:
            with sides.running(peer, result) as theirs:
                equal = check_answers({**answers, **written(theirs)}, beams == 1)
                result["equal_rows"].setdefault(kind, {}).update(equal)
                for cell in cells:
                    print(f" {cell.name}, {peer}", flush=True)
                    seconds = time_cell({**ours, **theirs}, cell.batch, options.rounds)
                    by_cell[cell.name][peer] = seconds
    for cell in cells:
        rows = summary(cell, by_cell[cell.name], network, result["rates"])
        found = {"seconds": by_cell[cell.name], "sides": rows}
        result["cells"][cell.name] = found
        result["verdicts"] += verdicts(cell.name, by_cell[cell.name])
        print(table(cell, network, rows), flush=True)


def write(result: dict[str, Any], path: pathlib.Path) -> None:
    """Writes what was found, beside and then in its place."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    told = {
        **result,
        "options": {name: str(value) for name, value in vars(result["options"]).items()},
    }
    beside.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


def check_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends the command where options contradict each other, and finds the cells that are named."""
    if options.rounds < 2:
        parser.error("--rounds must be at least 2")
    for peer in options.peers:
        if all(f"{peer} {setting}" in options.leave_out for setting in SETTINGS[peer]):
            parser.error(f"--leave-out must leave a side of each peer. Received: none of {peer}")
    try:
        options.cells = cells_named(options.cells, MOST_ROWS)
    except ValueError as error:
        parser.error(str(error))


def parsed() -> argparse.Namespace:
    """The command line."""
    about, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = [cell.name for cell in CELLS]
    add(
        "--cells",
        nargs="+",
        default=["*"],
        metavar="CELL",
        help=f"of {' '.join(names)}, and any other batch: gpt2/4/greedy; or patterns: 'marian/1/*'",
    )
    add("--rounds", type=int, default=5, help="in which the sides run in turn (default: 5)")
    add("--peers", nargs="+", default=PEERS, choices=PEERS, help="(default: all)")
    sides = [f"{peer} {setting}" for peer in PEERS for setting in SETTINGS[peer]]
    add(
        "--leave-out",
        nargs="+",
        choices=sides,
        default=[],
        metavar="SIDE",
        help=f"any of {', '.join(sides)} (default: none)",
    )
    ours = ("default", "bfloat16", "bfloat16 frozen", "w8a8")
    add(
        "--ours",
        nargs="+",
        default=ours,
        choices=EXPORTS,
        help=f"how our models are exported (default: {', '.join(ours)})",
    )
    add("--layers", type=int, help="instead of 6 and 12, to try the command out")
    add(
        "--environments",
        type=pathlib.Path,
        default=DEFAULT,
        metavar="FOLDER",
        help="of the virtual environments `torch` and `ctranslate2`, made where they are missing; "
        "links to others will do (default: .venv-peers)",
    )
    add(
        "--models",
        type=pathlib.Path,
        metavar="FOLDER",
        help="keep the models there, and use those that are there (default: they are deleted)",
    )
    add("--out", type=pathlib.Path, metavar="FILE", help="write all that was measured, as JSON")
    add(
        "--check",
        action="store_true",
        help="fail unless the targets of these cells and peers are met: TARGETS in decode_cells.py",
    )
    options = parser.parse_args()
    check_options(parser, options)
    return options


def main() -> None:
    """Prints a table for each cell, and what became of the targets."""
    options = parsed()
    rates = limits.measured_apart()
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    result: dict[str, Any] = {
        "machine": machine(),
        "date": date,
        "options": options,
        "rates": rates,
        "versions": {},
        "peak_bytes": {},
        "equal_rows": {},
        "cells": {},
        "verdicts": [],
    }
    print(f"{machine()}; {date}\n{limits.described(rates)}", flush=True)
    with contextlib.ExitStack() as stack:
        models = options.models or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for kind in dict.fromkeys((cell.network, cell.beams) for cell in options.cells):
            cells = [cell for cell in options.cells if (cell.network, cell.beams) == kind]
            network = NETWORKS[kind[0]]
            layers = options.layers or network.layers
            network = dataclasses.replace(network, layers=layers)
            compare(cells, network, models / f"{network.name}-{layers}", result)
            if options.out:
                write(result, options.out)
    print(versions_line(result["versions"]))
    held = (f"{name} {size / 2**30:.1f}" for name, size in result["peak_bytes"].items())
    print(f"most memory held, GiB: {', '.join(held)}")
    for verdict in result["verdicts"]:
        print(verdict_line(verdict))
    met = all(verdict["met"] for verdict in result["verdicts"])
    sys.exit(0 if met or not options.check else 1)


if __name__ == "__main__":
    main()
