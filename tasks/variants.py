"""A task as it is written for serving: in float32, in bfloat16, or in eight bits."""

import dataclasses
from collections.abc import Callable
from typing import Any

from tflm.export import Int8Weights, num_bytes
from tflm.tasks.int8_products import Int8Products

INT8 = "int8"  # weights alone
W8A8 = "w8a8"  # weights and what is multiplied by them
_OLDEST_FOR_W8A8 = "2.17"  # of TF Serving's, that has its operations

_WHY_NOT_FROZEN = {
    INT8: "a server would make floats of constants when it loads the model, and keep them",
    W8A8: "it is as fast without",
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """What `variant_of` makes.

    Args:
        task: answers as what is written answers.
        float32: the same task in float32, where it is written in another dtype.
        dtype: of the weights, where it is not the task's.
        int8: what is in eight bits, where something is.
    """

    task: Any
    float32: Any = None
    dtype: str | None = None
    int8: Int8Weights | Int8Products | None = None

    def weights(self) -> dict[str, Any]:
        """What the card says: dtype, bytes beside float32's, and the server that they need."""
        numbers = sum(part.count_params() for part in self.task.parts.values())
        if self.int8 is not None:
            count, dtype = self.int8.num_bytes, self.dtype
        else:
            count = sum(num_bytes(weight) for weight in _weights(self.task))
            dtype = self.task.model.dtype_policy.variable_dtype
        found = {"dtype": dtype, "bytes": count, "float32_bytes": 4 * numbers}
        # For `tflm.export.check`.
        return found | ({"tf_serving": _OLDEST_FOR_W8A8} if self.dtype == W8A8 else {})

    def signatures(self, module: Any) -> dict[str, Callable]:
        """The functions of what the task serves, by name."""
        return module.signatures() if self.int8 is None else self.int8.serve(module)


def variant_of(task: Any, dtype: str | None, freeze: bool = False) -> Variant:
    """A task in the dtype that it is to be written in, with LoRA merged.

    Args:
        task: the task.
        dtype: "float32", "bfloat16", "int8" or "w8a8"; `None` for its own.
        freeze: whether the weights are to be constants.

    Raises:
        ValueError: `freeze` is asked for with eight bits.
    """
    if freeze and dtype in _WHY_NOT_FROZEN:
        raise ValueError(
            f"`freeze` must be false for {dtype}: {_WHY_NOT_FROZEN[dtype]}. "
            f"Received: freeze=True, dtype={dtype!r}"
        )
    own = task.model.dtype_policy.name
    if dtype in (None, own):
        return Variant(task.merged())
    if dtype == "float32":
        return Variant(task.to_dtype(dtype))
    float32 = task.merged() if own == "float32" else task.to_dtype("float32")
    if dtype not in (INT8, W8A8):
        return Variant(task.to_dtype(dtype), float32)
    rounded = task.to_dtype("float32")
    if dtype == W8A8:
        return Variant(rounded, float32, W8A8, Int8Products(list(rounded.parts.values())))
    int8 = Int8Weights(_weights(rounded))
    int8.round()
    return Variant(rounded, float32, INT8, int8)


def _weights(task: Any) -> list[Any]:
    return [weight for part in task.parts.values() for weight in part.weights]
