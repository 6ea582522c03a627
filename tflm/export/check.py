"""Whether a stock TF Serving takes a SavedModel, whoever wrote it.

for finding in check("saved_models/translation"):
    print(finding.status, finding.rule, finding.message)
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

from tflm.export.op_versions import OpVersions
from tflm.export.rules import RULES, Finding
from tflm.export.saved_model_file import read

TARGETS = OpVersions.known().versions


def check(
    directory: str | os.PathLike[str],
    targets: Sequence[str] = (),
    *,
    run: bool = True,
    timeout: float = 600.0,
) -> Iterator[Finding]:
    """Checks a SavedModel, rule by rule.

    First its file is read against the rules of `tflm.export.rules`. Then it is loaded and asked in
    a process of its own, as the server would (`tflm.export.replay`), unless it calls back into
    Python: nothing of a model's Python is ever run.

    Args:
        directory: a SavedModel, or a model's directory, of which the newest version is checked.
        targets: versions of TF Serving, "2.19" say; all of `TARGETS` by default.
        run: whether to load it.
        timeout: seconds that loading and asking may take.

    Yields:
        What each rule finds, at least one finding a rule.

    Raises:
        FileNotFoundError: there is no SavedModel.
        ValueError: it is damaged, or a target is not known.
    """
    for target in targets:
        if target not in TARGETS:
            raise ValueError(
                f"`target` must be one of {', '.join(TARGETS)}. Received: target={target!r}"
            )
    model = read(directory)
    runs_python = False
    for rule in RULES:
        for finding in rule(model, targets or TARGETS):
            runs_python |= finding.rule == "python" and finding.status == "failure"
            yield finding
    if run and not runs_python:
        yield from _replayed(model.path, timeout)


def _replayed(directory: os.PathLike[str], timeout: float) -> Iterator[Finding]:
    """What a fresh process finds."""
    command = [sys.executable, "-m", "tflm.export.replay", str(directory)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        yield Finding("reload", "failure", f"It was not loaded and asked in {timeout:g} seconds.")
        return
    for line in done.stdout.splitlines():
        yield Finding(**json.loads(line))
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2]
        message = f"The process that loaded it ended with status {done.returncode}: {said}"
        yield Finding("reload", "failure", message)
