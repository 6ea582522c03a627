import numpy as np
import pytest

from tflm.eval import bootstrap
from tflm.eval.masked_baselines import TokenCounts, TokenMatch

# 3 is seen most, 1 is followed by 2 twice and by 3 once, and 0 may not be guessed.
RUNS = [np.array([3, 3, 1, 2, 0, 1, 2, 0]), np.array([1, 3, 3, 3, 5])]
MAY_BE_GUESSED = np.array([False, True, True, True, True, True, True])


@pytest.fixture(scope="module")
def counts():
    return TokenCounts(RUNS, 7, MAY_BE_GUESSED)


def test_the_most_frequent_token_is_one_that_may_be_guessed(counts):
    assert counts.most_frequent == 3
    assert counts.share == 5 / 13
    only = TokenCounts(RUNS, 7, np.arange(7) == 2)
    assert (only.most_frequent, only.share) == (2, 2 / 13)


def test_a_guess_is_the_most_frequent_neighbour(counts):
    ids, shares = counts.after(np.array([[1, 3], [5, 6]]))
    assert ids.tolist() == [[2, 3], [3, 3]]  # 5 ends a run and 6 is not there
    np.testing.assert_allclose(shares, [[2 / 3, 3 / 5], [5 / 13, 5 / 13]])
    ids, shares = counts.before(np.array([2, 1, 3]))
    assert ids.tolist() == [1, 3, 3]
    np.testing.assert_allclose(shares, [1.0, 1 / 2, 3 / 4])


def test_what_may_not_be_guessed_never_is(counts):
    ids, shares = counts.after(np.array([2]))  # nothing but 0 follows
    assert (ids[0], shares[0]) == (3, 5 / 13)


def test_of_two_neighbours_the_surer_one_decides(counts):
    left, right = np.array([1, 1, 6]), np.array([3, 2, 2])
    # from the left 2, 2, 3 with shares 2/3, 2/3, 5/13; from the right 3, 1, 1 with 3/4, 1, 1
    assert counts.between(left, right).tolist() == [3, 1, 1]
    assert counts.between(np.array([1]), np.array([6])).tolist() == [2]


def test_nothing_to_guess_is_refused():
    with pytest.raises(ValueError, match="`runs` must hold at least one token that may be guessed"):
        TokenCounts([np.array([0, 0])], 7, MAY_BE_GUESSED)


def test_accuracy_counts_tokens_and_draws_rows():
    metric = TokenMatch("rate:0.15")
    rows = metric.statistics([[1, 2, 3], [4], []], [[1, 2, 0], [5], []])
    assert rows.tolist() == [[2, 3], [0, 1], [0, 0]]
    score = metric.score_statistics(rows)
    assert (score.value, score.num_examples) == (0.5, 4)
    assert score.format() == "Masked accuracy|rate:0.15 = 0.5000 (4 examples)"
    assert metric.score_statistics(rows[:1] + rows[1:2]).value == score.value
    interval = bootstrap(metric, rows[:2])
    assert interval.low == 0.0 and interval.high == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="`statistics` must be those of at least one token"):
        metric.score_statistics(rows[2:])
