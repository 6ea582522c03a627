"""The dtypes that are the fastest on this machine, for training and for serving."""

import os
from typing import NamedTuple

import tensorflow as tf

from tflm import machine
from tflm.tasks.base import Task

AUTO = "auto"
# Not float16, in which the gradients of a mean over thousands of tokens are 0 unless scaled.
TRAINING_DTYPES = (AUTO, "float32", "mixed_bfloat16", "bfloat16")
_LEAST_WIDTH = 256  # of networks that rounding each vector pays for: 1.2 to 1.3 times, at 128 none
_LEAST_CAPABILITY = (8, 0)  # of a GPU that multiplies bfloat16


class Choice(NamedTuple):
    """A dtype, and why it is that."""

    dtype: str
    why: str


def num_threads() -> int:
    """How many threads TensorFlow computes an operation with: as was set, or all processors."""
    if number := tf.config.threading.get_intra_op_parallelism_threads():
        return number
    number = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return int(number) if number.isdigit() and int(number) else machine.num_cpus()


def training_dtype() -> Choice:
    """The dtype policy to train with: mixed bfloat16 where its products are the faster ones."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        least = min(each.get("compute_capability", (0, 0)) for each in details)
        able, what = least >= _LEAST_CAPABILITY, "the GPU"
    else:
        able, what = machine.multiplies_bfloat16(), "the processor"
    if able:
        return Choice("mixed_bfloat16", f"{what} multiplies bfloat16")
    return Choice("float32", f"{what} is not known to multiply bfloat16 faster")


def serving_dtype(task: Task, freeze: bool = False) -> Choice:
    """The dtype to export with, as `Task.export` takes it, for a server like this machine.

    A task that writes text is served in eight bits where the processor has dot products of them
    and the network is wide enough: each token takes all weights, and what is written hardly
    changes. What answers in one pass, with scores, stays in float32, and so does what runs on a
    GPU, which has no such operation.

    Args:
        task: the task.
        freeze: whether its weights are to be constants, which those of eight bits can not be.
    """
    if not hasattr(task, "strategy"):
        return Choice("float32", "its scores are to stay as they were evaluated")
    if not type(task.model).__module__.startswith("tflm."):
        return Choice("float32", "the network is not one of this package")
    if tf.config.list_physical_devices("GPU"):
        return Choice("float32", "there is a GPU")
    if freeze:
        if machine.multiplies_bfloat16():
            return Choice("bfloat16", "the processor multiplies it, and eight bits are not frozen")
        return Choice("float32", "eight bits are not frozen")
    if getattr(task.model.config, "hidden_dim", 0) < _LEAST_WIDTH:
        return Choice("float32", f"eight bits pay from a width of {_LEAST_WIDTH} on")
    if machine.multiplies_int8():
        return Choice(
            "w8a8",
            "the processor has dot products of eight bits; TF Serving 2.17 or newer has them",
        )
    return Choice("float32", "the processor is not known to multiply anything smaller faster")
