import numpy as np
import pytest
import tensorflow as tf

from tflm.generation import Greedy, Limits, Sample, generate, sampling
from tflm.generation.sampling import row_seeds

PAD, BOS, EOS = 0, 2, 3
SALTS = (11, 101, 307, 405)
PROBABILITIES = [0.15, 0.05, 0.3, 0.1, 0.4]


def search(model, strategy, limits=Limits(9), **options):  # noqa: B008
    prompts = np.full((len(model.salts), 1), BOS)
    return generate(
        model.decode,
        model.start(),
        prompts,
        strategy=strategy,
        limits=limits,
        eos_id=EOS,
        pad_id=PAD,
        **options,
    )


def drawn(strategy, probabilities, rows, seed=0, max_length=1, limits=None):
    """Ids (rows, max_length) from a model that always says the same; nothing ends a text."""
    logits = tf.math.log(tf.constant(probabilities, tf.float32))

    def decode(token_ids, cache, index):
        return tf.tile(logits[None, None], (tf.shape(token_ids)[0], 1, 1)), cache

    answer = generate(
        decode,
        {"step": {}, "memory": {}},
        np.full((rows, 1), BOS),
        strategy=strategy,
        limits=limits or Limits(max_length),
        eos_id=-1,
        pad_id=-1,
        seed=seed,
    )
    return answer.token_ids.numpy()[:, 0]


def fits(tokens, probabilities):
    """Pearson's chi-square below its 99.9% point."""
    probabilities = np.asarray(probabilities) / np.sum(probabilities)
    counts = np.bincount(np.ravel(tokens), minlength=len(probabilities))
    possible = probabilities > 0
    assert counts[~possible].sum() == 0
    expected = probabilities[possible] * counts.sum()
    critical = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47}[possible.sum() - 1]
    return ((counts[possible] - expected) ** 2 / expected).sum() < critical


@pytest.fixture(scope="module")
def model(prefix_model):
    return prefix_model(prefix_model.random_table(8, 3, spread=0.6), SALTS)


@pytest.mark.parametrize(
    "strategy", [Sample(top_k=1), Sample(top_p=1e-6), Sample(temperature=1e-4), Sample(3.0, 1)]
)
def test_the_narrowest_filters_are_greedy(model, strategy):
    ours, greedy = search(model, strategy, seed=5), search(model, Greedy())
    np.testing.assert_array_equal(ours.token_ids, greedy.token_ids)
    np.testing.assert_allclose(ours.log_probs, greedy.log_probs, rtol=1e-6)


def test_greedy_equals_its_definition(model, reference, hypotheses, same):
    answer = search(model, Greedy())
    for row in range(len(SALTS)):
        plain = reference(lambda prefix, row=row: model.naive_logits(row, prefix), [BOS], Limits(9))
        same(hypotheses(answer, row), [plain.greedy()])


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Sample(), PROBABILITIES),
        (Sample(temperature=0.5), np.square(PROBABILITIES)),
        (Sample(top_k=2), [0, 0, 0.3, 0, 0.4]),
        (Sample(top_k=99), PROBABILITIES),
        # Likeliest first: 0.4, 0.7, 0.85, 0.95, 1.
        (Sample(top_p=0.41), [0, 0, 0.3, 0, 0.4]),
        (Sample(top_p=0.69), [0, 0, 0.3, 0, 0.4]),
        (Sample(top_p=0.71), [0.15, 0, 0.3, 0, 0.4]),
        (Sample(top_p=0.94), [0.15, 0, 0.3, 0.1, 0.4]),
        # Of the three likeliest, 0.4 / 0.85 = 0.47 and 0.7 / 0.85 = 0.82.
        (Sample(top_k=3, top_p=0.8), [0, 0, 0.3, 0, 0.4]),
        (Sample(top_k=3, top_p=0.83), [0.15, 0, 0.3, 0, 0.4]),
        # Squared and renormalized: 0.56, 0.88.
        (Sample(temperature=0.5, top_p=0.85), [0, 0, 0.09, 0, 0.16]),
    ],
)
def test_tokens_follow_the_filtered_distribution(strategy, expected):
    assert fits(drawn(strategy, PROBABILITIES, rows=80, seed=12, max_length=50), expected)


def test_the_likeliest_token_is_always_kept():
    assert set(np.ravel(drawn(Sample(top_p=0.01), PROBABILITIES, rows=50))) == {4}


def test_steps_draw_independently():
    tokens = drawn(Sample(), PROBABILITIES, rows=40, max_length=100)
    pairs = tokens[:, :-1:2] * 5 + tokens[:, 1::2]
    joint = np.outer(PROBABILITIES, PROBABILITIES).ravel()
    counts = np.bincount(pairs.ravel(), minlength=25)
    assert ((counts - 2000 * joint) ** 2 / (2000 * joint)).sum() < 51.18  # 24 degrees, 99.9%


def test_blocked_tokens_are_never_drawn():
    limits = Limits(3, no_repeat_ngram_size=1)
    tokens = drawn(Sample(temperature=5.0), PROBABILITIES, rows=100, limits=limits)
    assert all(len({BOS, *row}) == 4 for row in tokens.tolist())


@pytest.mark.parametrize("strategy", [Sample(), Sample(top_k=3), Sample(top_p=0.6)])
@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-23])
def test_the_ends_of_the_random_range_hit_possible_tokens(strategy, uniform):
    logits = tf.constant([[-np.inf, 1.5, 2.5, 0.5, -np.inf]])
    state = {"uniforms": tf.constant([[uniform]])}
    expected = {Sample(): (1, 3), Sample(top_k=3): (2, 3), Sample(top_p=0.6): (2, 2)}
    found = strategy.pick(logits, tf.constant(1), state)
    assert found.numpy().tolist() == [expected[strategy][uniform > 0]]


def test_a_nucleus_wider_than_the_sorted_head_is_found(monkeypatch):
    probabilities = np.linspace(1.0, 2.0, 40) / 60
    strategy = Sample(top_p=0.7)
    whole = drawn(strategy, probabilities, rows=25, max_length=20)
    monkeypatch.setattr(sampling, "NUCLEUS_HEAD", 3)
    np.testing.assert_array_equal(drawn(strategy, probabilities, rows=25, max_length=20), whole)
    nucleus = np.flatnonzero(np.cumsum(probabilities[::-1])[::-1] - probabilities < 0.7)
    assert set(np.ravel(whole)) == set(nucleus.tolist())


def test_same_seed_same_text_and_another_seed_another(model):
    ids = [search(model, Sample(), seed=seed).token_ids.numpy() for seed in (6, 6, 7)]
    np.testing.assert_array_equal(ids[0], ids[1])
    assert ids[0].shape != ids[2].shape or (ids[0] != ids[2]).any()


def test_a_rows_seed_decides_its_text_whatever_the_batch(prefix_model, hypotheses):
    table = prefix_model.random_table(8, 3, spread=0.6)
    limits = Limits(9, min_length=6)
    first = search(prefix_model(table, [5, 6, 7]), Sample(), limits, seed=[21, 22, 23])
    other = search(prefix_model(table, [7, 5]), Sample(), limits, seed=[23, 99])
    assert hypotheses(first, 2) == hypotheses(other, 0)
    assert hypotheses(first, 0) != hypotheses(other, 1)


def test_one_seed_gives_each_row_its_own():
    tokens = drawn(Sample(), PROBABILITIES, rows=30, seed=4, max_length=12)
    assert len({tuple(row) for row in tokens.tolist()}) == 30
    np.testing.assert_array_equal(
        tokens[:1], drawn(Sample(), PROBABILITIES, rows=1, seed=[4], max_length=12)
    )
    np.testing.assert_array_equal(
        tokens[:7], drawn(Sample(), PROBABILITIES, rows=7, seed=tf.constant(4), max_length=12)
    )


def test_a_longer_limit_does_not_change_the_draws():
    short, long = (drawn(Sample(), PROBABILITIES, 6, max_length=length) for length in (5, 31))
    np.testing.assert_array_equal(long[:, :5], short)


def test_without_a_seed_every_call_of_a_graph_draws_anew():
    seeds = tf.function(lambda: row_seeds(None, tf.constant(3)))
    first, second = seeds().numpy(), seeds().numpy()
    assert first.shape == (3, 2)
    assert (first[:, 0] != second[:, 0]).all()
    assert first[:, 1].tolist() == [0, 1, 2]


def test_log_probs_are_the_models_whatever_the_filters(model, reference, hypotheses):
    answer = search(model, Sample(temperature=2.0, top_k=5, top_p=0.9), seed=3)
    for row in range(len(SALTS)):
        plain = reference(lambda prefix, row=row: model.naive_logits(row, prefix), [BOS], Limits(9))
        [(score, log_prob, ids, finished)] = hypotheses(answer, row)
        text = [*ids, EOS] if finished else ids
        steps = [{token: value for value, token in plain.continuations(text[:i])} for i in range(9)]
        np.testing.assert_allclose(
            log_prob, sum(steps[i][t] for i, t in enumerate(text)), rtol=1e-5
        )
        assert score == log_prob


@pytest.mark.parametrize("strategy", [Greedy(), Sample(), Sample(top_k=3), Sample(top_p=0.5)])
def test_a_row_ends_where_every_token_is_blocked(strategy):
    def decode(token_ids, cache, index):
        return tf.zeros((tf.shape(token_ids)[0], 1, 4)), cache

    answer = generate(
        decode,
        {"step": {}, "memory": {}},
        [[BOS], [BOS]],
        strategy=strategy,
        limits=Limits(8, min_length=8, no_repeat_ngram_size=1),
        eos_id=EOS,
        pad_id=-1,
        seed=1,
    )
    assert sorted(answer.token_ids.numpy()[0, 0].tolist()) == [0, 1]
    assert answer.lengths.numpy().tolist() == [[2], [2]]
    assert not answer.finished.numpy().any()
    assert np.isneginf(answer.log_probs.numpy()).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, "`temperature` must be positive. Received: 0.0"),
        ({"top_k": -1}, "`top_k` must be 0 .off. or more. Received: -1"),
        ({"top_p": 0.0}, "`top_p` must be above 0 and at most 1. Received: 0.0"),
        ({"top_p": 1.5}, "`top_p` must be above 0 and at most 1. Received: 1.5"),
    ],
)
def test_impossible_samplers_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Sample(**arguments)


def test_seeds_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="`seed` must be one integer or one per row. Received"):
        row_seeds([[1, 2]], tf.constant(1))
