import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.training.fused_adam import AdamW

SHAPES = {"table": (7, 3), "kernel": (3, 5), "bias": (5,)}
OPTIONS = {
    "learning_rate": keras.optimizers.schedules.CosineDecay(0.05, 6),
    "weight_decay": 0.02,
    "beta_1": 0.85,
    "beta_2": 0.97,
    "epsilon": 1e-5,
}


def variables():
    random = np.random.default_rng(0)
    return [
        keras.Variable(random.normal(size=shape), dtype="float32", name=name)
        for name, shape in SHAPES.items()
    ]


def gradients(step):
    random = np.random.default_rng(step)
    rows = tf.constant([4, 1, 2])
    values = tf.constant(random.normal(size=(3, 3)), "float32")
    dense = [tf.constant(random.normal(size=SHAPES[n]), "float32") for n in ("kernel", "bias")]
    return [tf.IndexedSlices(values, rows, tf.constant(SHAPES["table"])), *dense]


def moved(cls, graph, **options):
    weights = variables()
    optimizer = cls(**{**OPTIONS, **options})
    optimizer.build(weights)
    apply = tf.function(optimizer.apply) if graph else optimizer.apply
    for step in range(5):
        apply(gradients(step))
    return [np.asarray(each) for each in [*weights, *optimizer.variables]]


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"global_clipnorm": 0.5, "use_ema": True, "ema_momentum": 0.6},
        {"gradient_accumulation_steps": 2},
        {"amsgrad": True},
    ],
)
def test_it_moves_weights_and_moments_as_keras_does(graph, options):
    expected = moved(keras.optimizers.AdamW, graph, **options)
    found = moved(AdamW, graph, **options)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


def test_gradients_of_a_row_are_summed_before_they_are_squared():
    """As the algorithm has it; Keras's own update squares each occurrence of a token by itself."""
    values = tf.constant([[1.0], [2.0], [-0.5]])
    sparse = tf.IndexedSlices(values, tf.constant([1, 1, 0]), tf.constant([3, 1]))
    found = []
    for gradient in (sparse, tf.convert_to_tensor(sparse)):
        weight = keras.Variable(np.ones((3, 1)), dtype="float32")
        optimizer = AdamW(0.1)
        optimizer.apply([gradient], [weight])
        found.append(np.asarray(weight))
        np.testing.assert_allclose(optimizer._velocities[0][1], 0.001 * 3.0**2, rtol=1e-4)
    np.testing.assert_array_equal(*found)


def test_an_update_is_one_operation_a_weight():
    weights = variables()
    optimizer = AdamW(**OPTIONS)
    optimizer.build(weights)
    graph = tf.function(optimizer.apply).get_concrete_function(gradients(0)).graph
    kinds = [node.op for node in graph.as_graph_def().node]
    kinds += [n.op for f in graph.as_graph_def().library.function for n in f.node_def]
    assert kinds.count("ResourceApplyAdam") == len(weights)
    assert "Sqrt" not in kinds


def test_weights_of_other_types_are_keras_s(monkeypatch):
    weight = keras.Variable(np.ones((3, 2)), dtype="float64")
    called = []
    monkeypatch.setattr(tf.raw_ops, "ResourceApplyAdam", lambda **_: called.append(1))
    optimizer = AdamW(0.1)
    optimizer.apply([tf.ones((3, 2), "float64")], [weight])
    assert not called
    np.testing.assert_allclose(weight, 0.9, atol=0.01)


def test_it_is_saved_in_a_model_and_goes_on(tmp_path):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(AdamW(0.01, weight_decay=0.1), "mse")
    x, y = np.ones((4, 3), "float32"), np.zeros((4, 2), "float32")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again.optimizer) is AdamW
    for each in (model, again):
        each.fit(x, y, verbose=0)
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)
