"""Low-rank adaptation (LoRA) for layers whose matrices are not in a Keras layer.

Hu et al. 2021, https://arxiv.org/abs/2106.09685, equation 3: `W + s A B` in the place of a matrix
`W` `(D, U)`, with `A` `(D, r)`, `B` `(r, U)` and `s` the number alpha over `r`.
"""

from typing import Any, ClassVar

import keras
from keras import ops


class LowRank(keras.layers.Layer):
    """A layer that LoRA adapts as it adapts `keras.layers.Dense`, by the same attributes.

    A subclass adds what `low_rank` returns where it multiplies by one of its matrices.

    Attributes:
        MATRICES: names of its weights `W`.
    """

    MATRICES: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.lora_enabled = False
        self.lora_rank: Any = None
        self.lora_alpha: Any = None

    def enable_lora(self, rank: int, lora_alpha: float | None = None) -> None:
        """Adds `A` and `B`, which is zeros, for each matrix of the built layer.

        Args:
            rank: `r`.
            lora_alpha: `s` times `r`; `r` by default.
        """
        self._tracker.unlock()  # Keras adds no weight after `build`
        for name in self.MATRICES:
            rows, columns = getattr(self, name).shape
            parts = {"a": ((rows, rank), "he_uniform"), "b": ((rank, columns), "zeros")}
            for part, (shape, initializer) in parts.items():
                added = f"lora_{name}_{part}"
                weight = self.add_weight(
                    shape=shape, initializer=initializer, dtype="float32", name=added
                )
                setattr(self, added, weight)
        self._tracker.lock()
        self.lora_enabled, self.lora_rank, self.lora_alpha = True, rank, lora_alpha or rank

    def low_rank(self, name: str, dtype: str = "float32") -> tuple[Any, Any]:
        """`A` `(D, r)` and `s B` `(r, U)` of a matrix, of a layer that has LoRA."""
        a, b = (ops.convert_to_tensor(getattr(self, f"lora_{name}_{part}")) for part in "ab")
        return ops.cast(a, dtype), ops.cast(self.lora_alpha / self.lora_rank * b, dtype)
