"""Adam whose update is one pass over a weight and its moments, where TensorFlow computes.

Keras writes Kingma & Ba's algorithm (2015, https://arxiv.org/abs/1412.6980, end of section 2) in
some fifteen operations, each of which reads and writes whole arrays. TensorFlow has the same
update, to the letter, as one kernel.
"""

from typing import Any

import keras
from keras import ops

IN_TENSORFLOW = keras.backend.backend() == "tensorflow"
if IN_TENSORFLOW:
    import tensorflow as tf


class FusedUpdate:
    """What makes an Adam of Keras fused: put it before `keras.optimizers.Adam` or `AdamW`.

    The gradients of a token that a batch has several times are added before they are squared, as
    the algorithm has it; Keras squares each by itself. On other backends, with `amsgrad`, and for
    weights that are not float32, Keras's own update stays.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one weight."""
        adam: Any = self
        if not IN_TENSORFLOW or adam.amsgrad or variable.dtype != "float32":
            super().update_step(gradient, variable, learning_rate)  # pyright: ignore
            return
        index = adam._get_variable_index(variable)
        step = ops.cast(adam.iterations + 1, "float32")
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(adam._momentums[index]),
            v=_handle(adam._velocities[index]),
            beta1_power=ops.power(adam.beta_1, step),
            beta2_power=ops.power(adam.beta_2, step),
            lr=ops.cast(learning_rate, "float32"),
            beta1=adam.beta_1,
            beta2=adam.beta_2,
            epsilon=adam.epsilon,
            grad=tf.convert_to_tensor(gradient, "float32"),
            use_locking=True,
        )


def _handle(variable: Any) -> Any:
    """The memory of a variable of Keras or, as Keras hands on what is trained, of TensorFlow."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


@keras.saving.register_keras_serializable("tflm")
class Adam(FusedUpdate, keras.optimizers.Adam):
    """`keras.optimizers.Adam`, fused: it takes, computes and keeps the same."""


@keras.saving.register_keras_serializable("tflm")
class AdamW(FusedUpdate, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` (Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101), fused.

    It takes, computes and keeps the same.
    """
