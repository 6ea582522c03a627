"""GPT-2 checkpoints, Hugging Face and KerasHub; GPT shares the parts below."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tflm.checkpoints import backbone_parts
from tflm.checkpoints.mapping import Rule, conv1d, norm, same
from tflm.checkpoints.options import activation, activation_to_huggingface, check_options
from tflm.models.gpt2 import GPT2, Config

MODEL = GPT2
MODEL_TYPES = ("gpt2",)
PREFIX = "transformer."
HEADS = ("score.*", "classifier.*", "multiple_choice_head.*", "qa_outputs.*")
IGNORED = ("h.*.attn.bias", "h.*.attn.masked_bias")
KERAS_HUB = ("GPT2Backbone",)

DEFAULTS = {
    "vocab_size": 50257,
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "n_inner": None,
    "activation_function": "gelu_new",
    "resid_pdrop": 0.1,
    "embd_pdrop": 0.1,
    "attn_pdrop": 0.1,
    "layer_norm_epsilon": 1e-5,
    "tie_word_embeddings": True,
}
IMPLEMENTED = {
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}


def config_from_huggingface(config: Mapping[str, Any], names: Collection[str]) -> Config:
    """`config.json` -> `Config`."""
    check_options(config, IMPLEMENTED)
    config = {**DEFAULTS, **config}
    return Config(
        **fields_from_huggingface(config),
        ffn_dim=config["n_inner"] or 4 * config["n_embd"],
        activation=activation(config, "activation_function"),
    )


def fields_from_huggingface(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that GPT and GPT-2 have, whose `config.json` have the same options."""
    return {
        "vocab_size": config["vocab_size"],
        "hidden_dim": config["n_embd"],
        "num_heads": config["n_head"],
        "num_layers": config["n_layer"],
        "max_length": config["n_positions"],
        "dropout": config["resid_pdrop"],
        "attention_dropout": config["attn_pdrop"],
        "embedding_dropout": config["embd_pdrop"],
        "norm_epsilon": config["layer_norm_epsilon"],
        "tie_output": config["tie_word_embeddings"],
    }


def config_to_huggingface(config: Config) -> dict[str, Any]:
    """`Config` -> `config.json`."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        **fields_to_huggingface(config),
        "n_inner": config.ffn_dim,
        "activation_function": activation_to_huggingface(config.activation),
    }


def fields_to_huggingface(config: Any) -> dict[str, Any]:
    """The options that GPT and GPT-2 have."""
    return {
        "vocab_size": config.vocab_size,
        "n_embd": config.hidden_dim,
        "n_head": config.num_heads,
        "n_layer": config.num_layers,
        "n_positions": config.max_length,
        "resid_pdrop": config.dropout,
        "attn_pdrop": config.attention_dropout,
        "embd_pdrop": config.embedding_dropout,
        "layer_norm_epsilon": config.norm_epsilon,
        "tie_word_embeddings": config.tie_output,
    }


def weights(config: Config) -> Iterator[Rule]:
    """Where every weight is stored."""
    yield from output(config, "transformer.wte.weight")
    yield same("positions/embeddings", "transformer.wpe.weight")
    yield from blocks(config)
    yield from norm("final_norm", "transformer.ln_f")


def output(config: Any, theirs: str) -> Iterator[Rule]:
    """Token vectors and output weights, which may be the same."""
    if config.tie_output:
        yield same("embedding/embeddings", theirs, "lm_head.weight")
        return
    yield same("embedding/embeddings", theirs)
    yield same("output_embedding/embeddings", "lm_head.weight")


def blocks(config: Any) -> Iterator[Rule]:
    """The blocks, of GPT and GPT-2 alike."""
    for i in range(config.num_layers):
        ours, theirs = f"block_{i}", f"transformer.h.{i}"
        yield from conv1d(f"{ours}/attention/query_key_value", f"{theirs}.attn.c_attn")
        yield from conv1d(f"{ours}/attention/out", f"{theirs}.attn.c_proj")
        yield from norm(f"{ours}/attention_norm", f"{theirs}.ln_1")
        yield from conv1d(f"{ours}/feed_forward/up", f"{theirs}.mlp.c_fc")
        yield from conv1d(f"{ours}/feed_forward/down", f"{theirs}.mlp.c_proj")
        yield from norm(f"{ours}/feed_forward_norm", f"{theirs}.ln_2")


def config_from_keras_hub(config: Mapping[str, Any]) -> Config:
    """A KerasHub backbone's constructor arguments -> `Config`."""
    return Config(
        **backbone_parts.sizes(config),
        num_layers=config["num_layers"],
        embedding_dropout=config["dropout"],
    )


def keras_hub_weights(config: Config) -> Iterator[Rule]:
    """Where a KerasHub backbone holds every weight."""
    yield same("embedding/embeddings", "token_embedding/embeddings")
    yield same("positions/embeddings", "position_embedding/embeddings")
    for i in range(config.num_layers):
        ours, theirs = f"block_{i}", f"transformer_layer_{i}"
        layer, norm_name = f"{theirs}/self_attention", f"{theirs}/feedforward_layer_norm"
        yield from backbone_parts.self_attention(f"{ours}/attention", layer, config.num_heads)
        yield from backbone_parts.norm(f"{ours}/attention_norm", f"{layer}_layer_norm")
        yield from backbone_parts.feed_forward(f"{ours}/feed_forward", theirs)
        yield from backbone_parts.norm(f"{ours}/feed_forward_norm", norm_name)
    yield from backbone_parts.norm("final_norm", "layer_norm")
