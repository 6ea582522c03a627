"""Marian checkpoints: OPUS-MT."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tflm.checkpoints.families import bart
from tflm.checkpoints.mapping import Rule, same
from tflm.checkpoints.options import check_options
from tflm.models.marian import Config, Marian

MODEL = Marian
MODEL_TYPES = ("marian",)
PREFIX = "model."
HEADS = ()
IGNORED = ("encoder.embed_positions.weight", "decoder.embed_positions.weight")  # sinusoids

DEFAULTS = {**bart.DEFAULTS, "vocab_size": 58101}
IMPLEMENTED = {
    **bart.IMPLEMENTED,
    "scale_embedding": (True,),
    "normalize_embedding": (False,),
    "add_bias_logits": (False,),
    "static_position_embeddings": (True,),
}


def config_from_huggingface(config: Mapping[str, Any], names: Collection[str]) -> Config:
    """`config.json` -> `Config`."""
    config = {**DEFAULTS, "scale_embedding": False, **config}
    check_options(config, IMPLEMENTED)
    shared = config.get("share_encoder_decoder_embeddings", True)
    target = config.get("decoder_vocab_size") or config["vocab_size"]
    if shared:
        check_options(
            {"decoder_vocab_size": target}, {"decoder_vocab_size": (config["vocab_size"],)}
        )
    return Config(
        **bart.fields_from_huggingface(config), target_vocab_size=None if shared else target
    )


def config_to_huggingface(config: Config) -> dict[str, Any]:
    """`Config` -> `config.json`, with the special tokens of the published models."""
    target = config.target_vocab_size or config.vocab_size
    pad = target - 1
    return {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        **bart.fields_to_huggingface(config),
        "decoder_vocab_size": target,
        "share_encoder_decoder_embeddings": config.target_vocab_size is None,
        "scale_embedding": True,
        "static_position_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "forced_eos_token_id": 0,
        "pad_token_id": pad,
        "decoder_start_token_id": pad,
        "bad_words_ids": [[pad]],
    }


def weights(config: Config) -> Iterator[Rule]:
    """Where every weight is stored."""
    if config.target_vocab_size is None:
        aliases = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
        yield same("embedding/embeddings", "model.shared.weight", *aliases)
    else:
        yield same("embedding/embeddings", "model.encoder.embed_tokens.weight")
        target = "target_embedding/embeddings"
        yield same(target, "model.decoder.embed_tokens.weight", "lm_head.weight")
    yield from bart.blocks(config)
    yield bart.output_bias()
