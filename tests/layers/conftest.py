"""What the tests of every layer share."""

import inspect
import json

import numpy as np
import pytest


@pytest.fixture
def randomize():
    """Gives every weight of a layer a random value: fresh biases are 0 and fresh scales are 1."""

    def randomized(layer, seed=3):
        random = np.random.default_rng(seed)
        for weight in layer.weights:
            weight.assign(random.normal(0.1, 0.4, weight.shape))
        return layer

    return randomized


@pytest.fixture
def assert_round_trip():
    """A layer's config is JSON, holds every argument, and builds the same layer again."""

    def check(cls, **arguments):
        # Of `__init__`: before Python 3.11.3 a class's own is that of Keras's `__new__`.
        _, *parameters = inspect.signature(cls.__init__).parameters.items()
        defaults = {
            name: parameter.default
            for name, parameter in parameters
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        }
        assert arguments.keys() == defaults.keys()
        assert all(arguments[name] != default for name, default in defaults.items())
        layer = cls(**arguments, dtype="mixed_bfloat16", name="anything")
        layer.build((2, 3, next(iter(arguments.values()))))
        again = cls.from_config(json.loads(json.dumps(layer.get_config())))
        again.build((2, 3, next(iter(arguments.values()))))
        assert again.get_config() == layer.get_config()
        assert {name: again.get_config()[name] for name in arguments} == arguments
        assert again.dtype_policy.name == "mixed_bfloat16"
        assert [w.path for w in again.weights] == [w.path for w in layer.weights]
        assert [w.shape for w in again.weights] == [w.shape for w in layer.weights]
        return again

    return check


@pytest.fixture
def assert_mixed():
    """Weights in float32, and every part of the layer computes in bfloat16."""

    def check(layer):
        assert {str(weight.dtype) for weight in layer.weights} == {"float32"}
        parts = list(layer._flatten_layers())
        assert {part.compute_dtype for part in parts} == {"bfloat16"}

    return check
