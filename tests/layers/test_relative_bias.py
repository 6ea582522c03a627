import math

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tflm.layers.relative_bias import RelativeBias, distance_buckets

H, T = 3, 40


def bucket(offset, bidirectional, num_buckets, max_distance):
    """Section 2.1 of the paper, one offset (key minus query) at a time."""
    first = 0
    if bidirectional:
        num_buckets //= 2
        first = num_buckets if offset > 0 else 0
        distance = abs(offset)
    else:
        distance = max(-offset, 0)
    exact = num_buckets // 2
    if distance < exact:
        return first + distance
    share = math.log(distance / exact) / math.log(max_distance / exact)
    return first + min(exact + int(share * (num_buckets - exact) + 1e-6), num_buckets - 1)


@pytest.fixture(params=[True, False], ids=["bidirectional", "causal"])
def layer(request, randomize):
    layer = RelativeBias(H, 14, 25, request.param)
    layer.build(None)
    return randomize(layer)


def values(x):
    return ops.convert_to_numpy(x)


def test_a_bias_is_that_of_the_bucket_of_the_offset(layer):
    table = values(layer.embeddings)
    expected = np.array(
        [[table[bucket(k - q, layer.bidirectional, 14, 25)] for k in range(T)] for q in range(T)]
    )
    found = values(layer(num_queries=T))
    assert found.shape == (1, H, T, T)
    np.testing.assert_array_equal(found[0], expected.transpose(2, 0, 1))


def test_queries_after_cached_keys_have_the_rows_of_the_whole(layer):
    whole = values(layer(num_queries=T))
    for index, count in ((0, 7), (7, 1), (8, 32)):
        found = values(layer(num_queries=count, index=index))
        np.testing.assert_array_equal(found, whole[:, :, index : index + count, : index + count])


def test_sizes_may_be_known_to_the_running_graph_only(layer):
    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)] * 2)
    def traced(count, index):
        return layer(num_queries=count, index=index)

    np.testing.assert_array_equal(traced(5, 9), layer(num_queries=5, index=9))


def test_published_sizes_have_the_published_buckets():
    buckets = distance_buckets(32, 128)
    assert buckets[:17].tolist() == list(range(17))
    assert buckets[[20, 31, 64, 90, 112, 113, 128]].tolist() == [17, 21, 26, 29, 30, 31, 31]
    assert (np.diff(buckets) >= 0).all() and len(buckets) == 129


def test_every_bucket_may_be_reached(layer):
    found = {bucket(offset, layer.bidirectional, 14, 25) for offset in range(-60, 61)}
    unused = {7} if layer.bidirectional else set()  # behind the query, but no step away
    assert found == {*range(14)} - unused


@pytest.mark.parametrize("sizes", [(1, 9), (8, 4), (8, 3)])
def test_buckets_that_hold_nothing_are_refused(sizes):
    with pytest.raises(ValueError, match=rf"`num_buckets` must be .* max_distance={sizes[1]}"):
        distance_buckets(*sizes)


def test_it_computes_in_the_policys_dtype(assert_mixed):
    layer = RelativeBias(H, dtype="mixed_bfloat16")
    assert layer(num_queries=4).dtype == "bfloat16"
    assert_mixed(layer)


def test_it_survives_a_round_trip(assert_round_trip):
    sizes = {"num_heads": 5, "num_buckets": 14, "max_distance": 25}
    assert_round_trip(RelativeBias, **sizes, bidirectional=False, stddev=0.3)
