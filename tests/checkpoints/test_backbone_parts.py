import numpy as np

from tflm.checkpoints import backbone_parts
from tflm.checkpoints.backbone_parts import heads_in, heads_out


def numbers(*shape):
    return np.arange(np.prod(shape), dtype="float32").reshape(shape)


def assert_inverse(rule, *arrays):
    """Their arrays -> ours -> theirs, by value and by shape alone."""
    ours = rule.to_ours(*arrays)
    for found, expected in zip(rule.to_theirs(ours), arrays, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert rule.shapes(ours.shape) == [array.shape for array in arrays]
    return ours


def test_heads_are_flattened():
    kernel, bias = heads_out("qkv", "q", "k", num_heads=(4, 2))
    q, k = numbers(3, 4, 5), 100 + numbers(3, 2, 5)
    found = assert_inverse(kernel, q, k)
    np.testing.assert_array_equal(found[:, :20], q.reshape(3, 20))
    np.testing.assert_array_equal(found[:, 20:], k.reshape(3, 10))
    assert assert_inverse(bias, q[0], k[0]).shape == (30,)
    kernel, bias = heads_in("out", "o", 4)
    assert assert_inverse(kernel, numbers(4, 5, 3)).shape == (20, 3)
    assert bias.theirs == ("o/bias",)
    equal, _ = heads_out("qkv", "q", "k", num_heads=4)
    assert assert_inverse(equal, q, q).shape == (3, 40)


def test_projections_may_have_no_biases():
    rules = [*heads_out("qkv", "q", num_heads=4, bias=False), *heads_in("out", "o", 4, bias=False)]
    assert [rule.ours for rule in rules] == ["qkv/kernel", "out/kernel"]


def test_the_parts_of_a_block_are_named_as_keras_hub_names_them():
    rules = [
        *backbone_parts.self_attention("b/attention", "l/self_attention", 3),
        *backbone_parts.feed_forward("b/feed_forward", "l"),
        *backbone_parts.norm("b/norm", "l/layer_norm"),
    ]
    named = {rule.ours: rule.theirs for rule in rules}
    assert len(named) == len(rules) == 10
    query, key, value = (f"l/self_attention/{name}/bias" for name in ("query", "key", "value"))
    assert named["b/attention/query_key_value/bias"] == (query, key, value)
    assert named["b/attention/out/kernel"] == ("l/self_attention/attention_output/kernel",)
    assert named["b/feed_forward/up/kernel"] == ("l/feedforward_intermediate_dense/kernel",)
    assert named["b/feed_forward/down/bias"] == ("l/feedforward_output_dense/bias",)
    assert named["b/norm/offset"] == ("l/layer_norm/beta",)


def test_one_dropout_is_that_of_attention_too():
    config = {"vocabulary_size": 41, "hidden_dim": 12, "intermediate_dim": 20, "num_heads": 3}
    found = backbone_parts.sizes({**config, "max_sequence_length": 17, "dropout": 0.2})
    assert found == {
        "vocab_size": 41,
        "hidden_dim": 12,
        "ffn_dim": 20,
        "num_heads": 3,
        "max_length": 17,
        "dropout": 0.2,
        "attention_dropout": 0.2,
    }
