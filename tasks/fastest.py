"""The dtypes that are the fastest on this machine, for training and for serving."""

from typing import NamedTuple

from tflm import machine
from tflm.tasks.base import Task

AUTO = "auto"
_LEAST_CAPABILITY = (8, 0)  # of a GPU that multiplies bfloat16


class Choice(NamedTuple):
    """A dtype, and why it is that."""

    dtype: str
    why: str


def training_dtype() -> Choice:
    """The dtype policy to train with: mixed bfloat16 where its products are the faster ones."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        least = min(each.get("compute_capability", (0, 0)) for each in details)
        able, what = least >= _LEAST_CAPABILITY, "the GPU"
    else:
        able, what = machine.multiplies_bfloat16(), "the processor"
    if able:
        return Choice("mixed_bfloat16", f"{what} multiplies bfloat16")
    return Choice("float32", f"{what} does not multiply bfloat16")


def serving_dtype(task: Task, freeze: bool = False) -> Choice:
    """The dtype to export with, as `Task.export` takes it, for a server like this machine.

    A task that writes text is served in eight bits where the processor has dot products of them:
    each token takes all weights, and what is written hardly changes. What answers in one pass, with
    scores, stays in float32.

    Args:
        task: the task.
        freeze: whether its weights are to be constants, which those of eight bits can not be.
    """
    if not hasattr(task, "strategy"):
        return Choice("float32", "its scores are to stay as they were evaluated")
    if not type(task.model).__module__.startswith("tflm."):
        return Choice("float32", "the network is not one of this package")
    if freeze and machine.multiplies_bfloat16():
        return Choice("bfloat16", "the processor multiplies it, and constants it has at hand")
    if freeze or not machine.multiplies_int8():
        return Choice("float32", "the processor multiplies nothing smaller faster")
    return Choice("w8a8", "the processor has dot products of eight bits, as TF Serving 2.17 uses")
