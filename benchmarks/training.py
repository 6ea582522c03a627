"""Training steps against Hugging Face on PyTorch and against KerasHub's `fit`, on the same arrays.

    python benchmarks/training.py --check --out training.json

| workload | network | a batch |
|---|---|---|
| tiny | `transformer/tiny`, vocabulary 10,000 | 256 rows of 16 target tokens: 4,096 |
| base | Marian's base sizes, 6+6 layers, vocabulary 32,000 | 64 rows of 32: 2,048 |
| bert | BERT-base that classifies | 16 texts of 128 tokens |
| gpt2 | GPT-2 small | 4 rows of 256 tokens: 1,024 |

Ours is `task.fit` with what a run gets that sets nothing, dtype included, and in the other one of
float32 and mixed_bfloat16. Hugging Face's networks run in float32 and under bfloat16 autocast, with
fused AdamW; KerasHub's (BART, BERT, GPT-2) in float32 and mixed_bfloat16, with and without XLA. All
have dropout 0.1. Ours clips gradients, counts metrics and, in translation, smooths labels; theirs
do not.

Each side is a process. At most `--alive` of them are there at a time, ours always among them, and
take turns in every round; so a ratio is the median over rounds of their time to ours in the same
round. Of a peer the setting with the least ratio counts. "Products" is the share of the rate that
large matrices of the dtype are multiplied at (benchmarks/limits.py). Peak memory is the process's,
libraries and compilation included. `--layers` and `--rows` make small trials of it, whose ratios
say nothing; `--leave-out "Hugging Face bfloat16"` spares what takes hours on a processor without
bfloat16.
"""

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import statistics
import sys
from typing import Any

import limits
from environments import DEFAULT, environment
from rounds import machine, median_ratio, time_rounds
from sides import Side

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE / "peers"))
from training_work import WORKS, Work  # noqa: E402

STEPS = {"tiny": 8, "base": 2, "bert": 1, "gpt2": 2}  # updates a round: several seconds each
PAUSE = 0.3  # seconds, see `time_rounds`

Settings = dict[str, Any]
OURS: list[Settings] = [{"library": "tflm", "dtype": dtype} for dtype in ("default", "other")]
PEERS: dict[str, list[Settings]] = {
    "Hugging Face": [{"dtype": dtype} for dtype in ("float32", "bfloat16")],
    "KerasHub": [
        {"dtype": dtype, "jit_compile": jit_compile}
        for dtype in ("float32", "mixed_bfloat16")
        for jit_compile in (False, True)
    ],
}
NAMES = sorted({f"{peer} {each['dtype']}" for peer, settings in PEERS.items() for each in settings})
# How many times as long as ours a peer's best setting takes at least.
LEAST = {
    "Hugging Face": dict.fromkeys(WORKS, 1.3),
    "KerasHub": {"tiny": 2.0, "base": 3.0},
}
MEMORY = "tiny", "Hugging Face"  # where our peak is at most the peer's, of its settings the least


def settings_of(peer: str, leave_out: list[str]) -> list[Settings]:
    """The settings of a peer without some, which are called as in `NAMES`."""
    return [
        {"library": peer, **each}
        for each in PEERS[peer]
        if f"{peer} {each['dtype']}" not in leave_out
    ]


def side(work: Work, steps: int, settings: Settings, environments: pathlib.Path) -> Side:
    """The process of a setting."""
    if settings["library"] == "Hugging Face":
        interpreter, script = str(environment("torch", environments)), "torch_training.py"
    else:
        interpreter, script = sys.executable, "keras_training.py"
    given = {"work": dataclasses.asdict(work), "steps": steps, **settings}
    variables = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    command = [interpreter, str(HERE / "peers" / script)]
    return Side(f"{settings['library']} {given}", command, given, variables)


def timed(
    work: Work, steps: int, group: list[Settings], options: argparse.Namespace
) -> dict[str, Any]:
    """By names of sides: `info`, `seconds` of the rounds, MiB at the `start` and at the `peak`."""
    found: dict[str, Any] = {}
    running: dict[str, Side] = {}
    with contextlib.ExitStack() as stack:
        for settings in group:
            started = stack.enter_context(side(work, steps, settings, options.environments))
            name = started.info["name"]
            running[name] = started
            found[name] = {"library": settings["library"], "info": started.info}
            found[name]["start"] = started.peak_bytes() / 2**20
        calls: dict[str, Any] = {name: started.run for name, started in running.items()}
        for name, seconds in time_rounds(calls, options.rounds, pause=PAUSE).items():
            found[name] |= {"seconds": seconds, "peak": running[name].peak_bytes() / 2**20}
    return found


def compare(work: Work, steps: int, options: argparse.Namespace) -> dict[str, Any]:
    """Every setting's side, with its `ratio` to our first one; see `timed`."""
    first, *rest = OURS
    rest += [each for peer in options.peers for each in settings_of(peer, options.leave_out)]
    size = options.alive - 1
    sides: dict[str, Any] = {}
    for start in range(0, len(rest), size):
        found = timed(work, steps, [first, *rest[start : start + size]], options)
        ours = next(iter(found))
        for name, each in found.items():
            each["ratio"] = median_ratio(each["seconds"], found[ours]["seconds"])
            known = sides.setdefault(name, each)
            if known is not each:  # ours, of another group
                known["seconds"] += each["seconds"]
    for each in sides.values():
        median = statistics.median(each["seconds"])
        each["per_second"] = steps * work.units / median
        each["flops"] = steps * work.flops / median
    return sides


def show(work: Work, sides: dict[str, Any], rates: dict[str, float]) -> None:
    """The table of a workload."""
    columns = f"{work.unit + '/s':>16s} {'products':>9s} {'time / ours':>12s}"
    print(f"  {'':34s} {columns} {'MiB':>7s} {'at start':>9s}")
    for name, each in sides.items():
        share = each["flops"] / rates["bfloat16" if "bfloat16" in name else "float32"]
        print(
            f"  {name:34s} {each['per_second']:16,.1f} {share:9.0%} {each['ratio']:12.2f} "
            f"{each['peak']:7,.0f} {each['start']:9,.0f}"
        )


def judge(workload: str, sides: dict[str, Any], peers: list[str]) -> list[dict[str, Any]]:
    """What is measured against what is wanted: `what`, `value`, `wanted`, and whether it is `met`.

    Nothing is wanted (`None`) of some.
    """
    ours = next(iter(sides.values()))["peak"]
    found = []
    for peer in peers:
        of_peer = {name: each for name, each in sides.items() if each["library"] == peer}
        best = min(of_peer, key=lambda name: of_peer[name]["ratio"])
        ratio, wanted = of_peer[best]["ratio"], LEAST[peer].get(workload)
        what = f"{best}, its best: time / ours"
        met = wanted is None or ratio >= wanted
        found.append({"what": what, "value": ratio, "wanted": wanted, "met": met})
        if (workload, peer) == MEMORY:
            share = ours / min(each["peak"] for each in of_peer.values())
            what = f"our peak memory / the least of {peer}"
            found.append({"what": what, "value": share, "wanted": 1.0, "met": share <= 1.0})
    return found


def write(path: pathlib.Path, results: dict[str, Any]) -> None:
    """Writes JSON, whole or not at all."""
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)


def parse() -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workloads", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument(
        "--leave-out",
        nargs="+",
        choices=NAMES,
        default=[],
        metavar="SETTING",
        help=f"any of {NAMES}",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="updates in a round; by default some seconds'")
    parser.add_argument("--alive", type=int, default=4, help="processes at a time, two at least")
    parser.add_argument("--layers", type=int, help="instead of the workload's")
    parser.add_argument("--rows", type=int, help="of a batch, instead of the workload's")
    parser.add_argument("--environments", type=pathlib.Path, default=DEFAULT, metavar="FOLDER")
    parser.add_argument("--check", action="store_true", help="fail where something is not met")
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE", help="the results as JSON")
    options = parser.parse_args()
    if options.alive < 2 or options.rounds < 1:
        parser.error("--alive must be at least 2, and --rounds at least 1")
    if gone := [peer for peer in options.peers if not settings_of(peer, options.leave_out)]:
        parser.error(f"--leave-out must leave a setting of each peer. Received: none of {gone[0]}")
    return options


def describe(workload: str, work: Work, steps: int) -> None:
    """The line over a workload's rounds."""
    print(
        f"{workload}: {work.preset}, {work.layers} layers, {work.rows} rows of {work.length} "
        f"tokens, {work.units:,} {work.unit} and {work.flops / 1e9:,.0f} GFLOP a batch, "
        f"{steps} updates a round",
        flush=True,
    )


def tell(targets: list[dict[str, Any]]) -> bool:
    """Prints what `judge` found; whether all is met."""
    for each in targets:
        wanted = "" if each["wanted"] is None else f", wanted {each['wanted']}"
        missed = "" if each["met"] else ": MISSED"
        print(f"  {each['what']}: {each['value']:.2f}{wanted}{missed}", flush=True)
    return all(each["met"] for each in targets)


def main() -> None:
    """Prints a table for each workload, and what is wanted of it."""
    options = parse()
    now = datetime.datetime.now(datetime.UTC).date().isoformat()
    results: dict[str, Any] = {"machine": machine(), "date": now, "versions": {}, "workloads": {}}
    results["left_out"] = options.leave_out
    # With oneDNN, as `tflm` has it on in our sides and KerasHub's.
    rates = results["rates"] = limits.measured_apart(TF_ENABLE_ONEDNN_OPTS="1")
    print(f"{results['machine']}\n{limits.described(rates)}", flush=True)
    if "Hugging Face" in options.peers:
        environment("torch", options.environments)  # made before anything is timed
    changes = {name: getattr(options, name) for name in ("layers", "rows")}
    changes = {name: value for name, value in changes.items() if value is not None}
    met = True
    for workload in options.workloads:
        work = dataclasses.replace(WORKS[workload], **changes)
        steps = options.steps or STEPS[workload]
        describe(workload, work, steps)
        sides = compare(work, steps, options)
        show(work, sides, rates)
        targets = judge(workload, sides, options.peers)
        met &= tell(targets)
        results["workloads"][workload] = {
            "work": dataclasses.asdict(work),
            "steps": steps,
            "sides": sides,
            "targets": targets,
        }
        for each in sides.values():
            results["versions"] |= each["info"]["versions"]
        if options.out:
            write(options.out, results)
    print(", ".join(f"{name} {version}" for name, version in results["versions"].items()))
    sys.exit(0 if met or not options.check else 1)


if __name__ == "__main__":
    main()
