"""DistilBERT checkpoints, Hugging Face and KerasHub."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tflm.checkpoints import backbone_parts
from tflm.checkpoints.families import bert
from tflm.checkpoints.mapping import Rule, dense, norm, same
from tflm.checkpoints.options import activation, activation_to_huggingface, check_options
from tflm.models.distilbert import Config, DistilBert

MODEL = DistilBert
MODEL_TYPES = ("distilbert",)
PREFIX = "distilbert."
HEADS = (
    "vocab_transform.*",
    "vocab_layer_norm.*",
    "vocab_projector.*",
    "pre_classifier.*",
    "classifier.*",
    "qa_outputs.*",
)
IGNORED = ("embeddings.position_ids",)
KERAS_HUB = ("DistilBertBackbone",)

DEFAULTS = {
    "vocab_size": 30522,
    "max_position_embeddings": 512,
    "n_layers": 6,
    "n_heads": 12,
    "dim": 768,
    "hidden_dim": 3072,
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "activation": "gelu",
}


def config_from_huggingface(config: Mapping[str, Any], names: Collection[str]) -> Config:
    """`config.json` -> `Config`.

    `sinusoidal_pos_embds` says how the position table was filled at first; it is stored anyway.
    """
    check_options(config, {"is_decoder": (False,), "add_cross_attention": (False,)})
    config = {**DEFAULTS, **config}
    return Config(
        vocab_size=config["vocab_size"],
        hidden_dim=config["dim"],
        ffn_dim=config["hidden_dim"],
        num_heads=config["n_heads"],
        num_layers=config["n_layers"],
        max_length=config["max_position_embeddings"],
        dropout=config["dropout"],
        attention_dropout=config["attention_dropout"],
        activation=activation(config, "activation"),
        norm_epsilon=1e-12,
    )


def config_to_huggingface(config: Config) -> dict[str, Any]:
    """`Config` -> `config.json`.

    Raises:
        ValueError: `norm_epsilon` is not the one that is written into their code.
    """
    if config.norm_epsilon != 1e-12:
        raise ValueError(
            "`norm_epsilon` must be 1e-12, which is what transformers computes a DistilBERT with. "
            f"Received: norm_epsilon={config.norm_epsilon}"
        )
    return {
        "architectures": ["DistilBertModel"],
        "model_type": "distilbert",
        "vocab_size": config.vocab_size,
        "dim": config.hidden_dim,
        "hidden_dim": config.ffn_dim,
        "n_heads": config.num_heads,
        "n_layers": config.num_layers,
        "max_position_embeddings": config.max_length,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation": activation_to_huggingface(config.activation),
        "sinusoidal_pos_embds": False,
        "pad_token_id": 0,
    }


def weights(config: Config) -> Iterator[Rule]:
    """Where every weight is stored."""
    yield same("embedding/embeddings", "embeddings.word_embeddings.weight")
    yield same("positions/embeddings", "embeddings.position_embeddings.weight")
    yield from norm("embedding_norm", "embeddings.LayerNorm")
    for i in range(config.num_layers):
        ours, theirs = f"block_{i}", f"transformer.layer.{i}"
        projections = [f"{theirs}.attention.{name}_lin" for name in "qkv"]
        yield from dense(f"{ours}/attention/query_key_value", *projections)
        yield from dense(f"{ours}/attention/out", f"{theirs}.attention.out_lin")
        yield from norm(f"{ours}/attention_norm", f"{theirs}.sa_layer_norm")
        yield from dense(f"{ours}/feed_forward/up", f"{theirs}.ffn.lin1")
        yield from dense(f"{ours}/feed_forward/down", f"{theirs}.ffn.lin2")
        yield from norm(f"{ours}/feed_forward_norm", f"{theirs}.output_layer_norm")


def config_from_keras_hub(config: Mapping[str, Any]) -> Config:
    """A KerasHub backbone's constructor arguments -> `Config`."""
    return Config(
        **backbone_parts.sizes(config),
        num_layers=config["num_layers"],
        activation="gelu",
        norm_epsilon=1e-12,
    )


def keras_hub_weights(config: Config) -> Iterator[Rule]:
    """Where a KerasHub backbone holds every weight."""
    tables = "token_and_position_embedding"
    yield same("embedding/embeddings", f"{tables}/token_embedding/embeddings")
    yield same("positions/embeddings", f"{tables}/position_embedding/embeddings")
    yield from bert.keras_hub_blocks(config)
