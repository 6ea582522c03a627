import numpy as np
import pytest

from tflm.checkpoints.options import (
    ACTIVATIONS,
    activation,
    activation_to_huggingface,
    check_options,
)
from tflm.layers.activations import activation as function_of


def test_options_that_are_implemented_or_absent_pass():
    assert check_options({"a": 1, "z": 9}, {"a": (1, 2), "b": (None,)}) is None


def test_every_option_that_is_not_implemented_is_named():
    with pytest.raises(
        ValueError,
        match=r"would be wrong. Received: a=3 \(implemented: 1, 2\); b='x' \(implemented: None\)",
    ):
        check_options({"a": 3, "b": "x"}, {"a": (1, 2), "b": (None,)})


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_have_a_function_and_a_name_to_go_out_with(name):
    ours = activation({"hidden_act": name}, "hidden_act")
    assert ACTIVATIONS[activation_to_huggingface(ours)] == ours
    assert np.isfinite(function_of(ours)(np.linspace(-3, 3, 5, dtype="float32"))).all()


def test_the_usual_name_of_an_activation_goes_out():
    names = {ours: activation_to_huggingface(ours) for ours in ACTIVATIONS.values()}
    assert names["gelu"] == "gelu" and names["gelu_tanh"] == "gelu_new"
    assert names["silu"] == "silu"


def test_unknown_activations_list_the_known_ones():
    with pytest.raises(ValueError, match=r"`act` must be one of \['gelu'.*Received: act='mish'"):
        activation({"act": "mish"}, "act")
    with pytest.raises(ValueError, match="`activation` must be one of .* activation='mish'"):
        activation_to_huggingface("mish")


@pytest.mark.parity
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_the_functions_of_their_names(name):
    torch = pytest.importorskip("torch", reason="needs pip install 'tflm[parity]'")
    activations = pytest.importorskip("transformers.activations")
    x = np.linspace(-6, 6, 101, dtype="float32")
    expected = activations.ACT2FN[name](torch.tensor(x)).numpy()
    np.testing.assert_allclose(function_of(ACTIVATIONS[name])(x), expected, atol=2e-6)
