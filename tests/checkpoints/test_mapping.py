import numpy as np
import pytest

from tflm.checkpoints.mapping import (
    Rule,
    conv1d,
    dense,
    match,
    norm,
    same,
    split,
)
from tflm.checkpoints.tensors import Tensors


class Memory(Tensors):
    """Arrays that count how often they are read."""

    def __init__(self, **arrays):
        self.arrays = {name.replace("__", "."): array for name, array in arrays.items()}
        self.asked = []
        super().__init__({name: array.shape for name, array in self.arrays.items()})

    def __getitem__(self, name):
        self.asked.append(name)
        return self.arrays[name]


def numbers(*shape):
    return np.arange(np.prod(shape), dtype="float32").reshape(shape)


def read(rule, *arrays):
    return rule.to_ours(*arrays)


def assert_inverse(rule, *arrays):
    """Their arrays -> ours -> theirs, by value and by shape alone."""
    ours = read(rule, *arrays)
    for found, expected in zip(rule.to_theirs(ours), arrays, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert rule.shapes(ours.shape) == [array.shape for array in arrays]
    return ours


def test_a_linear_layer_is_turned():
    kernel, bias = dense("out", "o")
    assert (kernel.ours, kernel.theirs) == ("out/kernel", ("o.weight",))
    assert (bias.ours, bias.theirs) == ("out/bias", ("o.bias",))
    found = assert_inverse(kernel, numbers(2, 3))
    np.testing.assert_array_equal(found, numbers(2, 3).T)
    np.testing.assert_array_equal(assert_inverse(bias, numbers(2)), numbers(2))
    assert len(list(dense("out", "o", bias=False))) == 1


def test_projections_stand_side_by_side():
    q, k, v = numbers(4, 3), 100 + numbers(4, 3), 200 + numbers(4, 3)
    kernel, bias = dense("qkv", "q", "k", "v")
    found = assert_inverse(kernel, q, k, v)
    np.testing.assert_array_equal(found, np.concatenate([q.T, k.T, v.T], axis=1))
    found = assert_inverse(bias, q[:, 0], k[:, 0], v[:, 0])
    np.testing.assert_array_equal(found, np.concatenate([q[:, 0], k[:, 0], v[:, 0]]))


def test_projections_of_unequal_width_are_split_as_told():
    q, k, v = numbers(8, 3), 100 + numbers(2, 3), 200 + numbers(4, 3)
    kernel, bias = dense("qkv", "q", "k", "v", parts=(8, 2, 4))
    assert assert_inverse(kernel, q, k, v).shape == (3, 14)
    assert assert_inverse(bias, q[:, 0], k[:, 0], v[:, 0]).shape == (14,)


def test_conv1d_and_norm_are_stored_as_they_are():
    assert [(r.ours, r.theirs) for r in conv1d("up", "h.fc")] == [
        ("up/kernel", ("h.fc.weight",)),
        ("up/bias", ("h.fc.bias",)),
    ]
    scale, offset = norm("n", "ln")
    assert (scale.ours, scale.theirs, scale.aliases) == ("n/scale", ("ln.weight",), ("ln.gamma",))
    assert (offset.ours, offset.aliases) == ("n/offset", ("ln.beta",))
    assert len(list(norm("n", "ln", bias=False))) == 1
    np.testing.assert_array_equal(assert_inverse(scale, numbers(3)), numbers(3))


def test_finding_shapes_takes_no_memory():
    huge = (10**6, 3 * 10**6)
    (kernel,) = dense("qkv", "q", "k", "v", bias=False)
    assert kernel.shapes(huge) == [huge[::-1][:0] + (10**6, 10**6)] * 3
    assert [part.shape for part in split(np.broadcast_to(0, huge), "abc")] == [(10**6, 10**6)] * 3


def test_aliases_are_of_a_single_tensor():
    with pytest.raises(ValueError, match="`aliases` must be other names of a single tensor"):
        Rule("qkv/kernel", ("q", "k"), aliases=("p",))


def test_names_are_found_with_and_without_the_prefix():
    rules = [same("a", "h.a"), same("b", "model.b"), same("c", "c")]
    stored = Memory(model__h__a=numbers(2), b=numbers(3), c=numbers(4))
    found = match(rules, stored, {"a": (2,), "b": (3,), "c": (4,)}, "model.")
    for name, size in {"a": 2, "b": 3, "c": 4}.items():
        np.testing.assert_array_equal(found[name](), numbers(size))


def test_nothing_is_read_before_it_is_asked_for():
    stored = Memory(a=numbers(2), b=numbers(3))
    found = match([same("a", "a"), same("b", "b")], stored, {"a": (2,), "b": (3,)})
    assert stored.asked == []
    found["b"]()
    assert stored.asked == ["b"]


def test_a_tied_weight_may_be_stored_under_any_of_its_names_or_all():
    rules, own = [same("embedding", "wte.weight", "head.weight")], {"embedding": (2, 3)}
    same_twice = Memory(wte__weight=numbers(2, 3), head__weight=numbers(2, 3))
    for stored in (
        same_twice,
        Memory(wte__weight=numbers(2, 3)),
        Memory(head__weight=numbers(2, 3)),
    ):
        np.testing.assert_array_equal(match(rules, stored, own)["embedding"](), numbers(2, 3))


def test_a_tied_weight_that_is_stored_twice_and_differs_is_refused():
    stored = Memory(wte__weight=numbers(2, 3), head__weight=1 + numbers(2, 3))
    rules = [same("embedding", "wte.weight", "head.weight")]
    with pytest.raises(ValueError, match="differs  head.weight from wte.weight"):
        match(rules, stored, {"embedding": (2, 3)})


def test_buffers_and_heads_are_no_surplus():
    stored = Memory(m__a=numbers(2), m__h__0__attn__bias=numbers(9), cls__bias=numbers(3))
    patterns = ("h.*.attn.bias", "cls.*")
    found = match([same("a", "a")], stored, {"a": (2,)}, "m.", patterns)
    assert found.keys() == {"a"}
    with pytest.raises(ValueError, match=r"surplus  cls.bias \(3,\)$"):
        match([same("a", "a")], stored, {"a": (2,)}, "m.", patterns[:1])


def test_everything_wrong_is_listed_at_once_and_nothing_is_read():
    rules = [
        same("a", "a"),
        *dense("qkv", "q", "k", bias=False),
        same("table", "table"),
        same("elsewhere", "e"),
    ]
    stored = Memory(q__weight=numbers(2, 3), table=numbers(5, 2), extra=numbers(7))
    own = {"a": (4,), "qkv/kernel": (3, 4), "table": (2, 5), "norm/scale": (6,)}
    with pytest.raises(ValueError, match="Received: somewhere") as caught:
        match(rules, stored, own, source="somewhere")
    assert str(caught.value).splitlines()[1:] == [
        "  missing  a (4,)",
        "  missing  k.weight (2, 3)",
        "  shape    table (5, 2), expected (2, 5)",
        "  unknown  elsewhere is no weight of the model",
        "  unmapped norm/scale (6,)",
        "  surplus  extra (7,)",
    ]
    assert stored.asked == []


@pytest.mark.parametrize("size", [1, 24, 25, 48, 1000])
def test_what_is_stored_as_it_is_can_be_read_in_pieces(size):
    stored = Memory(t=numbers(7, 3, 2))
    found = match([same("t", "t")], stored, {"t": (7, 3, 2)})["t"]
    pieces = list(found.pieces(size))
    assert [start for start, _ in pieces] == list(range(0, 7, max(1, size // 24)))
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in pieces]), numbers(7, 3, 2))


def test_what_is_turned_or_a_scalar_comes_in_one_piece():
    stored = Memory(o__weight=numbers(7, 3), s=numbers())
    rules = [*dense("out", "o", bias=False), same("s", "s")]
    found = match(rules, stored, {"out/kernel": (3, 7), "s": ()})
    ((start, piece),) = found["out/kernel"].pieces(1)
    assert start == 0 and piece.shape == (3, 7)
    ((_, piece),) = found["s"].pieces(1)
    assert piece.shape == ()
