"""Dense layers that multiply whole numbers of eight bits: weights rounded once, vectors each time.

Dynamic quantization (Dettmers et al. 2022, arXiv 2208.07339, section 2.1; w8a8): a matrix has a
scale for each column, as in `tflm.export.int8` but to 64 and not 127, and every vector that it
multiplies its own, the largest of its absolute values over 127. A vector's scale depends on no
other, so that a server may batch requests as it likes. Between the products attention computes in
bfloat16, which halves the caches of keys and values, and all else in float32, so that nothing is
cast before it is rounded.

The product is TensorFlow's `_QuantizedMatMul`, which oneDNN computes with the processor's eight-bit
dot products; TF Serving has it from 2.17 on, on x86. It also keeps the matrix as it has rearranged
it, which other products do only with constants: see `tflm.export.constants`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tflm.export.int8 import num_bytes, rounded
from tflm.layers.attention import CrossAttention, SelfAttention
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.shapes import unflatten

_MOST = 127.0
# Of weights. A processor without eight-bit dot products (VNNI) adds two products in sixteen bits,
# of vectors that are moved to 1 .. 255: with 2 * 255 * 64 nothing overflows there.
_MOST_WEIGHT = 64
_LEAST_SIZE = 64  # of both sides of a matrix: the head of a classifier stays as it is
_TINY = 1e-30  # the scale of a vector of zeros must not be zero


class Int8Products:
    """Changes a network's dense layers and its token vectors for serving; they can not learn after.

    Args:
        network: the layers that are changed, in float32.

    Attributes:
        num_bytes: of all weights, as they are written.

    Raises:
        ValueError: a weight is not finite.
    """

    def __init__(self, network: Sequence[Any]):
        self._variables: list[tf.Variable] = []
        gone: set[int] = set()
        narrow = _narrow(network)
        for part in network:
            for layer in part._flatten_layers():
                layer.autocast = False  # a block would cast all keys and values at every step
        for layer in _layers(network):
            if isinstance(layer, TokenEmbedding):
                vectors, replaced = _TokenVectors(layer), layer.embeddings
                layer.call, layer.logits = vectors.call, vectors.logits
                layer.output_weights = vectors.output_weights
                self._variables += [vectors.matrix.whole, vectors.scale]
            elif _is_large(layer):
                dtype = "bfloat16" if id(layer) in narrow else "float32"
                dense, replaced = _Dense(layer, dtype), layer._kernel
                layer.call = dense.call
                self._variables.append(dense.matrix.whole)
            else:
                continue
            gone.add(id(replaced))
        kept = [weight for part in network for weight in part.weights if id(weight) not in gone]
        self._variables += [weight.value for weight in kept]
        self.num_bytes = sum(num_bytes(variable) for variable in self._variables)

    def serve(self, module: Any) -> dict[str, Callable]:
        """The signatures of a module made of the network; what is saved with it is changed.

        Args:
            module: one of this package, not frozen.
        """
        functions = module.signatures(lay_out=False)
        module._variables = self._variables
        return functions


class _Matrix:
    """Whole numbers, which vectors are multiplied with.

    Args:
        whole: int8 `(in, out)`, or `(out, in)` if `transposed`.
        scale: float32 `(out,)`.
        transposed: which of the two.
    """

    def __init__(self, whole: np.ndarray, scale: np.ndarray, transposed: bool = False):
        self.whole = tf.Variable(tf.constant(whole), trainable=False, name="whole")
        self._most = np.asarray(scale * _MOST, np.float32)  # the operation takes nothing else
        self._transposed = transposed

    def multiply(self, x: Any, factor: Any = 1.0) -> Any:
        """Vectors `(..., in)` -> products, float32 `(N, out)`, all of them times a factor."""
        if tf.executing_eagerly():  # the operation is one of graphs
            return tf.function(self.multiply, autograph=False)(x, factor)
        x = tf.cast(tf.reshape(x, [-1, x.shape[-1]]), tf.float32)  # (N, in)
        most = tf.maximum(tf.reduce_max(tf.abs(x), axis=-1, keepdims=True), _TINY)  # (N, 1)
        whole = tf.cast(tf.round(x * (_MOST / most)), tf.int8)
        products = _quantized_product(whole, self.whole, self._most, self._transposed)
        return products * (most * (factor / _MOST))


class _Dense:
    """What a `keras.layers.Dense` does, in whole numbers.

    Args:
        layer: the layer.
        dtype: of what it returns.
    """

    def __init__(self, layer: Any, dtype: str):
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        whole, scale = rounded(kernel, f"{layer.path}/kernel", _MOST_WEIGHT)
        self.matrix = _Matrix(whole, scale[0])
        self._layer = layer
        self._dtype = dtype

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """`(N, in)` -> `(N, out)`, or `(N, T, in)` -> `(N, T, out)`."""
        layer = self._layer
        y = self.matrix.multiply(inputs)
        if layer.bias is not None:
            y = y + tf.cast(layer.bias, tf.float32)
        if layer.activation is not None:
            y = layer.activation(y)
        y = tf.cast(y, self._dtype)
        return y if inputs.shape.rank == 2 else unflatten(y, inputs)


class _TokenVectors:
    """What a `TokenEmbedding` does: one table of whole numbers is looked up and multiplied with."""

    def __init__(self, layer: TokenEmbedding):
        table = keras.ops.convert_to_numpy(layer.embeddings)
        whole, scale = rounded(table, layer.embeddings.path, _MOST_WEIGHT)  # (V, D), (V, 1)
        self.matrix = _Matrix(whole, scale[:, 0], transposed=True)
        self.scale = tf.Variable(tf.constant(scale), trainable=False, name="scale")
        self._layer = layer

    def call(self, token_ids: Any) -> Any:
        """`(B, T)` -> `(B, T, D)`."""
        layer = self._layer
        # Of values: a variable that rows are read from directly is copied whenever it is read.
        table, scale = map(tf.convert_to_tensor, (self.matrix.whole, self.scale))
        vectors = tf.cast(tf.gather(table, token_ids), tf.float32) * tf.gather(scale, token_ids)
        return vectors * layer.dim**0.5 if layer.scaled else vectors

    def output_weights(self) -> Any:
        """A factor of the logits, for a model that multiplies what this returns by one."""
        return tf.ones([1])

    def logits(self, x: Any, output_weights: Any = None, bias: Any = None) -> Any:
        """`(B, T, D)` -> float32 `(B, T, V)`."""
        scores = self.matrix.multiply(x, 1.0 if output_weights is None else output_weights)
        if bias is not None:
            scores = scores + tf.cast(bias, tf.float32)
        return unflatten(scores, x)


def _layers(parts: Sequence[Any]) -> Iterator[Any]:
    """Those with weights."""
    for part in parts:
        for layer in part._flatten_layers():
            if layer.weights:
                yield layer


def _is_large(layer: Any) -> bool:
    return type(layer) is keras.layers.Dense and min(layer.kernel.shape) >= _LEAST_SIZE


def _narrow(parts: Sequence[Any]) -> set[int]:
    """Lets attention compute in bfloat16; the ids of the projections that are to return it."""
    found = set()
    for layer in _layers(parts):
        if not isinstance(layer, SelfAttention | CrossAttention):
            continue
        inner = list(layer._flatten_layers(include_self=False))
        dense = [each for each in inner if isinstance(each, keras.layers.Dense)]
        if not all(map(_is_large, dense)):
            continue
        for each in (layer, *(each for each in inner if each not in dense)):
            each.dtype_policy = "bfloat16"
        found |= {id(each) for each in dense if each is not layer.out}
    return found


def _quantized_product(x: Any, matrix: tf.Variable, most: np.ndarray, transposed: bool) -> Any:
    """`x @ matrix`, or `x @ matrix.T`, times the scale of each column.

    Args:
        x: int8 `(N, in)`.
        matrix: int8.
        most: float32 `(out,)`, the value that 127 stands for in each column.
        transposed: which product.

    Returns:
        float32 `(N, out)`.
    """
    # The operation knows scales as the values at the ends of the range; that of `x` is one.
    inputs = [
        tf.bitcast(x, tf.qint8),
        tf.bitcast(tf.convert_to_tensor(matrix), tf.qint8),
        tf.zeros([len(most)]),  # the bias, which the factors of the vectors would not spare
        tf.constant(-_MOST),
        tf.constant(_MOST),
        tf.constant(-most),
        tf.constant(most),
    ]
    attributes = {
        "T1": _value(type=tf.qint8.as_datatype_enum),
        "T2": _value(type=tf.qint8.as_datatype_enum),
        "Tbias": _value(type=tf.float32.as_datatype_enum),
        "U": _value(type=tf.float32.as_datatype_enum),
        "Tout": _value(type=tf.float32.as_datatype_enum),
        "Tdevice_inputs": _types([each.dtype for each in inputs]),
        "Thost_inputs": _types([]),
        "Tdevice_outputs": _types([tf.float32]),
        "Thost_outputs": _types([]),
        "transpose_b": _value(b=transposed),
        "fused_ops": _value(list=tf.compat.v1.AttrValue.ListValue(s=[b"BiasAdd", b"Dequantize"])),
    }
    graph = tf.compat.v1.get_default_graph()
    operation = graph.create_op(
        "_QuantizedMatMul", inputs, [tf.float32], attrs=attributes, name="quantized_product"
    )
    products = operation.outputs[0]
    products.set_shape([x.shape[0], len(most)])
    return products


def _value(**content: Any) -> Any:
    return tf.compat.v1.AttrValue(**content)


def _types(dtypes: Sequence[tf.DType]) -> Any:
    kinds = [dtype.as_datatype_enum for dtype in dtypes]
    return _value(list=tf.compat.v1.AttrValue.ListValue(type=kinds))
