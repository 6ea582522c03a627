"""A task as it is written for serving: in float32, in bfloat16, or with weights in eight bits."""

import dataclasses
from collections.abc import Callable
from typing import Any

from tflm.export import Int8Weights, num_bytes

INT8 = "int8"


@dataclasses.dataclass(frozen=True)
class Variant:
    """What `variant_of` makes.

    Args:
        task: answers as what is written answers.
        float32: the same task in float32, where it is written in another dtype.
        int8: its weights in eight bits, where they are written so.
    """

    task: Any
    float32: Any = None
    int8: Int8Weights | None = None

    def weights(self) -> dict[str, Any]:
        """What the card says of the weights: their dtype, and bytes beside float32's."""
        weights = _weights(self.task)
        count = sum(num_bytes(weight) for weight in weights)
        if self.int8 is not None:
            return {"dtype": INT8, "bytes": self.int8.num_bytes, "float32_bytes": count}
        dtype = self.task.model.dtype_policy.variable_dtype
        numbers = sum(part.count_params() for part in self.task.parts.values())
        return {"dtype": dtype, "bytes": count, "float32_bytes": 4 * numbers}

    def signatures(self, module: Any) -> dict[str, Callable]:
        """The functions of what the task serves, by name."""
        return module.signatures() if self.int8 is None else self.int8.serve(module)


def variant_of(task: Any, dtype: str | None, freeze: bool = False) -> Variant:
    """A task in the dtype that it is to be written in, with LoRA merged.

    Args:
        task: the task.
        dtype: "float32", "bfloat16" or "int8"; `None` for its own.
        freeze: whether the weights are to be constants.

    Raises:
        ValueError: `freeze` is asked for with "int8".
    """
    if freeze and dtype == INT8:
        raise ValueError(
            "`freeze` must be false for int8: a server would make floats of constants when it "
            "loads the model, and keep them. Received: freeze=True, dtype='int8'"
        )
    own = task.model.dtype_policy.name
    if dtype in (None, own):
        return Variant(task.merged())
    if dtype == "float32":
        return Variant(task.to_dtype(dtype))
    float32 = task.merged() if own == "float32" else task.to_dtype("float32")
    if dtype != INT8:
        return Variant(task.to_dtype(dtype), float32)
    rounded = task.to_dtype("float32")
    int8 = Int8Weights(_weights(rounded))
    int8.round()
    return Variant(rounded, float32, int8)


def _weights(task: Any) -> list[Any]:
    return [weight for part in task.parts.values() for weight in part.weights]
