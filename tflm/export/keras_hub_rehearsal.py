"""What KerasHub's `generate` does around its network: found out by running it without one.

Tasks differ in what begins and ends their texts, at which ids they stop and which they leave out of
the text in the end, and some say so only inside their own `generate`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Rehearsal(NamedTuple):
    """What goes into a network, and what becomes of what it writes.

    Args:
        inputs: arrays by name, as `generate_step` takes them.
        stop_ids: ids at which a text ends.
        texts: what becomes of the ids that were written.
    """

    inputs: dict[str, np.ndarray]
    stop_ids: list[int]
    texts: list[str]


def rehearse(
    task: Any,
    texts: Sequence[str],
    max_length: int | None = None,
    written: Mapping[str, np.ndarray] | None = None,
) -> Rehearsal:
    """Runs a task's `generate` with something else in place of its network.

    Args:
        task: a `CausalLM` or a `Seq2SeqLM` of KerasHub.
        texts: prompts.
        max_length: as `generate` takes it.
        written: what the network answers, arrays by name; by default what it is given.

    Raises:
        ValueError: `generate` takes no texts alone.
    """
    seen: list[tuple[Any, Any]] = []

    def step(inputs: Any, stop_token_ids: Any = None) -> Any:
        seen.append((inputs, stop_token_ids))
        return dict(inputs if written is None else written)

    own = task.generate_function
    task.generate_function = step
    try:
        answers = task.generate(list(texts), max_length=max_length)
        ((inputs, stop_ids),) = seen
    except Exception as error:  # whatever the preprocessors of images and sounds may miss
        raise ValueError(
            "`task` must write text from text alone; one that reads images, sound or another model "
            f"besides cannot be served. Received: {type(task).__name__}, whose `generate` of texts "
            f"fails with {type(error).__name__}: {error}"
        ) from error
    finally:
        task.generate_function = own
    arrays = {name: np.asarray(value) for name, value in inputs.items() if value is not None}
    return Rehearsal(arrays, [int(number) for number in stop_ids], [*answers])
