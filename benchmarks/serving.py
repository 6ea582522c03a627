"""What batching across requests brings: `tflm serve` with and without, asked by one and by many.

    python benchmarks/serving.py

A `transformer/tiny` translation with random weights, greedy, exactly 32 new tokens for each of the
texts, a text a request over REST. One server runs each request on its own, the other puts requests
together. Both run in processes of their own, without XLA, and are asked in alternating rounds: by
one client that waits for each answer, and by many at the same time. Printed: medians, and ratios;
and how long the first request to a new server takes, beside the median of those after it.
"""

import argparse
import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from rounds import machine, median_ratio, time_rounds  # noqa: E402

NEW_TOKENS, SOURCE_WORDS, VOCAB_SIZE, MODEL = 32, 12, 900, "translation"
SERVE = "from tflm.cli import main; main()"
PARAMETERS = """
max_batch_size {{ value: {clients} }}
batch_timeout_micros {{ value: 5000 }}
num_batch_threads {{ value: 1 }}
"""


def sentences(count: int) -> list[str]:
    """Made up of words of one to eight letters, the same at each call."""
    chance = random.Random(0)
    words = ["".join(chance.choices("etaoinsh", k=chance.randint(1, 8))) for _ in range(2000)]
    return [" ".join(chance.choices(words, k=SOURCE_WORDS)) for _ in range(count)]


def export(directory: pathlib.Path) -> None:
    """Writes the model, which warms itself up."""
    from tflm import models
    from tflm.generation import Greedy, Limits
    from tflm.tasks import Translation
    from tflm.tokenizers import SentencePieceTokenizer

    tokenizer = SentencePieceTokenizer.train(iter(sentences(2000)), VOCAB_SIZE)
    network, config = models.find("transformer/tiny")
    config = dataclasses.replace(config, vocab_size=tokenizer.vocab_size)
    limits = Limits(max_length=NEW_TOKENS, min_length=NEW_TOKENS)
    Translation(network(config), tokenizer, strategy=Greedy(), limits=limits).export(
        directory / MODEL
    )


@contextlib.contextmanager
def served(directory: pathlib.Path, *options: str) -> Iterator[int]:
    """A server's REST port; the server ends with the block."""
    command = [sys.executable, "-c", SERVE, "serve", str(directory), *options]
    command += ["--rest-api-port", "0", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        line = next(line for line in process.stdout if "ready" in line)
        yield int(line.split(",")[0].rpartition(":")[2])
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def ask_all(port: int, texts: list[str], clients: int) -> None:
    """Asks for each text, as so many clients, each on a connection of its own."""

    def ask(mine: list[str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        for text in mine:
            body = json.dumps({"instances": [text]})
            connection.request("POST", f"/v1/models/{MODEL}:predict", body)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == 200, content
        connection.close()

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, [texts[start::clients] for start in range(clients)]))


def first_to_median(directory: pathlib.Path, texts: list[str]) -> float:
    """How many times as long as the median the first request to a new server takes."""
    seconds = []
    with served(directory) as port:
        for text in texts:
            began = time.perf_counter()
            ask_all(port, [text], 1)
            seconds.append(time.perf_counter() - began)
    return seconds[0] / statistics.median(seconds)


def main() -> None:
    """Prints requests a second of each side and the ratios to one request at a time."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clients", type=int, default=32, help="that ask at the same time")
    parser.add_argument("--requests", type=int, default=128, help="of a side in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--require", type=float, default=0.0, help="least of the last ratio, of batching to one"
    )
    options = parser.parse_args()
    print(machine())
    texts = sentences(options.requests)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = pathlib.Path(name)
        export(directory / "models")
        first = [first_to_median(directory / "models", texts) for _ in range(options.rounds)]
        parameters = directory / "batching.pbtxt"
        parameters.write_text(PARAMETERS.format(clients=options.clients))
        batching = ["--enable-batching", "--batching-parameters-file", str(parameters)]
        plain = stack.enter_context(served(directory / "models"))
        batched = stack.enter_context(served(directory / "models", *batching))
        sides: dict[str, Callable[[], None]] = {
            "one request at a time": lambda: ask_all(plain, texts, 1),
            f"{options.clients} clients": lambda: ask_all(plain, texts, options.clients),
            f"{options.clients} clients, batching": lambda: ask_all(
                batched, texts, options.clients
            ),
        }
        seconds = time_rounds(sides, options.rounds)
    for side, times in seconds.items():
        print(f"  {side:32s} {options.requests / statistics.median(times):8.1f} requests a second")
    print(f"  first request / median: {', '.join(f'{each:.2f}' for each in first)}")
    one, *others = seconds
    ratio = 0.0
    for side in others:
        ratio = median_ratio(seconds[one], seconds[side])
        print(f"  {one} / {side}: {ratio:.2f}", flush=True)
    sys.exit(0 if ratio >= options.require else 1)


if __name__ == "__main__":
    main()
