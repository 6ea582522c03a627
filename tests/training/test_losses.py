import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.training.losses import SmoothedCrossEntropy

B, T, V = 3, 4, 11
by_smoothing = pytest.mark.parametrize("label_smoothing", [0.0, 0.1])


@pytest.fixture
def labels():
    return np.random.default_rng(0).integers(0, V, (B, T), "int32")


@pytest.fixture
def logits():
    return tf.constant(np.random.default_rng(1).normal(0.0, 2.0, (B, T, V)), tf.float32)


@pytest.fixture
def weights():
    return (np.arange(T) < np.array([4, 2, 1])[:, None]).astype("float32")


def with_gradient(loss, labels, logits, weights=None):
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(labels, logits, weights)
    return value.numpy(), tape.gradient(value, logits)


def with_one_hot(label_smoothing):
    """What the loss is by definition, from distributions built in full."""

    def loss(labels, logits, weights=None):
        targets = tf.one_hot(labels, V) * (1.0 - label_smoothing) + label_smoothing / V
        losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
        weights = tf.ones((B, T)) if weights is None else tf.constant(weights)
        return tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)

    return loss


@by_smoothing
def test_value_and_gradient_are_those_of_one_hot_targets(label_smoothing, labels, logits):
    found, gradient = with_gradient(SmoothedCrossEntropy(label_smoothing), labels, logits)
    expected, slope = with_gradient(with_one_hot(label_smoothing), labels, logits)
    assert found.dtype == np.float32 and found.shape == ()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(gradient, slope, atol=1e-5)


@by_smoothing
def test_it_is_keras_categorical_cross_entropy(label_smoothing, labels, logits):
    theirs = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=label_smoothing, reduction=None
    )
    expected = theirs(tf.one_hot(labels, V), logits)
    found = SmoothedCrossEntropy(label_smoothing).call(labels, logits)
    assert found.shape == (B, T)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@by_smoothing
def test_weights_make_it_the_mean_over_real_tokens(label_smoothing, labels, logits, weights):
    loss = SmoothedCrossEntropy(label_smoothing)
    found, gradient = with_gradient(loss, labels, logits, weights)
    expected, slope = with_gradient(with_one_hot(label_smoothing), labels, logits, weights)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(gradient, slope, atol=1e-5)
    each = loss.call(labels, logits).numpy()
    np.testing.assert_allclose(found, each[weights > 0].mean(), atol=1e-5)


def test_padding_has_no_influence(labels, logits, weights):
    loss = SmoothedCrossEntropy(0.1)
    found, gradient = with_gradient(loss, labels, logits, weights)
    real = weights > 0
    other_labels = np.where(real, labels, 0)
    other_logits = tf.where(real[..., None], logits, 50.0 - 9.0 * logits)
    same, same_gradient = with_gradient(loss, other_labels, other_logits, weights)
    np.testing.assert_allclose(same, found, rtol=1e-6)
    np.testing.assert_allclose(same_gradient, gradient, atol=1e-7)
    assert not np.any(gradient.numpy()[~real])


def test_a_batch_of_padding_alone_costs_nothing(labels, logits):
    found, gradient = with_gradient(
        SmoothedCrossEntropy(0.1), labels, logits, np.zeros((B, T), "float32")
    )
    assert found == 0.0
    assert not np.any(gradient)


@by_smoothing
def test_bfloat16_logits_give_a_float32_loss_close_to_the_exact_one(
    label_smoothing, labels, logits, weights
):
    logits = tf.cast(logits, tf.bfloat16)
    found, gradient = with_gradient(SmoothedCrossEntropy(label_smoothing), labels, logits, weights)
    assert found.dtype == np.float32
    assert gradient.dtype == tf.bfloat16
    exact = with_gradient(
        with_one_hot(label_smoothing), labels, tf.cast(logits, tf.float32), weights
    )
    np.testing.assert_allclose(found, exact[0], rtol=0.01)
    np.testing.assert_allclose(tf.cast(gradient, tf.float32), exact[1], atol=2e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@by_smoothing
def test_extreme_logits_stay_finite(label_smoothing, dtype, labels):
    signs = np.random.default_rng(2).choice([-1.0, 0.0, 1.0], (B, T, V))
    for scale in (100.0, 1e4):
        logits = tf.cast(tf.constant(scale * signs), dtype)
        found, gradient = with_gradient(SmoothedCrossEntropy(label_smoothing), labels, logits)
        assert np.isfinite(found)
        assert np.isfinite(tf.cast(gradient, tf.float32)).all()


def test_a_certain_and_right_answer_costs_nothing(labels):
    logits = 100.0 * tf.one_hot(labels, V)
    found, gradient = with_gradient(SmoothedCrossEntropy(0.0), labels, logits)
    assert found == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


def ops_in(function, *arguments):
    graph = tf.function(function).get_concrete_function(*arguments).graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return {node.op for node in nodes}


def test_no_distribution_over_the_vocabulary_is_built_for_the_labels(labels, logits):
    def gradient_of(loss):
        return lambda logits: with_tape(loss, labels, logits)

    def with_tape(loss, labels, logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(labels, logits)
        return tape.gradient(value, logits)

    assert "OneHot" in ops_in(gradient_of(with_one_hot(0.1)), logits)
    ours = ops_in(gradient_of(SmoothedCrossEntropy(0.1)), logits)
    assert "OneHot" not in ours
    assert "Softmax" in ours


def test_a_graph_of_unknown_sizes_gives_the_same(labels, logits, weights):
    loss = SmoothedCrossEntropy(0.1)
    signature = [
        tf.TensorSpec([None, None], tf.int32),
        tf.TensorSpec([None, None, V]),
        tf.TensorSpec([None, None]),
    ]
    traced = tf.function(loss, input_signature=signature)
    np.testing.assert_allclose(
        traced(labels, logits, weights), loss(labels, logits, weights), rtol=1e-6
    )


def test_it_survives_keras_serialization():
    config = keras.losses.serialize(SmoothedCrossEntropy(0.25, name="anything"))
    again = keras.losses.deserialize(config)
    assert type(again) is SmoothedCrossEntropy
    assert (again.label_smoothing, again.name) == (0.25, "anything")


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_smoothing_must_leave_the_label_something(value):
    expected = rf"`label_smoothing` must be in \[0, 1\). Received: label_smoothing={value}"
    with pytest.raises(ValueError, match=expected):
        SmoothedCrossEntropy(value)
