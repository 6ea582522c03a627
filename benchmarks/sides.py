"""A side of a comparison in a process of its own: another environment, other threads, no XLA.

The process is a script of `benchmarks/peers` (or any other): it builds its model, calls
`serve_rounds` and then runs what is timed whenever it is told. Between rounds it waits for a line
on its standard input and uses no processor, so sides can alternate though each holds its libraries.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_RESULT = "\u241e"  # what follows it in a line is ours; libraries print others


class Side:
    """A running script that `serve_rounds`, which it imports from `sides`.

    Args:
        name: for messages.
        command: the interpreter and the script.
        settings: what the script gets as its one argument, in JSON.
        env: its environment; `None`: this process's. `PYTHONPATH` is this folder in both.

    Raises:
        RuntimeError: the script ended; the message has the end of what it wrote.

    Example:
        >>> with Side("torch", [python, "benchmarks/peers/torch_decode.py"], settings) as side:
        ...     side.run(batch=4)
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        settings: Mapping[str, Any],
        env: Mapping[str, str] | None = None,
    ):
        self.name = name
        self.info: dict[str, Any] = {}
        self._last: list[str] = []
        self._process = subprocess.Popen(
            [*command, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            env=script_environment(env),
        )

    def __enter__(self) -> "Side":
        try:
            self.info = self._answer()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()

    def run(self, **settings: Any) -> dict[str, Any]:
        """One round; what the script's function returned, and `seconds` as the script saw them.

        Args:
            **settings: what the script's function gets in this round; what JSON can write.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, and `_answer` says how
            self._process.stdin.write(json.dumps(settings) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def peak_bytes(self) -> int:
        """The most memory that the process has held so far; 0 where the system does not say."""
        try:
            status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        return 1024 * int(found[1]) if found else 0

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            before, mark, answer = line.partition(_RESULT)
            if mark:
                return json.loads(answer)
            self._last = [*self._last[-20:], before]
        raise RuntimeError(f"{self.name} ended with {self._process.wait()}:\n{''.join(self._last)}")


def script_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment, by default this process's, in which a script finds the modules here."""
    here = str(pathlib.Path(__file__).resolve().parent)
    return {**(os.environ if env is None else env), "PYTHONPATH": here}


def serve_rounds(run: Callable[..., Any], info: Mapping[str, Any] | None = None) -> None:
    """In the script: says that it is ready, then calls `run` for every line of standard input.

    Args:
        run: what is timed, called with the settings of the round; it may return something that
            JSON can write.
        info: versions and sizes, `Side.info`.
    """
    _say(dict(info or {}))
    for line in sys.stdin:
        settings = json.loads(line)
        began = time.perf_counter()
        result = run(**settings)
        _say({"seconds": time.perf_counter() - began, "result": result})


def _say(message: dict[str, Any]) -> None:
    print(_RESULT + json.dumps(message, ensure_ascii=False), flush=True)
