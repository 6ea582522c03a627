"""Seconds that `GenerateAndScore` decodes its sample for inside `fit`, beside `tflm predict`.

    python benchmarks/callback.py --data ../shared/data --require-ratio 1.1

Both decode the same sentences of Multi30k with the same weights, fresh ones of `transformer/tiny`,
which each round trains on a batch at a learning rate of 0. Sides alternate; a ratio is the median
over rounds, of CPU seconds where other work shares the machine. Exit status 1 where the callback
takes more CPU than required.
"""

import argparse
import collections
import gzip
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import keras
from rounds import machine, median_ratio

from tflm.eval import BLEU, GenerateAndScore
from tflm.generation import Beam, Greedy
from tflm.tasks import Translation
from tflm.tasks.predictor import open_predictor

STRATEGIES = {"greedy": Greedy(), "beam": Beam(num_beams=5, length_penalty="power", alpha=1.0)}
CHUNK = 256  # texts that the command answers at a time


def read(data: pathlib.Path, split: str, language: str) -> list[str]:
    """The sentences of a split of Multi30k."""
    path = data / "multi30k" / f"{split}.{language}.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return lines.read().splitlines()


class Clock:
    """Wall and CPU seconds of what is called, by name."""

    def __init__(self) -> None:
        self.wall: dict[str, list[float]] = collections.defaultdict(list)
        self.cpu: dict[str, list[float]] = collections.defaultdict(list)

    def time(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """What `call` returns."""
        wall, cpu = time.perf_counter(), time.process_time()
        found = call(*arguments)
        self.wall[name].append(time.perf_counter() - wall)
        self.cpu[name].append(time.process_time() - cpu)
        return found


def measure(
    task: Translation, pairs: list[tuple[str, str]], sample: list[tuple[str, str]], rounds: int
) -> Clock:
    """Seconds of each round that the callback decodes ("decode"), that its whole turn takes
    ("turn"), and that the command's predictor takes ("predict")."""
    sources, references = (list(side) for side in zip(*sample, strict=True))
    clock = Clock()

    class Timed(GenerateAndScore):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            clock.time("turn", super().on_epoch_end, epoch, logs)

    scores = Timed(
        lambda texts: clock.time("decode", task, texts),
        sources,
        references,
        [BLEU("de")],
        num_shown=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        task.save_pretrained(folder)
        answer = open_predictor(folder)

        def predict() -> list[str]:
            parts = (sources[start : start + CHUNK] for start in range(0, len(sources), CHUNK))
            return [found["text"] for part in parts for found in answer(part)]

        for number in range(rounds + 1):  # the first one compiles
            task.fit(pairs, epochs=1, callbacks=[scores], verbose=0)
            assert clock.time("predict", predict) == scores.hypotheses
            last = ", ".join(f"{name} {values[-1]:.2f}" for name, values in clock.wall.items())
            print(f"  round {number}, seconds: {last}", flush=True)
    for seconds in (clock.wall, clock.cpu):
        for values in seconds.values():
            del values[0]
    return clock


def main() -> None:
    """Prints seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of the data sets")
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--require-ratio", type=float, help="fail where the callback takes longer")
    options = parser.parse_args()

    pairs = list(zip(*(read(options.data, "train", code) for code in ("en", "de")), strict=True))
    sides = (read(options.data, "val", code) for code in ("en", "de"))
    sample = list(zip(*sides, strict=True))[: options.sentences]
    print(f"{machine()}; load {os.getloadavg()[0]:.1f} before")
    slow = []
    for name, strategy in STRATEGIES.items():
        keras.utils.set_random_seed(1)
        task = Translation.from_pairs(pairs[:5000], "transformer/tiny", strategy=strategy)
        task.compile(keras.optimizers.SGD(0.0))
        print(f"{name}: {task.model.count_params():,} parameters, {len(sample)} sentences")
        clock = measure(task, pairs[:64], sample, options.rounds)
        for unit, seconds in (("s", clock.wall), ("CPU s", clock.cpu)):
            medians = (f"{part} {statistics.median(v):.2f} {unit}" for part, v in seconds.items())
            ratio = median_ratio(seconds["decode"], seconds["predict"])
            whole = median_ratio(seconds["turn"], seconds["predict"])
            print(f"{name}: {', '.join(medians)}; ratio {ratio:.3f}, with the scores {whole:.3f}")
        if options.require_ratio is not None and ratio > options.require_ratio:
            slow.append(f"{name} {ratio:.3f} > {options.require_ratio}")
    if slow:
        sys.exit(f"requirement not met: {', '.join(slow)}")


if __name__ == "__main__":
    main()
