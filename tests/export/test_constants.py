import math
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.export import constants
from tflm.export.constants import Constants

TEXTS = ["one two", "", "seven eight nine ten one"]


@pytest.fixture
def dense():
    layer = keras.layers.Dense(3, name="dense")
    layer.build((None, 2))
    return layer


@pytest.fixture(scope="module")
def exports(trained_task, exported, tmp_path_factory):
    """The same task, exported with variables and with constants."""
    frozen = trained_task.export(tmp_path_factory.mktemp("exports"), freeze=True)
    return {False: exported / "1", True: frozen}


@pytest.fixture(scope="module")
def loaded(exports):
    return [tf.saved_model.load(str(directory)) for directory in exports.values()]


def size(directory):
    return sum(path.stat().st_size for path in pathlib.Path(directory).rglob("*") if path.is_file())


def test_inside_the_scope_a_weight_is_a_constant(dense):
    frozen = Constants(dense.weights)

    @tf.function(input_signature=[tf.TensorSpec([None, 2])])
    def call(x):
        with frozen.scope():
            return dense(x)

    x = np.array([[1.0, -2.0]], "float32")
    expected = dense(x)
    assert call.get_concrete_function().captured_inputs == []
    dense.kernel.assign(dense.kernel * 5.0)
    np.testing.assert_allclose(call(x), expected, rtol=1e-6)
    assert all(frozen.holds(weight) for weight in dense.weights)


def test_outside_the_scope_weights_are_what_they_were(dense):
    frozen = Constants(dense.weights)
    with frozen.scope():
        pass
    assert not any(frozen.holds(weight) for weight in dense.weights)
    assert dense.kernel.value is not None


def test_embeddings_stay_variables():
    embedding = keras.layers.Embedding(5, 2)
    embedding.build((None,))
    frozen = Constants(embedding.weights)

    @tf.function
    def call(ids):
        with frozen.scope():
            return embedding(ids)

    assert len(call.get_concrete_function(tf.constant([1])).captured_inputs) == 1
    assert not frozen.holds(embedding.embeddings)


def test_weights_too_large_for_a_graph_are_refused(dense, monkeypatch):
    monkeypatch.setattr(constants, "MOST_BYTES", 35)
    with pytest.raises(ValueError, match=r"`freeze` must be false .* 35 bytes.* 36 bytes"):
        Constants(dense.weights)


def test_a_frozen_export_holds_every_weight_once_and_the_output_weights(exports, trained_task):
    output = trained_task.model.output_embedding.embeddings
    # Six graphs read them; what a small model adds is the names of as many functions.
    assert size(exports[True]) < 1.3 * (size(exports[False]) + 4 * math.prod(output.shape))
    variables = {
        freeze: (directory / "variables" / "variables.data-00000-of-00001").stat().st_size
        for freeze, directory in exports.items()
    }
    assert variables[True] < 0.8 * variables[False]


@pytest.mark.parametrize("signature", ["serving_default", "n_best", "score"])
def test_a_frozen_export_answers_the_same(loaded, signature):
    arguments = {"text": tf.constant(TEXTS)}
    if signature == "score":
        arguments = {"source": tf.constant(TEXTS), "target": tf.constant(["eins", "", "zwei"])}
    found = [each.signatures[signature](**arguments) for each in loaded]
    for name, plain in found[0].items():
        if plain.dtype == tf.string:
            np.testing.assert_array_equal(found[1][name], plain)
        else:
            np.testing.assert_allclose(found[1][name], plain, atol=1e-4)


@pytest.mark.slow
def test_a_frozen_export_needs_no_code_of_ours(exports, trained_task):
    program = (
        "import sys, tensorflow as tf, tensorflow_text\n"
        "serve = tf.saved_model.load(sys.argv[1]).signatures['serving_default']\n"
        "print(serve(text=tf.constant(['one two']))['text'].numpy()[0].decode())\n"
        "assert not any(name.startswith('tflm') for name in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(exports[True])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == trained_task("one two")
