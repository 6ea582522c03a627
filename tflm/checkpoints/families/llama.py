"""Llama, Mistral, Qwen2 and Qwen3 checkpoints of Hugging Face, SmolLM's too; KerasHub's Llama.

The four have the same tensors, and options that differ: a configuration goes out as the plainest
that has what it asks for.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tflm.checkpoints.backbone_parts import heads_in, heads_out
from tflm.checkpoints.families.gpt2 import output
from tflm.checkpoints.mapping import Rule, dense, norm, same
from tflm.checkpoints.options import activation, activation_to_huggingface, check_options
from tflm.models.llama import Config, Llama

MODEL = Llama
MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")
PREFIX = "model."
HEADS = ("score.*", "qa_outputs.*", "classifier.*")
IGNORED = ("layers.*.self_attn.rotary_emb.inv_freq", "rotary_emb.inv_freq")
KERAS_HUB = ("LlamaBackbone", "Llama3Backbone")

COMMON = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": None,
    "head_dim": None,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "attention_dropout": 0.0,
    "tie_word_embeddings": False,
}
QWEN = {
    "vocab_size": 151936,
    "intermediate_size": 22016,
    "max_position_embeddings": 32768,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
}
DEFAULTS = {
    "llama": {"vocab_size": 32000, "intermediate_size": 11008, "max_position_embeddings": 2048},
    "mistral": {
        "vocab_size": 32000,
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
    },
    "qwen2": {**QWEN, "num_key_value_heads": 32},
    "qwen3": {**QWEN, "num_key_value_heads": 32, "head_dim": 128},
}
IMPLEMENTED = {"attention_bias": (False,), "mlp_bias": (False,)}
ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}


def config_from_huggingface(config: Mapping[str, Any], names: Collection[str]) -> Config:
    """`config.json` -> `Config`."""
    check_options(config, IMPLEMENTED)
    model_type = config.get("model_type", "llama")
    config = {**COMMON, **DEFAULTS[model_type], **config}
    heads, width = config["num_attention_heads"], config["hidden_size"]
    groups, head_dim = config["num_key_value_heads"], config["head_dim"]
    return Config(
        vocab_size=config["vocab_size"],
        hidden_dim=width,
        ffn_dim=config["intermediate_size"],
        num_heads=heads,
        num_kv_heads=None if groups == heads else groups,
        head_dim=None if head_dim is not None and head_dim * heads == width else head_dim,
        num_layers=config["num_hidden_layers"],
        max_length=config["max_position_embeddings"],
        **_rotary_from_huggingface(config),
        **_window_from_huggingface(config, model_type),
        query_key_norm=model_type == "qwen3",
        query_key_value_bias=model_type == "qwen2",
        attention_dropout=config["attention_dropout"],
        activation=activation(config, "hidden_act"),
        norm_epsilon=config["rms_norm_eps"],
        tie_output=config["tie_word_embeddings"],
    )


def _rotary_from_huggingface(config: Mapping[str, Any]) -> dict[str, Any]:
    """`rope_parameters`, or as versions before the fifth have it `rope_theta`, `rope_scaling`."""
    given = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kinds = {"default": "none", "linear": "linear", "llama3": "llama3"}
    kind = isinstance(given, Mapping) and given.get("rope_type", given.get("type", "default"))
    if kind not in kinds:
        raise ValueError(
            f"`rope_parameters` must be of one of the types {sorted(kinds)}. Received: {given!r}"
        )
    check_options(given, {"partial_rotary_factor": (1.0,), "attention_factor": (None, 1.0)})
    theta = given.get("rope_theta", config.get("rope_theta"))
    fields: dict[str, Any] = {
        "rotary_base": 10000.0 if theta is None else float(theta),
        "rotary_scaling": kinds[kind],
    }
    if kind != "default":
        fields["rotary_factor"] = float(given["factor"])
    if kind == "llama3":
        fields["rotary_low"] = float(given["low_freq_factor"])
        fields["rotary_high"] = float(given["high_freq_factor"])
        fields["rotary_original_length"] = given["original_max_position_embeddings"]
    return fields


def _window_from_huggingface(config: Mapping[str, Any], model_type: str) -> dict[str, Any]:
    """Mistral's is every layer's; a Qwen's is that of the layers from a certain one on."""
    if model_type == "llama" or config["sliding_window"] is None:
        return {}
    if model_type == "mistral":
        check_options(config, {"layer_types": (None, ["sliding_attention"])})
        return {"window": config["sliding_window"]}
    if not config["use_sliding_window"]:
        return {}
    count = config["num_hidden_layers"]
    types, first = config.get("layer_types"), config["max_window_layers"]
    if isinstance(types, list) and "sliding_attention" in types:
        first = types.index("sliding_attention")
    if types not in (None, _layer_types(first, count)):
        raise ValueError(
            "`layer_types` must be 'full_attention' in the first layers and 'sliding_attention' in "
            f"the others. Received: layer_types={types!r}"
        )
    if first >= count:
        return {}
    return {"window": config["sliding_window"], "window_from": first}


def _layer_types(first: int, count: int) -> list[str]:
    return ["sliding_attention" if i >= first else "full_attention" for i in range(count)]


def config_to_huggingface(config: Config) -> dict[str, Any]:
    """`Config` -> `config.json`.

    Raises:
        ValueError: no public architecture has what the config combines.
    """
    model_type = _model_type(config)
    head_dim = config.head_dim or config.hidden_dim // config.num_heads
    return {
        "architectures": [ARCHITECTURES[model_type]],
        "model_type": model_type,
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_dim,
        "intermediate_size": config.ffn_dim,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads or config.num_heads,
        "head_dim": head_dim,
        "num_hidden_layers": config.num_layers,
        "max_position_embeddings": config.max_length,
        **_rotary_to_huggingface(config),
        **_window_to_huggingface(config, model_type),
        "attention_dropout": config.attention_dropout,
        "hidden_act": activation_to_huggingface(config.activation),
        "rms_norm_eps": config.norm_epsilon,
        "tie_word_embeddings": config.tie_output,
    }


def _model_type(config: Config) -> str:
    if config.query_key_norm and config.query_key_value_bias:
        raise ValueError(
            "`query_key_norm` and `query_key_value_bias` must not both be true, which no public "
            "architecture has. Received: query_key_norm=True, query_key_value_bias=True"
        )
    if config.query_key_norm:
        return "qwen3"
    if config.query_key_value_bias:
        return "qwen2"
    if config.window is None:
        return "llama"
    if config.window_from:
        raise ValueError(
            "`window_from` must be 0 without the biases or the norms of a Qwen. "
            f"Received: window_from={config.window_from}"
        )
    return "mistral"


def _rotary_to_huggingface(config: Config) -> dict[str, Any]:
    """As every version of the transformers library reads it."""
    scaling: dict[str, Any] | None = None
    if config.rotary_scaling != "none":
        scaling = {"rope_type": config.rotary_scaling, "factor": config.rotary_factor}
    if config.rotary_scaling == "llama3":
        scaling = {
            **(scaling or {}),
            "low_freq_factor": config.rotary_low,
            "high_freq_factor": config.rotary_high,
            "original_max_position_embeddings": config.rotary_original_length,
        }
    return {"rope_theta": config.rotary_base, "rope_scaling": scaling}


def _window_to_huggingface(config: Config, model_type: str) -> dict[str, Any]:
    if model_type == "llama":
        return {}
    if model_type == "mistral":
        return {"sliding_window": config.window}
    return {
        "use_sliding_window": config.window is not None,
        "sliding_window": config.window,
        "max_window_layers": config.num_layers if config.window is None else config.window_from,
    }


def weights(config: Config) -> Iterator[Rule]:
    """Where every weight is stored."""
    yield from output(config, "model.embed_tokens.weight")
    head_dim = config.head_dim or config.hidden_dim // config.num_heads
    groups = config.num_kv_heads or config.num_heads
    parts = [count * head_dim for count in (config.num_heads, groups, groups)]
    for i in range(config.num_layers):
        ours, theirs = f"block_{i}", f"model.layers.{i}"
        yield from dense(
            f"{ours}/attention/query_key_value",
            *(f"{theirs}.self_attn.{name}_proj" for name in "qkv"),
            bias=config.query_key_value_bias,
            parts=parts,
        )
        yield from dense(f"{ours}/attention/out", f"{theirs}.self_attn.o_proj", bias=False)
        if config.query_key_norm:
            yield from norm(
                f"{ours}/attention/query_norm", f"{theirs}.self_attn.q_norm", bias=False
            )
            yield from norm(f"{ours}/attention/key_norm", f"{theirs}.self_attn.k_norm", bias=False)
        yield from norm(f"{ours}/attention_norm", f"{theirs}.input_layernorm", bias=False)
        for name in ("gate", "up", "down"):
            layer = f"{theirs}.mlp.{name}_proj"
            yield from dense(f"{ours}/feed_forward/{name}", layer, bias=False)
        yield from norm(
            f"{ours}/feed_forward_norm", f"{theirs}.post_attention_layernorm", bias=False
        )
    yield from norm("final_norm", "model.norm", bias=False)


def config_from_keras_hub(config: Mapping[str, Any]) -> Config:
    """A KerasHub backbone's constructor arguments -> `Config`, which say no longest text."""
    heads, groups = config["num_query_heads"], config["num_key_value_heads"]
    # KerasHub 0.32 takes this factor and computes without it.
    check_options(config, {"rope_position_scaling_factor": (1.0,)})
    fields: dict[str, Any] = {}
    if config["rope_frequency_adjustment_factor"] is not None:
        fields = {
            "rotary_scaling": "llama3",
            "rotary_factor": config["rope_frequency_adjustment_factor"],
            "rotary_low": config["rope_low_freq_factor"],
            "rotary_high": config["rope_high_freq_factor"],
            "rotary_original_length": config["rope_pretraining_sequence_length"],
        }
    return Config(
        vocab_size=config["vocabulary_size"],
        hidden_dim=config["hidden_dim"],
        ffn_dim=config["intermediate_dim"],
        num_heads=heads,
        num_kv_heads=None if groups == heads else groups,
        num_layers=config["num_layers"],
        rotary_base=float(config["rope_max_wavelength"]),
        **fields,
        dropout=config["dropout"],
        attention_dropout=config["dropout"],
        norm_epsilon=config["layer_norm_epsilon"],
        tie_output=config["tie_word_embeddings"],
    )


def keras_hub_weights(config: Config) -> Iterator[Rule]:
    """Where a KerasHub backbone holds every weight."""
    yield same("embedding/embeddings", "token_embedding/embeddings")
    if not config.tie_output:
        yield Rule(
            "output_embedding/embeddings",
            ("token_embedding/reverse_embeddings",),
            lambda table: table.T,
            lambda table: [table.T],
        )
    groups = config.num_kv_heads or config.num_heads
    for i in range(config.num_layers):
        ours, theirs = f"block_{i}", f"transformer_layer_{i}"
        attention = f"{theirs}/self_attention"
        yield from heads_out(
            f"{ours}/attention/query_key_value",
            *(f"{attention}/{name}" for name in ("query", "key", "value")),
            num_heads=[config.num_heads, groups, groups],
            bias=False,
        )
        out, heads = f"{attention}/attention_output", config.num_heads
        yield from heads_in(f"{ours}/attention/out", out, heads, bias=False)
        yield same(f"{ours}/attention_norm/scale", f"{attention}_layernorm/scale")
        for name, layer in (("gate", "gate"), ("up", "intermediate"), ("down", "output")):
            yield same(
                f"{ours}/feed_forward/{name}/kernel", f"{theirs}/feedforward_{layer}_dense/kernel"
            )
        yield same(f"{ours}/feed_forward_norm/scale", f"{theirs}/feedforward_layernorm/scale")
    yield same("final_norm/scale", "sequence_output_layernorm/scale")
