"""What the machine can do at most: products of matrices through TensorFlow, and reading memory.

    python benchmarks/limits.py

A network cannot decode faster than its products at this rate, nor than its weights are read once a
step. Printed: the best of several calls.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

DTYPES = ("float32", "bfloat16")


def best_seconds(call: Callable[[], object], calls: int) -> float:
    """The least time of a call, after one that is not timed."""
    call()
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def product_rate(dtype: str, size: int, calls: int) -> float:
    """Floating-point operations a second of the product of two square matrices."""
    import tensorflow as tf  # here, so that who only describes rates does not wait for it

    random = tf.random.Generator.from_seed(0)
    left, right = (tf.cast(random.normal((size, size)), dtype) for _ in range(2))
    product = tf.function(lambda: tf.matmul(left, right)[0, 0])
    return 2.0 * size**3 / best_seconds(lambda: product().numpy(), calls)


def read_rate(megabytes: int, calls: int) -> float:
    """Bytes a second of the sum of an array that no cache holds."""
    import tensorflow as tf

    array = tf.ones(megabytes * 2**20 // 4, tf.float32)
    return megabytes * 2**20 / best_seconds(lambda: tf.reduce_sum(array).numpy(), calls)


def measure(size: int = 2048, megabytes: int = 512, calls: int = 7) -> dict[str, float]:
    """Rates by name: `float32` and `bfloat16` in operations a second, `memory` in bytes."""
    rates = {dtype: product_rate(dtype, size, calls) for dtype in DTYPES}
    return {**rates, "memory": read_rate(megabytes, calls)}


def measured_apart(**variables: str) -> dict[str, float]:
    """`measure` in a process of its own, with variables of the environment that are not set yet."""
    command = [sys.executable, __file__, "--json"]
    variables = {**variables, **os.environ}
    done = subprocess.run(command, env=variables, check=True, capture_output=True)
    return json.loads(done.stdout)


def described(rates: dict[str, float]) -> str:
    """The rates in a line."""
    products = ", ".join(f"{dtype} {rates[dtype] / 1e9:.0f} GFLOP/s" for dtype in DTYPES)
    return f"products {products}; memory read at {rates['memory'] / 1e9:.1f} GB/s"


def main() -> None:
    """Prints the rates."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=2048, help="of the square matrices")
    parser.add_argument("--megabytes", type=int, default=512, help="of the array that is read")
    parser.add_argument("--calls", type=int, default=7, help="of which the best counts")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    rates = measure(options.size, options.megabytes, options.calls)
    print(json.dumps(rates) if options.json else described(rates))


if __name__ == "__main__":
    main()
