import keras
import numpy as np
import pytest
from keras import ops

from tflm.eval.keras_metrics import F1Score, SpanExactMatch, TokenAccuracy, TokenPerplexity
from tflm.eval.metrics.classification import Accuracy
from tflm.eval.metrics.perplexity import Likelihood, Perplexity
from tflm.eval.metrics.precision_recall import F1
from tflm.eval.metrics.squad import SquadExactMatch

LABELS = ["负面", "中性", "正面"]
METRICS = [
    TokenPerplexity(from_logits=False, ignore_id=0, name="ppl"),
    TokenAccuracy(ignore_id=-1, name="acc"),
    SpanExactMatch(name="em"),
    F1Score(5, average="weighted", name="f"),
]


def tokens(num_rows=7, length=6, vocab_size=11, seed=0):
    """Logits, labels and a mask with rows of different lengths, one of them empty."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(num_rows, length, vocab_size)).astype("float32")
    labels = generator.integers(1, vocab_size, size=(num_rows, length))
    lengths = generator.integers(1, length + 1, size=num_rows)
    lengths[2] = 0
    mask = np.arange(length) < lengths[:, None]
    return logits, np.where(mask, labels, 0), mask


def log_probabilities(logits, labels):
    shifted = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return np.take_along_axis(shifted, labels[..., None], axis=-1)[..., 0]


def run(metric, *arrays, cuts=(0, 1, 4, 7)):
    """The metric after batches of different sizes."""
    for start, end in zip(cuts, cuts[1:], strict=False):
        metric.update_state(*(array[start:end] for array in arrays))
    return float(metric.result())


def test_perplexity_is_that_of_the_corpus_whatever_the_batches():
    logits, labels, mask = tokens()
    likelihoods = Likelihood.from_batch(log_probabilities(logits, labels), mask)
    expected = Perplexity().score(likelihoods, ["x"] * len(labels)).value
    assert run(TokenPerplexity(), labels, logits, mask) == pytest.approx(expected, rel=1e-5)
    assert run(TokenPerplexity(), labels, logits, mask, cuts=(0, 7)) == pytest.approx(
        expected, rel=1e-5
    )
    # The padding id does what the mask does.
    assert run(TokenPerplexity(ignore_id=0), labels, logits) == pytest.approx(expected, rel=1e-5)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    metric = TokenPerplexity(from_logits=False, ignore_id=0)
    assert run(metric, labels, probabilities) == pytest.approx(expected, rel=1e-5)


def test_a_label_to_ignore_may_be_outside_the_vocabulary():
    logits, labels, mask = tokens()
    expected = run(TokenPerplexity(), labels, logits, mask)
    marked = np.where(mask, labels, -100)
    assert run(TokenPerplexity(ignore_id=-100), marked, logits) == pytest.approx(expected)


def test_what_a_masked_token_predicts_does_not_matter():
    logits, labels, mask = tokens()
    expected = run(TokenPerplexity(), labels, logits, mask)
    logits[~mask] = np.inf
    assert run(TokenPerplexity(), labels, logits, mask) == pytest.approx(expected)


def test_token_accuracy_counts_the_tokens_that_are_not_masked():
    logits, labels, mask = tokens()
    expected = (logits.argmax(-1) == labels)[mask].mean()
    assert 0 < expected < 1
    assert run(TokenAccuracy(), labels, logits, mask) == pytest.approx(expected)
    assert run(TokenAccuracy(ignore_id=0), labels, logits) == pytest.approx(expected)
    # A weight of an example is one of all its tokens.
    rows = np.array([1, 0, 1, 2, 0, 0, 1], "float32")
    weights = mask * rows[:, None]
    expected = ((logits.argmax(-1) == labels) * weights).sum() / weights.sum()
    assert run(TokenAccuracy(ignore_id=0), labels, logits, rows) == pytest.approx(expected)


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_f1_is_that_of_the_corpus(average):
    generator = np.random.default_rng(6)
    logits = generator.normal(size=(7, 3))
    labels = np.array([0, 2, 2, 1, 0, 2, 2])
    names = [[LABELS[number] for number in side] for side in (logits.argmax(-1), labels)]
    expected = F1(LABELS, average=average).score(*names).value
    assert 0 < expected < 1
    metric = F1Score(3, average=average)
    assert metric.name == f"f1_{average}"
    assert run(metric, labels, logits) == pytest.approx(expected)
    # Weights of 0 leave examples out; labels may stand in a column.
    weights = np.array([1, 1, 0, 1, 0, 1, 1], "float32")
    names = [[name for name, w in zip(side, weights, strict=True) if w] for side in names]
    expected = F1(LABELS, average=average).score(*names).value
    found = run(F1Score(3, average=average), labels[:, None], logits, weights[:, None])
    assert found == pytest.approx(expected)


def test_f1_of_tokens_leaves_masked_ones_out():
    logits, labels, mask = tokens(vocab_size=3)
    names = [[LABELS[i] for i in side[mask]] for side in (logits.argmax(-1), labels)]
    expected = F1(LABELS).score(*names).value
    assert run(F1Score(3), labels, logits, mask) == pytest.approx(expected)


def test_a_span_is_right_when_both_ends_are():
    words = "the tower of Paris stands in the park".split()
    predicted = [(1, 3), (0, 1), (5, 7), (3, 3), (2, 4), (7, 7), (0, 0)]
    true = [(1, 3), (1, 1), (5, 7), (3, 4), (2, 4), (6, 7), (6, 6)]
    logits = np.zeros((7, 8, 2), "float32")
    for row, ends in zip(logits, predicted, strict=True):
        row[ends[0], 0] = row[ends[1], 1] = 2.0
    found = run(SpanExactMatch(), np.array(true), logits)
    assert found == pytest.approx(3 / 7)
    texts = [[" ".join(words[a : b + 1]) for a, b in side] for side in (predicted, true)]
    # The text is also right where articles differ or words stand twice.
    assert SquadExactMatch().score(*texts).value == pytest.approx(100 * 6 / 7)
    weights = np.array([1, 1, 0, 1, 1, 0, 0], "float32")
    assert run(SpanExactMatch(), np.array(true), logits, weights) == pytest.approx(2 / 4)


def test_before_the_first_example_and_after_a_reset_there_is_nothing():
    logits, labels, mask = tokens()
    perplexity = TokenPerplexity()
    assert float(perplexity.result()) == 1
    first = run(perplexity, labels, logits, mask)
    perplexity.reset_state()
    assert run(perplexity, labels, logits, mask) == first
    assert [float(metric.result()) for metric in (TokenAccuracy(), F1Score(3))] == [0, 0]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_survives_its_config(metric):
    config = keras.saving.serialize_keras_object(metric)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(metric)
    assert copy.get_config() == metric.get_config()
    assert copy.dtype == "float32"


def model(num_labels=3):
    keras.utils.set_random_seed(1)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(num_labels)])
    return network


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_metrics_in_compile_equal_those_of_the_corpus(jit_compile):
    generator = np.random.default_rng(8)
    inputs = generator.normal(size=(13, 4)).astype("float32")
    labels = generator.integers(3, size=13)
    weights = (np.arange(13) % 4 > 0).astype("float32")
    network = model()
    network.compile(
        keras.optimizers.SGD(0.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[F1Score(3), TokenAccuracy(name="acc")],
        jit_compile=jit_compile,
    )
    history = network.fit(
        inputs, labels, sample_weight=weights, batch_size=5, epochs=2, verbose=0
    ).history
    predicted = network.predict(inputs, verbose=0).argmax(-1)
    names = [[LABELS[i] for i in side[weights > 0]] for side in (predicted, labels)]
    # The second epoch starts from 0 and, as nothing is learned, ends as the first.
    assert history["f1_macro"] == pytest.approx([F1(LABELS).score(*names).value] * 2)
    assert history["acc"] == pytest.approx([Accuracy(LABELS).score(*names).value] * 2)


def test_mixed_precision_keeps_sums_in_float32():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        metric = TokenPerplexity()
        logits, labels, mask = tokens()
        expected = run(TokenPerplexity(), labels, logits.astype("float16").astype("float32"), mask)
        found = run(metric, labels, ops.cast(logits, "float16"), mask)
        assert metric.total.dtype == "float32"
        assert found == pytest.approx(expected, rel=1e-5)
        metric = TokenAccuracy()
        for _ in range(3):  # float16 counts no further than 2,048
            metric.update_state(np.ones((50, 30)), ops.ones((50, 30, 2), "float16"))
        assert float(metric.weight) == 4500
    finally:
        keras.config.set_dtype_policy(before)


def test_keras_callbacks_know_the_direction():
    network = model()
    network.compile(
        "sgd", "sparse_categorical_crossentropy", metrics=[TokenPerplexity(), F1Score(3)]
    )
    data = np.ones((2, 4)), np.array([1, 2])
    for monitor, best in (("f1_macro", "greater"), ("perplexity", "less")):
        stopping = keras.callbacks.EarlyStopping(monitor=monitor, patience=3)  # mode="auto"
        network.fit(*data, epochs=1, verbose=0, callbacks=[stopping])
        assert stopping.monitor_op.__name__ == best


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="macro, micro, weighted. Received: average='binary'"):
        F1Score(3, average="binary")
    with pytest.raises(ValueError, match="`num_labels` must be 2 or more. Received: num_labels=1"):
        F1Score(1)
