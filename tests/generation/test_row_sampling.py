import numpy as np
import pytest
import tensorflow as tf

from tflm.generation import Limits, Sample, generate, sampling
from tflm.generation.row_sampling import SampleRows

PAD, BOS, EOS = 0, 2, -1
VOCAB_SIZE, STEPS = 13, 6
ROWS = [  # temperature, top-k, top-p
    (1.0, 0, 1.0),
    (2.0, 4, 1.0),
    (1.0, 0, 0.5),
    (1.5, 6, 0.7),
    (1.0, 99, 0.9),
    (0.7, -3, 2.0),
    (1.0, 0, 1e-6),
]
SEEDS = list(range(40, 40 + len(ROWS)))


def drawn(strategy, rows, seeds):
    """Ids (rows, STEPS) from a model that says something else at every step."""
    tables = np.random.default_rng(2).normal(0.0, 1.5, (STEPS, VOCAB_SIZE)).astype("float32")

    def decode(token_ids, cache, index):
        logits = tf.gather(tf.constant(tables), index)
        return tf.tile(logits[None, None], (tf.shape(token_ids)[0], 1, 1)), cache

    answer = generate(
        decode,
        {"step": {}, "memory": {}},
        np.full((rows, 1), BOS),
        strategy=strategy,
        limits=Limits(STEPS),
        eos_id=EOS,
        pad_id=PAD,
        seed=tf.constant(seeds, tf.int64),
    )
    return answer.token_ids.numpy()[:, 0]


def strategy_of(rows):
    temperature, top_k, top_p = zip(*rows, strict=True)
    return SampleRows(tf.constant(temperature), tf.constant(top_k), tf.constant(top_p))


@pytest.mark.parametrize("head", [1024, 2])
def test_every_row_draws_what_its_own_sample_draws(monkeypatch, head):
    monkeypatch.setattr(sampling, "NUCLEUS_HEAD", head)
    found = drawn(strategy_of(ROWS), len(ROWS), SEEDS)
    for row, (temperature, top_k, top_p) in enumerate(ROWS):
        alone = Sample(temperature, max(top_k, 0), min(top_p, 1.0))
        expected = drawn(alone, 1, SEEDS[row : row + 1])
        np.testing.assert_array_equal(found[row], expected[0], err_msg=str(ROWS[row]))
    assert len({tuple(row) for row in found.tolist()}) == len(ROWS)


def test_a_row_draws_the_same_in_any_company():
    order = [5, 2, 0, 6]
    found = drawn(strategy_of(ROWS), len(ROWS), SEEDS)[order]
    again = drawn(strategy_of([ROWS[i] for i in order]), 4, [SEEDS[i] for i in order])
    np.testing.assert_array_equal(found, again)
