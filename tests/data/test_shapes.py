import itertools

import numpy as np

from tflm.data.shapes import BatchShapes, fit_shapes


def fit(source, target, num_shapes=3, max_length=1, min_saving=1):
    return fit_shapes(
        np.array(source),
        np.array(target),
        num_shapes=num_shapes,
        max_lengths=(max_length, max_length),
        min_saving=min_saving,
    )


def padding(shapes, source, target):
    size = np.array(shapes.lengths)[shapes.assign(source, target)]  # (n, 2)
    return int((size - np.stack([source, target], axis=1)).sum())


def test_a_pair_goes_to_the_smallest_shape_that_holds_it():
    shapes = BatchShapes(((4, 4), (9, 3), (4, 9), (9, 9)))
    source, target = np.array([4, 1, 5, 5, 2, 9]), np.array([4, 1, 3, 4, 5, 9])
    assert shapes.assign(source, target).tolist() == [0, 0, 1, 3, 2, 3]


def test_rows_keep_the_target_side_within_the_budget():
    assert BatchShapes(((8, 3), (2, 10), (50, 33))).rows(100) == [33, 10, 3]


def test_two_clusters_get_a_shape_each():
    shapes = fit([3, 4, 4, 20, 21], [5, 5, 4, 9, 7], num_shapes=2)
    assert shapes.lengths == ((4, 5), (21, 9))


def test_cuts_are_made_on_either_side():
    # Targets alone cannot tell these apart, nor sources these.
    assert fit([3] * 5 + [30] * 5, [6] * 10, num_shapes=2).lengths == ((3, 6), (30, 6))
    assert fit([6] * 10, [3] * 5 + [30] * 5, num_shapes=2).lengths == ((6, 3), (6, 30))


def test_the_first_cut_is_the_best_one():
    rng = np.random.default_rng(3)
    source, target = rng.integers(2, 12, 40), rng.integers(2, 15, 40)
    found = padding(fit(source, target, num_shapes=2), source, target)
    whole = int(source.max()), int(target.max())
    best = padding(BatchShapes((whole,)), source, target)
    for axis, cut in itertools.product((0, 1), range(2, 15)):
        low = (source, target)[axis] < cut
        if 0 < low.sum() < 40:
            corners = [(int(source[part].max()), int(target[part].max())) for part in (low, ~low)]
            kept = sum(
                int((np.array(corner) * part.sum()).sum())
                for corner, part in zip(corners, (low, ~low), strict=True)
            )
            best = min(best, kept - int(source.sum() + target.sum()))
    assert found <= best


def test_more_shapes_pad_less():
    rng = np.random.default_rng(5)
    source = rng.integers(3, 40, 2000)
    target = np.maximum(2, source + rng.integers(-6, 7, 2000))
    pads = [padding(fit(source, target, num_shapes=n), source, target) for n in (1, 4, 12, 30)]
    assert pads == sorted(pads, reverse=True)
    assert pads[-1] < pads[0] / 5


def test_shapes_that_save_too_little_are_not_made():
    source, target = [3, 4, 20], [5, 5, 5]
    assert len(fit(source, target, num_shapes=9, min_saving=30).lengths) == 2
    assert len(fit(source, target, num_shapes=9, min_saving=40).lengths) == 1


def test_identical_lengths_need_one_shape():
    assert fit([7] * 4, [5] * 4, num_shapes=9, min_saving=0).lengths == ((7, 5),)


def test_longer_pairs_than_seen_have_shapes_that_double():
    shapes = fit([3, 10], [4, 14], num_shapes=1, max_length=50)
    assert shapes.lengths == ((10, 14), (20, 28), (40, 50), (50, 50))
    assert shapes.assign(np.array([50, 11]), np.array([50, 1])).tolist() == [3, 1]
