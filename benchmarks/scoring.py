"""Seconds and memory of scoring 100,000 outputs by BLEU, chrF and ROUGE with their intervals.

    python benchmarks/scoring.py --data ../shared/data --require-seconds 60 --require-gib 2

The references are Multi30k's and Tatoeba's sentences, repeated; each output is one of them with
words (characters in Chinese) dropped, repeated and swapped at random, so that hardly two are alike.
Exit status 1 where a requirement is not met. Memory is the sum over processes of the most that each
had.
"""

import argparse
import csv
import gzip
import os
import pathlib
import random
import resource
import sys
import time

from tflm.eval import BLEU, CHRF, ROUGE, Score, evaluate

KINDS = ("rouge1", "rouge2", "rougeL")


def read_references(data: pathlib.Path, language: str) -> list[str]:
    """The sentences of a language: Multi30k's and, in English and Chinese, Tatoeba's."""
    texts: list[str] = []
    if language != "zh":
        with gzip.open(data / "multi30k" / f"train.{language}.gz", "rt", encoding="utf-8") as file:
            texts += file.read().splitlines()
    if language in ("en", "zh"):
        path = data / "tatoeba_zh_en" / "train.tsv.gz"
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            texts += [row[language == "zh"] for row in rows]
    return texts


def damaged(text: str, generator: random.Random, separator: str) -> str:
    """The text with about a seventh of its words dropped, a seventh repeated, and two swapped."""
    words = text.split(separator) if separator else list(text)
    words = [word for word in words for _ in range(generator.choice((0, 1, 1, 1, 1, 1, 2)))]
    if len(words) > 3 and generator.random() < 0.5:
        at = generator.randrange(len(words) - 1)
        words[at], words[at + 1] = words[at + 1], words[at]
    return separator.join(words)


def measured(
    hypotheses: list[str], references: list[str], language: str, resamples: int
) -> tuple[tuple[Score, ...], dict[str, float]]:
    """The scores, and what they took."""
    metrics = [BLEU(language), CHRF(), *(ROUGE(kind, language) for kind in KINDS)]
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    report = evaluate(hypotheses, None, references, metrics, num_resamples=resamples)
    wall, cpu = time.perf_counter() - wall, sum(os.times()[:4]) - cpu
    own, child = (
        resource.getrusage(who).ru_maxrss / 1024**2
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    # The largest child stands for each of them.
    num_children = max(1, min(len(os.sched_getaffinity(0)), 4) - 1)
    return report.scores, {"seconds": wall, "cpu": cpu, "gib": own + num_children * child}


def main() -> None:
    """Prints the scores, the seconds and the memory."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder of the data sets")
    parser.add_argument("--language", choices=("en", "de", "zh"), default="en")
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--require-seconds", type=float, help="fail where it takes longer")
    parser.add_argument("--require-gib", type=float, help="fail where it takes more memory")
    options = parser.parse_args()

    texts = read_references(options.data, options.language)
    references = [texts[i % len(texts)] for i in range(options.examples)]
    generator = random.Random(1)
    separator = "" if options.language == "zh" else " "
    hypotheses = [damaged(text, generator, separator) for text in references]
    characters = sum(map(len, references)) / len(references)
    print(
        f"{len(references):,} pairs in {options.language}, {characters:.0f} characters a reference,"
        f" {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before"
    )
    scores, took = measured(hypotheses, references, options.language, options.resamples)
    for score in scores:
        print(score.format())
    print(f"{took['seconds']:.1f} s, {took['cpu']:.1f} CPU s, at most {took['gib']:.2f} GiB")
    missed = [
        f"{name} {took[name]:.2f} > {limit}"
        for name, limit in (("seconds", options.require_seconds), ("gib", options.require_gib))
        if limit is not None and took[name] > limit
    ]
    if missed:
        sys.exit(f"requirement not met: {', '.join(missed)}")


if __name__ == "__main__":
    main()
