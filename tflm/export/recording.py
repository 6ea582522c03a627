"""Asks a written SavedModel, and records its answers as what a server warms up with."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tflm.export.saved_model_file import read
from tflm.export.session import Session
from tflm.export.warmup import Record, write_warmup

# Short and long, in several scripts, and nothing at all: the graphs of all of them are ready then.
WARMUP_TEXTS = (
    "How are you today?",
    "你今天好吗？",
    "The committee met in Zürich on 3 May 2021, read the report that had been sent to everyone in "
    "advance, and decided after two hours to ask for another one. Who will write it?",
    "",
)


def record_warmup(
    directory: str | os.PathLike[str], model: str, texts: Sequence[str] = WARMUP_TEXTS
) -> list[Record]:
    """Runs every signature of strings on some texts and writes what they were answered.

    Each text is asked alone, and all together; numbers beside the texts are 0. A signature that
    takes what another answers is asked with the first of its answers; what a client carries so from
    one to the other and does not read, a model's caches, is no part of recorded answers: it would
    be most of the file. The model is loaded from the disk into a session, as a server does, so a
    model that cannot be served fails here. Where the last answer is another one the second time,
    drawn at random say, requests are recorded without answers.

    Args:
        directory: the SavedModel's, in which the records go.
        model: the name under which it is served.
        texts: what is asked; with none, nothing is written.

    Returns:
        What was written.

    Raises:
        tf.errors.OpError: it cannot be loaded, or fails on a text.
    """
    saved = read(directory)
    session = Session(saved)
    records: list[Record] = []
    first: dict[str, Mapping[str, np.ndarray]] = {}  # what each signature answers first
    carried = {
        name
        for signature in saved.signatures().values()
        for name, info in signature.inputs.items()
        if len(info.tensor_shape.dim) > 2
    }

    def ask(name: str, requests: Sequence[Mapping[str, np.ndarray]]) -> None:
        answers = [session.run(name, inputs) for inputs in requests]
        first[name] = answers[0]
        same = _equal(answers[-1], session.run(name, requests[-1]))  # of all texts
        for inputs, outputs in zip(requests, answers, strict=True):
            told = {each: value for each, value in outputs.items() if each not in carried}
            records.append(Record(name, inputs, told if same else {}))

    later = {}
    for name, signature in saved.signatures().items():
        strings = [each for each, info in signature.inputs.items() if _is_strings(info)]
        numbers = {each: info for each, info in signature.inputs.items() if each not in strings}
        vectors = all(len(info.tensor_shape.dim) == 1 for info in numbers.values())
        if texts and strings and vectors:
            ask(name, [_with_zeros(each, numbers) for each in _requests(sorted(strings), texts)])
        else:
            later[name] = signature.inputs.keys()
    for name, wanted in later.items():
        given = next((each for each in first.values() if wanted and wanted <= each.keys()), None)
        if given is not None:
            ask(name, [{each: given[each] for each in wanted}])
    if records:
        write_warmup(directory, model, records)
    return records


def _is_strings(info: Any) -> bool:
    return info.dtype == tf.string.as_datatype_enum and len(info.tensor_shape.dim) == 1


def _requests(names: Sequence[str], texts: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
    """Each text alone, and all of them; another input begins with another text."""
    batches = [[text] for text in texts] + ([list(texts)] if len(texts) > 1 else [])
    encoded = [text.encode() for text in texts]
    for batch in batches:
        first = texts.index(batch[0])
        yield {
            name: np.array(
                [encoded[(first + shift + row) % len(texts)] for row in range(len(batch))], object
            )
            for shift, name in enumerate(names)
        }


def _with_zeros(
    request: Mapping[str, np.ndarray], numbers: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """A request with numbers of so many rows, 0 each."""
    rows = len(next(iter(request.values())))
    zeros = {
        name: np.zeros(rows, tf.as_dtype(info.dtype).as_numpy_dtype)
        for name, info in numbers.items()
    }
    return {**request, **zeros}


def _equal(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)
