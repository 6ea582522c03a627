"""How time and memory grow in decoding, training, tokenizers, data pipelines and exports.

    python benchmarks/growth.py --check --out growth.json
    python benchmarks/growth.py decode export --preset transformer/tiny --layers 1 --lengths 16 64

| question | its table |
|---|---|
| decode | time of a written token against how many are written, and against the batch |
| training | time and peak memory of an update against the length, with as many tokens a batch |
| tokenization | characters a second of each tokenizer against the length of a text |
| pipeline | time of making batches of text against the time of updates with them |
| export | size on disk, time to load and to the first answer, peak memory, by kind of export |

Weights are random, what is written has exactly the length (`min_length` = `max_length`), decoding
is greedy. Each question, update length and export has a process of its own; peak memory is the
process's, libraries and compilation included. Times are medians over `--rounds`.
"""

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from growth_models import HERE, SHORT, WORKS, Rows, decode, export, training  # noqa: E402
from growth_text import pipeline, tokenization  # noqa: E402
from rounds import machine  # noqa: E402

LONG, MOST = 1024, 2.5  # time of a token where so many are written to `SHORT`, at most
QUESTIONS: dict[str, Callable[[argparse.Namespace], dict[str, Rows]]] = {
    each.__name__: each for each in (decode, training, tokenization, pipeline, export)
}


def show(title: str, rows: Rows) -> None:
    """Prints a table."""

    def text(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
        return f"{value:,}" if isinstance(value, int) else value

    lines = [list(rows[0]), *([text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(title)
    for line in lines:
        cells = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        print("  " + "  ".join(cells), flush=True)


def growth_of_steps(rows: Rows) -> float | None:
    """Time of a token at `LONG` to that at `SHORT`, where both were measured."""
    steps = {row["written"]: row["ms a step"] for row in rows}
    return steps[LONG] / steps[SHORT] if steps.keys() >= {SHORT, LONG} else None


def parse() -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("questions", nargs="*", metavar="question", help=f"of {', '.join(QUESTIONS)}; else all")
    add("--rounds", type=int, default=3)
    doubled = [2**power for power in range(11)]
    add("--lengths", type=int, nargs="+", default=doubled[4:], help="of decoding and training")
    add("--batches", type=int, nargs="+", default=doubled[:9], help="of decoding")
    add("--batch", type=int, default=8, help="of decoding against length, and of exports")
    add("--preset", default="transformer/base", help="an encoder-decoder that decodes, is exported")
    add("--layers", type=int, help="of each side, instead of the preset's and the workload's")
    add("--vocabulary", type=int, default=32_000, help="of the preset")
    add("--workload", choices=WORKS, default="tiny", help="of training")
    add("--tokens", type=int, default=4096, help="a batch of training and of the pipeline")
    data = HERE.parents[1] / "shared" / "data"
    add("--data", type=pathlib.Path, default=os.environ.get("TFLM_DATA", data), metavar="FOLDER")
    add("--lines", type=int, default=8000, help="of a file, for tokenizers and the pipeline")
    add("--pieces", type=int, default=8000, help="vocabulary of tokenizers and of the pipeline")
    add("--joined", type=int, nargs="+", default=(1, 8, 64), help="lines a text, for tokenizers")
    add("--updates", type=int, default=32, help="of the pipeline, in a round")
    add("--check", action="store_true", help=f"fail where decoding grows over {MOST} times")
    add("--out", type=pathlib.Path, metavar="FILE", help="the tables as JSON")
    options = parser.parse_args()
    options.data = pathlib.Path(options.data)
    if unknown := set(options.questions) - QUESTIONS.keys():
        parser.error(f"question must be one of {', '.join(QUESTIONS)}. Received: {unknown}")
    return options


def main() -> None:
    """Prints the tables, and how much the time of a token grows."""
    options = parse()
    print(machine(), flush=True)
    results: dict[str, Any] = {"machine": machine()}
    met = True
    for name in options.questions or QUESTIONS:
        tables = QUESTIONS[name](options)
        results |= tables
        for title, rows in tables.items():
            show(title, rows)
        if name == "decode":
            grown = growth_of_steps(tables["decoding against length"])
            met = grown is not None and grown <= MOST
            said = "not measured" if grown is None else f"{grown:.2f}"
            print(f"  {LONG} / {SHORT} tokens, time of each: {said}, wanted {MOST} at most")
            results["decoding growth"] = grown
        if options.out:
            beside = options.out.with_name(f"{options.out.name}.new")
            beside.write_text(json.dumps(results, indent=2, ensure_ascii=False), encoding="utf-8")
            beside.replace(options.out)
    sys.exit(0 if met or not options.check else 1)


if __name__ == "__main__":
    main()
