"""Fine-tuning of networks that know something already: lower layers change less, and later.

    optimizer = LayerwiseAdamW(2e-5, depths(task.parts), layer_decay=0.9)
    task.compile(optimizer)
    task.fit(rows, epochs=4, callbacks=[GradualUnfreezing(optimizer)])

Howard & Ruder 2018, https://arxiv.org/abs/1801.06146 (ULMFiT), sections 3.2 and 3.3. To leave a
network as it is, `task.model.trainable = False` before `compile` is all it takes.
"""

import re
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tflm.training.fused_adam import FusedUpdate

_NUMBERED = re.compile(r"(.*)_(\d+)$")  # block_3, decoder_block_0, forward_1
NOT_DECAYED = ("bias", "scale", "offset")


def depths(parts: Mapping[str, Any]) -> dict[str, int]:
    """How far above the input each weight lies.

    Args:
        parts: built models or layers by prefix, the network first and then what stands on it, as
            a task's `parts`.

    Returns:
        A number by the weight's path: 0 for embeddings, then one more for each block; what comes
        after the last block is as deep as it is; each further part is one more.
    """
    found: dict[str, int] = {}
    for part in parts.values():
        bottom = max(found.values(), default=-1) + 1
        names = {
            weight.path: weight.path.removeprefix(f"{part.name}/").partition("/")[0]
            for weight in part.weights
        }
        levels = _levels(list(names.values()))
        found |= {path: bottom + levels[name] for path, name in names.items()}
    return found


def _levels(names: list[str]) -> dict[str, int]:
    """The level of each layer of a network, whose names come in the order in which it reads."""
    numbered = {name: match for name in names if (match := _NUMBERED.match(name))}
    encoders = {int(m[2]) for m in numbered.values() if m[1].startswith("encoder")}
    levels: dict[str, int] = {}
    top = 0
    for name in names:
        match = numbered.get(name)
        if match is not None:
            after = len(encoders) if match[1].startswith("decoder") else 0
            levels[name] = after + int(match[2]) + 1
            top = max(top, levels[name])
        else:
            levels.setdefault(name, top)
    return levels


@keras.saving.register_keras_serializable("tflm")
class LayerwiseAdamW(FusedUpdate, keras.optimizers.Adam):
    """AdamW whose learning rate is smaller the deeper a layer lies, its decay of weights as well.

    Biases and normalisation are not decayed.

    Args:
        learning_rate: of the topmost layer: a number or a schedule.
        depths: see `depths`.
        layer_decay: from one layer to the one below it, what the rate is multiplied by.
        weight_decay: times the layer's learning rate, what each update takes from a weight.
        **kwargs: passed to `keras.optimizers.Adam`.

    Attributes:
        lowest: weights below this depth stay as they are; 0 at first.

    Raises:
        ValueError: `layer_decay` is not above 0 and at most 1.
    """

    def __init__(
        self,
        learning_rate: Any,
        depths: Mapping[str, int],
        layer_decay: float = 0.9,
        weight_decay: float = 0.01,
        **kwargs: Any,
    ):
        if not 0.0 < layer_decay <= 1.0:
            raise ValueError(
                f"`layer_decay` must be above 0 and at most 1. Received: layer_decay={layer_decay}"
            )
        super().__init__(learning_rate, **kwargs)
        self.depths = dict(depths)
        self.layer_decay = layer_decay
        self.decoupled_decay = weight_decay
        self.lowest = keras.Variable(0, dtype="int32", trainable=False, name="lowest")
        self._layers: list[tuple[int, bool]] = []  # of each weight: depth, whether it decays

    @property
    def top(self) -> int:
        """The depth of the topmost layer."""
        return max(self.depths.values(), default=0)

    def build(self, variables: list[Any]) -> None:
        """Makes the state for the weights."""
        super().build(variables)
        self._layers = [
            (self.depths.get(each.path, self.top), each.name not in NOT_DECAYED)
            for each in variables
        ]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one weight."""
        depth, decays = self._layers[self._get_variable_index(variable)]
        moves = ops.cast(depth >= self.lowest.value, "float32")
        rate = learning_rate * moves * self.layer_decay ** (self.top - depth)
        if self.decoupled_decay and decays:
            taken = ops.cast(rate * self.decoupled_decay, variable.dtype)
            self.assign_sub(variable, variable * taken)
        super().update_step(gradient, variable, rate)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "depths": self.depths,
            "layer_decay": self.layer_decay,
            "weight_decay": self.decoupled_decay,
        }


class GradualUnfreezing(keras.callbacks.Callback):
    """The topmost layer learns first, and every few epochs the next one below joins it.

    Args:
        optimizer: that the model is compiled with.
        epochs_per_layer: epochs until the next layer joins.

    Raises:
        ValueError: `epochs_per_layer` is less than 1.
    """

    def __init__(self, optimizer: LayerwiseAdamW, epochs_per_layer: int = 1):
        super().__init__()
        if epochs_per_layer < 1:
            raise ValueError(
                "`epochs_per_layer` must be at least 1. "
                f"Received: epochs_per_layer={epochs_per_layer}"
            )
        self.optimizer = optimizer
        self.epochs_per_layer = epochs_per_layer

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Lets one more layer learn where it is time."""
        lowest = self.optimizer.top - epoch // self.epochs_per_layer
        self.optimizer.lowest.assign(max(lowest, 0))
