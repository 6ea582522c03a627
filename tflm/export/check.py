"""Whether a stock TF Serving takes a SavedModel, whoever wrote it.

for finding in check("saved_models/translation"):
    print(finding.status, finding.rule, finding.message)
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

from tflm.export.op_versions import OpVersions
from tflm.export.rules import RULES, Finding
from tflm.export.saved_model_file import read

TARGETS = OpVersions.known().versions
_CARD = pathlib.Path("assets.extra", "model_card.json")


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
        targets: versions of TF Serving, "2.19" say; all of `TARGETS` by default, from the one on
            that the model's card asks for at least.
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
    if not targets:
        targets = _from(_least_version(model.path))
        if older := TARGETS[: len(TARGETS) - len(targets)]:
            message = f"Its card asks for TF Serving {targets[0]} or newer; not for {older[-1]}."
            yield Finding("targets", "warning", message)
    runs_python = False
    for rule in RULES:
        for finding in rule(model, targets):
            runs_python |= finding.rule == "python" and finding.status == "failure"
            yield finding
    if run and not runs_python:
        yield from _replayed(model.path, timeout)


def _least_version(directory: str | os.PathLike[str]) -> str:
    """The oldest version of TF Serving that a model's card asks for; "" where it asks for none."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        card = json.loads(pathlib.Path(directory, _CARD).read_text(encoding="utf-8"))
        return str(card.get("weights", {}).get("tf_serving", ""))
    return ""


def _from(version: str) -> Sequence[str]:
    """The targets from a version on; all of them where it is none of them."""
    return TARGETS[TARGETS.index(version) :] if version in TARGETS else TARGETS


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
