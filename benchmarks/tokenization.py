"""Speed of byte-level BPE in `tf.data` against KerasHub's `BytePairTokenizer`.

    python benchmarks/tokenization.py --require 10

One vocabulary of 50,257 tokens, learned from other lines of the same files; English, German and
Chinese lines in batches of 256; both tokenizers in `dataset.map`, one call at a time. Every round
reads lines that neither side has read before, as training on a text does, and both sides read the
same. KerasHub remembers every word in a table that grows, so the rounds then go over all lines once
more: "again" is what it takes where no word is new. Ours remembers nothing. Printed: medians over
alternating rounds, and how many lines get the ids that Hugging Face `tokenizers` gives them.
"""

import argparse
import gzip
import os
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras_hub  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tokenizers  # noqa: E402
from rounds import machine, median_ratio, time_rounds  # noqa: E402

from tflm.tokenizers import BytePairTokenizer  # noqa: E402
from tflm.tokenizers.byte_pair import read_vocabulary  # noqa: E402
from tflm.tokenizers.splitting import pre_tokenizer  # noqa: E402

CORPORA = {
    "English (WikiText-2)": ("wikitext2/train.txt.gz",),
    "English, German (Multi30k)": ("multi30k/train.en.gz", "multi30k/train.de.gz"),
    "Chinese, English (Tatoeba)": ("tatoeba_zh_en/train.tsv.gz",),
    "Chinese (ChnSentiCorp)": ("chnsenticorp/train.tsv.gz",),
}
VOCAB_SIZE, BATCH = 50257, 256


def read(folder: pathlib.Path, names: tuple[str, ...]) -> list[str]:
    """The lines of files, in turn one of each."""
    files = [gzip.decompress((folder / name).read_bytes()).decode().split("\n") for name in names]
    return [line for lines in zip(*files, strict=True) for line in lines if line.strip()]


def reader(tokenizer: object, lines: list[str], rounds: int) -> Callable[[], list[tf.RaggedTensor]]:
    """A function that gives the ids of the next part of the lines, of `rounds`, in batches."""
    dataset = tf.data.Dataset.from_tensor_slices(lines).batch(BATCH)
    count = len(dataset) // rounds
    options = tf.data.Options()  # nothing runs ahead while the other side is timed
    options.autotune.enabled = False
    options.experimental_optimization.map_parallelization = False
    batches = iter(dataset.map(tokenizer.tokenize).repeat().with_options(options))
    return lambda: [next(batches) for _ in range(count)]


def compare(name: str, lines: list[str], files: tuple, rounds: int) -> dict[str, dict]:
    """Seconds of each side in each round, for lines that are new and for the same lines again."""
    print(f"{name}: {len(lines)} lines, {sum(map(len, lines)) / 1e6:.2f} M characters")
    merges = [f"{left} {right}" for left, right in files[1]]
    tokens = {
        "tflm": BytePairTokenizer(*files),
        "KerasHub": keras_hub.tokenizers.BytePairTokenizer(vocabulary=files[0], merges=merges),
    }
    found: dict[str, list[list[int]]] = {side: [] for side in tokens}

    def keeping(side: str) -> Callable[[], None]:
        next_part = reader(tokens[side], lines, rounds + 1)
        return lambda: found[side].append(next_part())

    sides = {side: keeping(side) for side in tokens}
    seconds = {"new": time_rounds(sides, rounds), "again": time_rounds(sides, rounds)}
    library = tokenizers.Tokenizer(tokenizers.models.BPE(*files))
    library.pre_tokenizer = pre_tokenizer("gpt2")
    expected = [each.ids for each in library.encode_batch_fast(lines, add_special_tokens=False)]
    for side, parts in found.items():
        ids = [row for part in parts[: rounds + 1] for batch in part for row in batch.to_list()]
        equal = sum(a == b for a, b in zip(ids, expected, strict=True))
        medians = [f"{kind} {statistics.median(s[side]):.3f} s" for kind, s in seconds.items()]
        print(f"  {side:9s} {', '.join(medians)}, {equal} lines with the ids of `tokenizers`")
    print(f"  KerasHub / tflm: {ratios(seconds)}")
    return seconds


def ratios(seconds: dict[str, dict]) -> str:
    """How much faster ours is, for each kind of lines."""
    found = {kind: median_ratio(s["KerasHub"], s["tflm"]) for kind, s in seconds.items()}
    return ", ".join(f"{kind} {ratio:.1f}" for kind, ratio in found.items())


def main() -> None:
    """Prints seconds and ratios for each corpus, and the ratios over all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    data = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("TFLM_DATA", data))
    parser.add_argument("--lines", type=int, default=1024, help="of each corpus in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--require", type=float, default=0.0, help="least ratio for new lines")
    parser.add_argument("--vocabulary", help="a folder with vocab.json and merges.txt")
    options = parser.parse_args()
    print(machine())
    corpora = {name: read(options.data, names) for name, names in CORPORA.items()}
    count = (options.rounds + 1) * (options.lines // BATCH) * BATCH
    with tempfile.TemporaryDirectory() as folder:
        if options.vocabulary is None:
            others = (line for lines in corpora.values() for line in lines[count:])
            BytePairTokenizer.train(others, VOCAB_SIZE).save(folder)
        files = read_vocabulary(options.vocabulary or folder)
    total = {kind: dict.fromkeys(("tflm", "KerasHub"), 0.0) for kind in ("new", "again")}
    for name, lines in corpora.items():
        for kind, sides in compare(name, lines[:count], files, options.rounds).items():
            for side, seconds in sides.items():
                total[kind][side] = np.add(total[kind][side], seconds)
    print(f"all lines, KerasHub / tflm: {ratios(total)}")
    ratio = median_ratio(total["new"]["KerasHub"], total["new"]["tflm"])
    sys.exit(0 if ratio >= options.require else 1)


if __name__ == "__main__":
    main()
