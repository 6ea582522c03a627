"""BERT checkpoints, Hugging Face and KerasHub; DistilBERT and RoBERTa share the parts below."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tflm.checkpoints import backbone_parts
from tflm.checkpoints.mapping import Rule, dense, norm, same
from tflm.checkpoints.options import activation, activation_to_huggingface, check_options
from tflm.models.bert import Bert, Config

MODEL = Bert
MODEL_TYPES = ("bert",)
PREFIX = "bert."
HEADS = ("cls.*", "classifier.*", "qa_outputs.*")
IGNORED = ("embeddings.position_ids",)
KERAS_HUB = ("BertBackbone",)

DEFAULTS = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
IMPLEMENTED = {
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "position_embedding_type": ("absolute",),
    "embedding_size": (None,),
}


def config_from_huggingface(config: Mapping[str, Any], names: Collection[str]) -> Config:
    """`config.json` -> `Config`; there is a pooler where its weights are stored."""
    return Config(**fields_from_huggingface(config, names))


def fields_from_huggingface(config: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The fields that BERT and RoBERTa have, whose `config.json` have the same options."""
    check_options(config, IMPLEMENTED)
    config = {**DEFAULTS, **config}
    return {
        "vocab_size": config["vocab_size"],
        "hidden_dim": config["hidden_size"],
        "ffn_dim": config["intermediate_size"],
        "num_heads": config["num_attention_heads"],
        "num_layers": config["num_hidden_layers"],
        "max_length": config["max_position_embeddings"],
        "num_segments": config["type_vocab_size"],
        "dropout": config["hidden_dropout_prob"],
        "attention_dropout": config["attention_probs_dropout_prob"],
        "activation": activation(config, "hidden_act"),
        "norm_epsilon": config["layer_norm_eps"],
        "pooler": "pooler.dense.weight" in names,
    }


def config_to_huggingface(config: Config) -> dict[str, Any]:
    """`Config` -> `config.json`."""
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        **fields_to_huggingface(config),
        "pad_token_id": 0,
    }


def fields_to_huggingface(config: Any) -> dict[str, Any]:
    """The options that BERT and RoBERTa have."""
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_dim,
        "intermediate_size": config.ffn_dim,
        "num_attention_heads": config.num_heads,
        "num_hidden_layers": config.num_layers,
        "max_position_embeddings": config.max_length,
        "type_vocab_size": config.num_segments,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "hidden_act": activation_to_huggingface(config.activation),
        "layer_norm_eps": config.norm_epsilon,
    }


def weights(config: Any) -> Iterator[Rule]:
    """Where every weight is stored, of BERT and RoBERTa alike."""
    yield same("embedding/embeddings", "embeddings.word_embeddings.weight")
    yield same("positions/embeddings", "embeddings.position_embeddings.weight")
    if config.num_segments:
        yield same("segment_embedding/embeddings", "embeddings.token_type_embeddings.weight")
    yield from norm("embedding_norm", "embeddings.LayerNorm")
    for i in range(config.num_layers):
        ours, theirs = f"block_{i}", f"encoder.layer.{i}"
        projections = [f"{theirs}.attention.self.{name}" for name in ("query", "key", "value")]
        yield from dense(f"{ours}/attention/query_key_value", *projections)
        yield from dense(f"{ours}/attention/out", f"{theirs}.attention.output.dense")
        yield from norm(f"{ours}/attention_norm", f"{theirs}.attention.output.LayerNorm")
        yield from dense(f"{ours}/feed_forward/up", f"{theirs}.intermediate.dense")
        yield from dense(f"{ours}/feed_forward/down", f"{theirs}.output.dense")
        yield from norm(f"{ours}/feed_forward_norm", f"{theirs}.output.LayerNorm")
    if config.pooler:
        yield from dense("pooler", "pooler.dense")


def config_from_keras_hub(config: Mapping[str, Any]) -> Config:
    """A KerasHub backbone's constructor arguments -> `Config`."""
    return Config(
        **backbone_parts.sizes(config),
        num_layers=config["num_layers"],
        num_segments=config["num_segments"],
        activation="gelu_tanh",
        norm_epsilon=1e-12,
        pooler=True,
    )


def keras_hub_weights(config: Config) -> Iterator[Rule]:
    """Where a KerasHub backbone holds every weight."""
    yield same("embedding/embeddings", "token_embedding/embeddings")
    yield same("positions/embeddings", "position_embedding/embeddings")
    yield same("segment_embedding/embeddings", "segment_embedding/embeddings")
    yield from keras_hub_blocks(config)
    yield same("pooler/kernel", "pooled_dense/kernel")
    yield same("pooler/bias", "pooled_dense/bias")


def keras_hub_blocks(config: Any) -> Iterator[Rule]:
    """The blocks, and the normalisation before them, of the three backbones."""
    yield from backbone_parts.norm("embedding_norm", "embeddings_layer_norm")
    for i in range(config.num_layers):
        ours, theirs = f"block_{i}", f"transformer_layer_{i}"
        layer, norm_name = f"{theirs}/self_attention_layer", f"{theirs}/feedforward_layer_norm"
        yield from backbone_parts.self_attention(f"{ours}/attention", layer, config.num_heads)
        yield from backbone_parts.norm(f"{ours}/attention_norm", f"{layer}_norm")
        yield from backbone_parts.feed_forward(f"{ours}/feed_forward", theirs)
        yield from backbone_parts.norm(f"{ours}/feed_forward_norm", norm_name)
