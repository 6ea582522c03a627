"""Small SavedModels, good ones and bad ones."""

import pytest
import tensorflow as tf

TEXTS = tf.TensorSpec([None], tf.string, name="text")


def write(directory, functions, module=None):
    """Writes signatures as a SavedModel."""
    tf.saved_model.save(module or tf.Module(), str(directory), signatures=functions)
    return directory


def signature(function, *specs):
    return tf.function(function, input_signature=specs or [TEXTS], autograph=False)


@pytest.fixture(scope="session")
def upper(tmp_path_factory):
    """A model that a server takes: capital letters, and how many bytes there are."""

    def serve(text):
        return {"text": tf.strings.upper(text), "length": tf.strings.length(text)}

    directory = tmp_path_factory.mktemp("upper") / "3"
    return write(directory, {"serving_default": signature(serve)})


@pytest.fixture(scope="session")
def save():
    """A function that writes a SavedModel: `save(directory, function, *specs)`."""

    def save(directory, function, *specs, name="serving_default", module=None):
        return write(directory, {name: signature(function, *specs)}, module)

    return save
