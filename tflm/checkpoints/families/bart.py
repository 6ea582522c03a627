"""BART checkpoints, Hugging Face and KerasHub; Marian shares the parts below."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from tflm.checkpoints import backbone_parts
from tflm.checkpoints.mapping import Rule, dense, norm, same
from tflm.checkpoints.options import activation, activation_to_huggingface, check_options
from tflm.models.bart import FIRST_POSITION, Bart, Config

MODEL = Bart
MODEL_TYPES = ("bart",)
PREFIX = "model."
HEADS = ("classification_head.*", "qa_outputs.*")
IGNORED = ("encoder.version", "decoder.version")
KERAS_HUB = ("BartBackbone",)

DEFAULTS = {
    "vocab_size": 50265,
    "max_position_embeddings": 1024,
    "encoder_layers": 12,
    "encoder_ffn_dim": 4096,
    "encoder_attention_heads": 16,
    "decoder_layers": 12,
    "decoder_ffn_dim": 4096,
    "decoder_attention_heads": 16,
    "activation_function": "gelu",
    "d_model": 1024,
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
}
IMPLEMENTED = {
    "scale_embedding": (False,),
    "is_encoder_decoder": (True,),
    "is_decoder": (False,),
    "tie_word_embeddings": (True,),
    # Options of old files, which the transformers library no longer reads.
    "normalize_before": (False,),
    "add_final_layer_norm": (False,),
    "normalize_embedding": (True,),
    "add_bias_logits": (False,),
    "static_position_embeddings": (False,),
}


def config_from_huggingface(config: Mapping[str, Any], names: Collection[str]) -> Config:
    """`config.json` -> `Config`; the logits have a bias where it is stored."""
    check_options(config, IMPLEMENTED)
    fields = fields_from_huggingface({**DEFAULTS, **config})
    return Config(**fields, output_bias="final_logits_bias" in names)


def fields_from_huggingface(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that BART and Marian have, whose `config.json` have the same options.

    Raises:
        ValueError: encoder and decoder are not of one width.
    """
    for option in ("ffn_dim", "attention_heads"):
        sides = {f"{side}_{option}": config[f"{side}_{option}"] for side in ("encoder", "decoder")}
        check_options(sides, {f"decoder_{option}": (sides[f"encoder_{option}"],)})
    return {
        "vocab_size": config["vocab_size"],
        "hidden_dim": config["d_model"],
        "ffn_dim": config["encoder_ffn_dim"],
        "num_heads": config["encoder_attention_heads"],
        "num_encoder_layers": config["encoder_layers"],
        "num_decoder_layers": config["decoder_layers"],
        "max_length": config["max_position_embeddings"],
        "dropout": config["dropout"],
        "attention_dropout": config["attention_dropout"],
        "ffn_dropout": config["activation_dropout"],
        "activation": activation(config, "activation_function"),
    }


def config_to_huggingface(config: Config) -> dict[str, Any]:
    """`Config` -> `config.json`, with the special tokens of the published vocabulary."""
    return {
        "architectures": ["BartForConditionalGeneration"],
        "model_type": "bart",
        **fields_to_huggingface(config),
        "scale_embedding": False,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_bos_token_id": 0,
        "forced_eos_token_id": 2,
    }


def fields_to_huggingface(config: Any) -> dict[str, Any]:
    """The options that BART and Marian have."""
    return {
        "vocab_size": config.vocab_size,
        "d_model": config.hidden_dim,
        "encoder_ffn_dim": config.ffn_dim,
        "decoder_ffn_dim": config.ffn_dim,
        "encoder_attention_heads": config.num_heads,
        "decoder_attention_heads": config.num_heads,
        "encoder_layers": config.num_encoder_layers,
        "decoder_layers": config.num_decoder_layers,
        "num_hidden_layers": config.num_encoder_layers,
        "max_position_embeddings": config.max_length,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.ffn_dropout,
        "activation_function": activation_to_huggingface(config.activation),
        "is_encoder_decoder": True,
        "tie_word_embeddings": True,
    }


def weights(config: Config) -> Iterator[Rule]:
    """Where every weight is stored."""
    aliases = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
    yield same("embedding/embeddings", "model.shared.weight", *aliases)
    for side in ("encoder", "decoder"):
        yield same(f"{side}_positions/embeddings", f"model.{side}.embed_positions.weight")
        yield from norm(f"{side}_embedding_norm", f"model.{side}.layernorm_embedding")
    yield from blocks(config)
    if config.output_bias:
        yield output_bias()


def output_bias() -> Rule:
    """The bias of the logits, which theirs store as a row."""
    return Rule(
        "output_bias", ("final_logits_bias",), lambda row: row[0], lambda bias: [bias[None]]
    )


def blocks(config: Any) -> Iterator[Rule]:
    """The blocks of both sides."""
    for side, count in (
        ("encoder", config.num_encoder_layers),
        ("decoder", config.num_decoder_layers),
    ):
        for i in range(count):
            ours, theirs = f"{side}_block_{i}", f"model.{side}.layers.{i}"
            own = [f"{theirs}.self_attn.{name}_proj" for name in "qkv"]
            yield from dense(f"{ours}/attention/query_key_value", *own)
            yield from dense(f"{ours}/attention/out", f"{theirs}.self_attn.out_proj")
            yield from norm(f"{ours}/attention_norm", f"{theirs}.self_attn_layer_norm")
            if side == "decoder":
                cross = f"{theirs}.encoder_attn"
                yield from dense(f"{ours}/cross_attention/query", f"{cross}.q_proj")
                pair = (f"{cross}.k_proj", f"{cross}.v_proj")
                yield from dense(f"{ours}/cross_attention/key_value", *pair)
                yield from dense(f"{ours}/cross_attention/out", f"{cross}.out_proj")
                yield from norm(f"{ours}/cross_attention_norm", f"{cross}_layer_norm")
            yield from dense(f"{ours}/feed_forward/up", f"{theirs}.fc1")
            yield from dense(f"{ours}/feed_forward/down", f"{theirs}.fc2")
            yield from norm(f"{ours}/feed_forward_norm", f"{theirs}.final_layer_norm")


def config_from_keras_hub(config: Mapping[str, Any]) -> Config:
    """A KerasHub backbone's constructor arguments -> `Config`."""
    return Config(
        **backbone_parts.sizes(config),
        num_encoder_layers=config["num_layers"],
        num_decoder_layers=config["num_layers"],
    )


def keras_hub_weights(config: Config) -> Iterator[Rule]:
    """Where a KerasHub backbone holds every weight; its positions have no rows before the first."""
    yield same("embedding/embeddings", "token_embedding/embeddings")
    for side in ("encoder", "decoder"):
        yield Rule(
            f"{side}_positions/embeddings",
            (f"{side}_position_embedding/embeddings",),
            lambda table: np.pad(table, ((FIRST_POSITION, 0), (0, 0))),
            lambda table: [table[FIRST_POSITION:]],
        )
        yield from backbone_parts.norm(f"{side}_embedding_norm", f"{side}_embeddings_layer_norm")
        for i in range(getattr(config, f"num_{side}_layers")):
            yield from _keras_hub_block(
                f"{side}_block_{i}", f"transformer_{side}_layer_{i}", config
            )


def _keras_hub_block(ours: str, theirs: str, config: Config) -> Iterator[Rule]:
    heads = config.num_heads
    is_decoder = ours.startswith("decoder")
    layer = f"{theirs}/self_attention" if is_decoder else f"{theirs}/self_attention_layer"
    yield from backbone_parts.self_attention(f"{ours}/attention", layer, heads)
    norm_name = f"{theirs}/self_attention_layer_norm"
    yield from backbone_parts.norm(f"{ours}/attention_norm", norm_name)
    if is_decoder:
        cross, layer = f"{ours}/cross_attention", f"{theirs}/cross_attention"
        pair = (f"{layer}/key", f"{layer}/value")
        yield from backbone_parts.heads_out(f"{cross}/query", f"{layer}/query", num_heads=heads)
        yield from backbone_parts.heads_out(f"{cross}/key_value", *pair, num_heads=heads)
        yield from backbone_parts.heads_in(f"{cross}/out", f"{layer}/attention_output", heads)
        yield from backbone_parts.norm(f"{cross}_norm", f"{layer}_layer_norm")
    yield from backbone_parts.feed_forward(f"{ours}/feed_forward", theirs)
    yield from backbone_parts.norm(f"{ours}/feed_forward_norm", f"{theirs}/feedforward_layer_norm")
