"""GPT checkpoints ("openai-gpt") of Hugging Face."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tflm.checkpoints.families import gpt2
from tflm.checkpoints.mapping import Rule, same
from tflm.models.gpt import GPT, Config

MODEL = GPT
MODEL_TYPES = ("openai-gpt",)
PREFIX = "transformer."
HEADS = gpt2.HEADS
IGNORED = ("h.*.attn.bias", "position_ids")

# The names are their own: here "gelu" is the approximation.
ACTIVATIONS = {"gelu": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"}
DEFAULTS = {"vocab_size": 40478, "n_positions": 512, "afn": "gelu"}


def config_from_huggingface(config: Mapping[str, Any], names: Collection[str]) -> Config:
    """`config.json` -> `Config`; the feed-forward networks are four times the width.

    Raises:
        ValueError: there is no such activation; the message lists the known ones.
    """
    config = {**gpt2.DEFAULTS, **DEFAULTS, **config}
    if config["afn"] not in ACTIVATIONS:
        raise ValueError(
            f"`afn` must be one of {sorted(ACTIVATIONS)}. Received: afn={config['afn']!r}"
        )
    return Config(
        **gpt2.fields_from_huggingface(config),
        ffn_dim=4 * config["n_embd"],
        activation=ACTIVATIONS[config["afn"]],
    )


def config_to_huggingface(config: Config) -> dict[str, Any]:
    """`Config` -> `config.json`.

    Raises:
        ValueError: the activation or the feed-forward networks' width are not to be had there.
    """
    names = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
    if config.activation not in names:
        raise ValueError(
            f"`activation` must be one of {sorted(names)}. Received: {config.activation!r}"
        )
    if config.ffn_dim != 4 * config.hidden_dim:
        raise ValueError(
            "`ffn_dim` must be four times `hidden_dim`, all that openai-gpt can have. "
            f"Received: ffn_dim={config.ffn_dim}, hidden_dim={config.hidden_dim}"
        )
    return {
        "architectures": ["OpenAIGPTLMHeadModel"],
        "model_type": "openai-gpt",
        **gpt2.fields_to_huggingface(config),
        "afn": names[config.activation],
    }


def weights(config: Config) -> Iterator[Rule]:
    """Where every weight is stored."""
    yield from gpt2.output(config, "transformer.tokens_embed.weight")
    yield same("positions/embeddings", "transformer.positions_embed.weight")
    yield from gpt2.blocks(config)
