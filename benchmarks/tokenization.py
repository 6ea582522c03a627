"""Speed of byte-level BPE in `tf.data` against KerasHub's `BytePairTokenizer`.

    python benchmarks/tokenization.py --require 10

One vocabulary of 50,257 tokens, learned from the lines that are timed; English, German and Chinese
lines in batches of 256; both tokenizers in `dataset.map`, one call at a time. KerasHub remembers
every word it has seen in a table that grows: "warm" is when it has seen all of these lines before,
"cold" its first pass over them, after tracing. Ours remembers nothing, so its passes are alike.
Printed: medians over alternating rounds, and how many lines get the ids that Hugging Face
`tokenizers` gives them.
"""

import argparse
import gzip
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras_hub  # noqa: E402
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


def read(folder: pathlib.Path, names: tuple[str, ...], count: int) -> list[str]:
    """The first lines of files, `count` in all."""
    lines = []
    for name in names:
        text = gzip.decompress((folder / name).read_bytes()).decode()
        lines += [line for line in text.split("\n") if line.strip()][: count // len(names)]
    return lines


def epochs(tokenizer: object, lines: list[str]) -> Callable[[], list[tf.RaggedTensor]]:
    """A function that gives the next epoch of ids, in batches, from one running `tf.data`."""
    dataset = tf.data.Dataset.from_tensor_slices(lines).batch(BATCH)
    count = len(dataset)
    options = tf.data.Options()  # nothing runs ahead while the other side is timed
    options.autotune.enabled = False
    options.experimental_optimization.map_parallelization = False
    batches = iter(dataset.map(tokenizer.tokenize).repeat().with_options(options))
    return lambda: [next(batches) for _ in range(count)]


def compare(name: str, lines: list[str], files: tuple, rounds: int) -> dict[str, list[float]]:
    """Seconds of each side in each round."""
    ours = BytePairTokenizer(*files)
    theirs = keras_hub.tokenizers.BytePairTokenizer(
        vocabulary=files[0], merges=[f"{left} {right}" for left, right in files[1]]
    )
    print(f"{name}: {len(lines)} lines, {sum(map(len, lines)) / 1e6:.2f} M characters")
    sides = {"tflm": epochs(ours, lines), "KerasHub": epochs(theirs, lines)}
    found, cold = {}, {}
    for side, epoch in sides.items():
        began = time.perf_counter()
        found[side] = epoch()
        cold[side] = time.perf_counter() - began
        print(f"  {side} first epoch: {cold[side]:.2f} s")
    seconds = time_rounds(sides, rounds)
    library = tokenizers.Tokenizer(tokenizers.models.BPE(*files))
    library.pre_tokenizer = pre_tokenizer("gpt2")
    expected = [each.ids for each in library.encode_batch_fast(lines, add_special_tokens=False)]
    for side, batches in found.items():
        ids = [row for batch in batches for row in batch.to_list()]
        equal = sum(a == b for a, b in zip(ids, expected, strict=True))
        median = statistics.median(seconds[side])
        print(f"  {side:9s} {median:7.3f} s, {equal} lines with the ids of `tokenizers`")
    ratio = median_ratio(seconds["KerasHub"], seconds["tflm"])
    print(f"  KerasHub / tflm: warm {ratio:.1f}, first epoch {cold['KerasHub'] / cold['tflm']:.1f}")
    return seconds


def main() -> None:
    """Prints seconds and ratios for each corpus, and the ratio over all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    data = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get("TFLM_DATA", data))
    parser.add_argument("--lines", type=int, default=8192, help="of each corpus")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--require", type=float, default=0.0)
    parser.add_argument("--vocabulary", help="a folder with vocab.json and merges.txt")
    options = parser.parse_args()
    print(machine())
    corpora = {name: read(options.data, names, options.lines) for name, names in CORPORA.items()}
    with tempfile.TemporaryDirectory() as folder:
        if options.vocabulary is None:
            lines = (line for lines in corpora.values() for line in lines)
            BytePairTokenizer.train(lines, VOCAB_SIZE).save(folder)
        files = read_vocabulary(options.vocabulary or folder)
    totals = {"tflm": [0.0] * options.rounds, "KerasHub": [0.0] * options.rounds}
    for name, lines in corpora.items():
        for side, seconds in compare(name, lines, files, options.rounds).items():
            totals[side] = [a + b for a, b in zip(totals[side], seconds, strict=True)]
    ratio = median_ratio(totals["KerasHub"], totals["tflm"])
    print(f"all lines, KerasHub warm / tflm: {ratio:.1f}")
    sys.exit(0 if ratio >= options.require else 1)


if __name__ == "__main__":
    main()
