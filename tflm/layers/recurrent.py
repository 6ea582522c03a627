"""Recurrent layers: LSTM (Hochreiter & Schmidhuber 1997) and GRU (Cho et al. 2014).

A step is written once. A layer runs it along a whole sequence, and a decoder's cache is the state
between two calls: reading a text at once or token by token is the same computation.

`N` rows, `T` length, `D` input width, `U` units.
"""

import itertools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tflm.layers.low_rank import LowRank

State = tuple[Any, ...]


def unroll(
    step: Callable[[Any, Any], Any], state: Any, inputs: Any, reverse: bool = False
) -> tuple[Any, Any]:
    """Runs `step(state, inputs at t) -> state` along the time axis.

    Args:
        step: keeps the structure, shapes and dtypes of the state.
        state: nest of tensors `(N, ...)`.
        inputs: nest of tensors `(N, T, w)` of one dtype.
        reverse: from the last position to the first.

    Returns:
        The state after every position, a nest of `(N, T, ...)`, and the state after all.
    """
    leaves = keras.tree.flatten(inputs)
    if leaves[0].shape[1] == 1:  # a decoding step needs no loop
        state = step(state, keras.tree.map_structure(lambda x: x[:, 0], inputs))
        return keras.tree.map_structure(lambda x: x[:, None], state), state
    ends = list(itertools.accumulate(x.shape[-1] for x in leaves))

    def body(state: Any, now: Any) -> tuple[Any, Any]:
        parts = ops.split(now, ends[:-1], axis=-1) if len(ends) > 1 else [now]
        state = step(state, keras.tree.pack_sequence_as(inputs, parts))
        return state, state

    # In one tensor: Keras 3.15 scans no more than one where a graph does not know `T`.
    whole = leaves[0] if len(leaves) == 1 else ops.concatenate(leaves, axis=-1)
    state, states = ops.scan(body, state, ops.swapaxes(whole, 0, 1), reverse=reverse)
    return keras.tree.map_structure(lambda x: ops.swapaxes(x, 0, 1), states), state


class _Recurrent(LowRank):
    """What both cells share: weights, the loop, what padding and a new text do to the state."""

    MATRICES = ("kernel", "recurrent_kernel")
    num_states = 1  # tensors in a state, the output first
    num_gates = 1  # blocks of width `U` that an input is projected to

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        width = self.num_gates * self.units
        self.kernel = self.add_weight(
            shape=(input_shape[-1], width), initializer="glorot_uniform", name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, width), initializer=_orthogonal, name="recurrent_kernel"
        )
        self.bias = self.add_weight(shape=(width,), initializer=self._biases, name="bias")

    def _biases(self, shape: Any, dtype: Any = None) -> Any:
        return ops.zeros(shape, dtype)

    def _weight(self, variable: Any, first: int = 0, last: int | None = None) -> Any:
        """Columns of a weight in the compute dtype.

        Cast inside the loop, so that the gradients of all positions add up in float32.
        """
        return ops.cast(ops.convert_to_tensor(variable)[..., first:last], self.compute_dtype)

    def _times(self, x: Any, name: str, first: int = 0, last: int | None = None) -> Any:
        """`x` times columns of a matrix."""
        product = ops.matmul(x, self._weight(getattr(self, name), first, last))
        if self.lora_enabled:
            a, b = self.low_rank(name, self.compute_dtype)
            product = product + ops.matmul(ops.matmul(x, a), b[:, first:last])
        return product

    def empty_state(self, batch_size: Any) -> State:
        """The state before the first token: zeros, `(N, U)` each."""
        zeros = ops.zeros((batch_size, self.units), self.compute_dtype)
        return (zeros,) * self.num_states

    def project(self, x: Any) -> Any:
        """What the input adds to every gate, for all positions in one product: `(..., G * U)`."""
        flat = ops.reshape(x, (-1, self.kernel.shape[0]))
        flat = self._times(ops.cast(flat, self.compute_dtype), "kernel")
        flat = flat + self._weight(self.bias)
        return ops.reshape(flat, (*ops.shape(x)[:-1], self.num_gates * self.units))

    def step(self, projected: Any, state: State) -> State:
        """One position: what `project` gave, `(N, G * U)`, and the state before -> the state."""
        raise NotImplementedError

    def call(
        self,
        x: Any,
        state: State | None = None,
        padding_mask: Any = None,
        starts: Any = None,
        reverse: bool = False,
    ) -> tuple[Any, State]:
        state = self.empty_state(ops.shape(x)[0]) if state is None else tuple(state)
        inputs = {"projected": self.project(x)}  # (N, T, G * U)
        if padding_mask is not None:
            inputs["real"] = ops.cast(padding_mask, self.compute_dtype)[..., None]  # (N, T, 1)
        if starts is not None:
            inputs["starts"] = ops.cast(starts, self.compute_dtype)[..., None]  # (N, T, 1)

        def step(before: State, now: dict[str, Any]) -> State:
            if starts is not None:
                before = tuple(part * (1 - now["starts"]) for part in before)
            after = self.step(now["projected"], before)
            if padding_mask is not None:
                parts = zip(after, before, strict=True)
                after = tuple(ops.where(now["real"] > 0, new, old) for new, old in parts)
            return after

        states, after = unroll(step, state, inputs, reverse)
        return states[0], after


class LSTM(_Recurrent):
    """Long short-term memory with a forget gate (Gers et al. 2000), without peepholes.

        i, f, g, o = x W + h R + b          b of f is 1 at first (Jozefowicz et al. 2015)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)

    Args:
        units: `U`.

    Call arguments:
        x: `(N, T, D)`.
        state: `(h, c)`, `(N, U)` each; zeros by default.
        padding_mask: boolean `(N, T)`; where False, the state stays as it is.
        starts: boolean `(N, T)`; where True, the state is forgotten before the position is read.
        reverse: read from the last position to the first.

    Returns:
        The output at every position, `(N, T, U)`, and the state after all.
    """

    num_states = 2
    num_gates = 4

    def _biases(self, shape: Any, dtype: Any = None) -> Any:
        ones = (ops.arange(shape[0]) // self.units) == 1
        return ops.cast(ones, dtype or "float32")

    def step(self, projected: Any, state: State) -> State:
        """One position: `(N, 4 U)` and `(h, c)` -> `(h, c)`."""
        h, c = state
        gates = projected + self._times(h, "recurrent_kernel")  # (N, 4 U)
        i, f, g, o = ops.split(gates, 4, axis=-1)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        return ops.sigmoid(o) * ops.tanh(c), c


class GRU(_Recurrent):
    """Gated recurrent unit (Cho et al. 2014, equations 5 to 8).

        z, r = sigmoid(x W + h R + b)
        h = z * h + (1 - z) * tanh(x W' + (r * h) R' + b')

    Args:
        units: `U`.

    Call arguments:
        x: `(N, T, D)`.
        state: `(h,)`, `(N, U)`; zeros by default.
        padding_mask: boolean `(N, T)`; where False, the state stays as it is.
        starts: boolean `(N, T)`; where True, the state is forgotten before the position is read.
        reverse: read from the last position to the first.

    Returns:
        The output at every position, `(N, T, U)`, and the state after all.
    """

    num_gates = 3

    def step(self, projected: Any, state: State) -> State:
        """One position: `(N, 3 U)` and `(h,)` -> `(h,)`."""
        (h,) = state
        two = 2 * self.units
        gates = projected[..., :two] + self._times(h, "recurrent_kernel", 0, two)
        z, r = ops.split(ops.sigmoid(gates), 2, axis=-1)
        candidate = self._times(r * h, "recurrent_kernel", two)  # (N, U)
        candidate = ops.tanh(projected[..., two:] + candidate)
        return (z * h + (1 - z) * candidate,)


CELLS: dict[str, type[_Recurrent]] = {"gru": GRU, "lstm": LSTM}


def _orthogonal(shape: Any, dtype: Any = None) -> Any:
    """Orthogonal rows or columns, found in float32: no other small dtype has the decomposition."""
    return ops.cast(keras.initializers.Orthogonal()(shape, "float32"), dtype or "float32")
