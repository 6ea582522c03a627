"""What a public configuration asks for, in our words, or a refusal of what we do not compute."""

from collections.abc import Mapping, Sequence
from typing import Any

# Their names of activations: ours. Several of theirs are one function.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "gelu_sigmoid",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}


def check_options(config: Mapping[str, Any], implemented: Mapping[str, Sequence[Any]]) -> None:
    """Refuses a configuration with options that change the computation and are not implemented.

    Args:
        config: what `config.json` holds.
        implemented: the values that an option may have; one that is absent may be.

    Raises:
        ValueError: an option has another value; the message lists every such option.
    """
    wrong = [
        f"{name}={config[name]!r} (implemented: {', '.join(map(repr, values))})"
        for name, values in implemented.items()
        if name in config and config[name] not in values
    ]
    if wrong:
        raise ValueError(
            "`config` must ask for what is implemented, or the answers would be wrong. "
            f"Received: {'; '.join(wrong)}"
        )


def activation(config: Mapping[str, Any], option: str) -> str:
    """Our name of the activation that an option names.

    Raises:
        ValueError: there is no such activation; the message lists the known ones.
    """
    name = config[option]
    if name not in ACTIVATIONS:
        raise ValueError(
            f"`{option}` must be one of {sorted(ACTIVATIONS)}. Received: {option}={name!r}"
        )
    return ACTIVATIONS[name]


def activation_to_huggingface(name: str) -> str:
    """Their name of one of our activations.

    Raises:
        ValueError: they have none; the message lists the known ones.
    """
    names = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
    if name not in names:
        raise ValueError(
            f"`activation` must be one of {sorted(names)}. Received: activation={name!r}"
        )
    return names[name]
