"""T5 checkpoints: T5, T5 1.1, Flan-T5 and mT5."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tflm.checkpoints.mapping import Rule, dense, norm, same
from tflm.checkpoints.options import activation, activation_to_huggingface, check_options
from tflm.models.t5 import T5, Config

MODEL = T5
MODEL_TYPES = ("t5", "mt5")
PREFIX = "transformer."
HEADS = ("classification_head.*", "classifier.*", "qa_outputs.*")
IGNORED = (
    # Of old checkpoints, never read: between the sides there are no distances.
    "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
)

DEFAULTS = {
    "vocab_size": 32128,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 2048,
    "num_layers": 6,
    "num_heads": 8,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "dropout_rate": 0.1,
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "relu",
}
MT5_DEFAULTS = {
    "vocab_size": 250112,
    "d_ff": 1024,
    "num_layers": 8,
    "num_heads": 6,
    "feed_forward_proj": "gated-gelu",
}


def config_from_huggingface(config: Mapping[str, Any], names: Collection[str]) -> Config:
    """`config.json` -> `Config`.

    The first version multiplies its output before the logits, and has the embeddings as output
    weights; 1.1 neither. `tie_word_embeddings` says which it is, and `scale_decoder_outputs` where
    a newer transformers library has written the file. That library stores output weights where they
    are others than the embeddings; in a 1.1 that it has trained from the start they are the same.
    """
    check_options(config, {"is_encoder_decoder": (True,), "is_decoder": (False,)})
    is_mt5 = config.get("model_type") == "mt5"
    scaled = not is_mt5 and config.get(
        "scale_decoder_outputs", config.get("tie_word_embeddings") is not False
    )
    config = {**DEFAULTS, **(MT5_DEFAULTS if is_mt5 else {}), **config}
    gate, _, function = config["feed_forward_proj"].rpartition("-")
    check_options({"feed_forward_proj": gate}, {"feed_forward_proj": ("", "gated")})
    # "gelu" behind a gate is Mesh TensorFlow's, which approximates.
    function = "gelu_new" if gate and function == "gelu" else function
    layers = config["num_layers"]
    decoder_layers = config.get("num_decoder_layers")
    return Config(
        vocab_size=config["vocab_size"],
        hidden_dim=config["d_model"],
        ffn_dim=config["d_ff"],
        num_heads=config["num_heads"],
        head_dim=config["d_kv"],
        num_encoder_layers=layers,
        num_decoder_layers=layers if decoder_layers is None else decoder_layers,
        num_buckets=config["relative_attention_num_buckets"],
        max_distance=config["relative_attention_max_distance"],
        dropout=config["dropout_rate"],
        activation=activation({"feed_forward_proj": function}, "feed_forward_proj"),
        gated=gate == "gated",
        tie_output=scaled or "lm_head.weight" not in names,
        scale_output=scaled,
        norm_epsilon=config["layer_norm_epsilon"],
    )


def config_to_huggingface(config: Config) -> dict[str, Any]:
    """`Config` -> `config.json`, with the special tokens of the published vocabulary.

    Raises:
        ValueError: they have no name for the activation behind a gate, or no such output.
    """
    if config.scale_output and not config.tie_output:
        raise ValueError(
            "`scale_output` must be false where `tie_output` is, as in every published T5. "
            "Received: scale_output=True, tie_output=False"
        )
    function = activation_to_huggingface(config.activation)
    if config.gated:
        if config.activation == "gelu":
            raise ValueError(
                "`activation` must be another where `gated` is true, 'gelu_tanh' say, which is "
                "what transformers computes there. Received: activation='gelu'"
            )
        function = "gated-gelu" if config.activation == "gelu_tanh" else f"gated-{function}"
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "vocab_size": config.vocab_size,
        "d_model": config.hidden_dim,
        "d_ff": config.ffn_dim,
        "num_heads": config.num_heads,
        "d_kv": config.head_dim,
        "num_layers": config.num_encoder_layers,
        "num_decoder_layers": config.num_decoder_layers,
        "relative_attention_num_buckets": config.num_buckets,
        "relative_attention_max_distance": config.max_distance,
        "dropout_rate": config.dropout,
        "feed_forward_proj": function,
        "tie_word_embeddings": config.scale_output,
        "layer_norm_epsilon": config.norm_epsilon,
        "is_encoder_decoder": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }


def weights(config: Config) -> Iterator[Rule]:
    """Where every weight is stored."""
    aliases = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
    if config.tie_output:
        aliases.append("lm_head.weight")
    else:
        yield same("output_embedding/embeddings", "lm_head.weight")
    yield same("embedding/embeddings", "shared.weight", *aliases)
    for side, count in (
        ("encoder", config.num_encoder_layers),
        ("decoder", config.num_decoder_layers),
    ):
        first = f"{side}.block.0.layer.0.SelfAttention"
        yield same(f"{side}_bias/embeddings", f"{first}.relative_attention_bias.weight")
        for i in range(count):
            yield from _block(f"{side}_block_{i}", f"{side}.block.{i}.layer", side, config.gated)
        yield from norm(f"{side}_norm", f"{side}.final_layer_norm", bias=False)


def _block(ours: str, theirs: str, side: str, gated: bool) -> Iterator[Rule]:
    own, cross, last = f"{theirs}.0", f"{theirs}.1", f"{theirs}.{2 if side == 'decoder' else 1}"
    query, key, value = (f"{own}.SelfAttention.{name}" for name in "qkv")
    yield from dense(f"{ours}/attention/query_key_value", query, key, value, bias=False)
    yield from dense(f"{ours}/attention/out", f"{own}.SelfAttention.o", bias=False)
    yield from norm(f"{ours}/attention_norm", f"{own}.layer_norm", bias=False)
    if side == "decoder":
        query, key, value = (f"{cross}.EncDecAttention.{name}" for name in "qkv")
        yield from dense(f"{ours}/cross_attention/query", query, bias=False)
        yield from dense(f"{ours}/cross_attention/key_value", key, value, bias=False)
        yield from dense(f"{ours}/cross_attention/out", f"{cross}.EncDecAttention.o", bias=False)
        yield from norm(f"{ours}/cross_attention_norm", f"{cross}.layer_norm", bias=False)
    feed_forward = f"{ours}/feed_forward"
    if gated:
        yield from dense(f"{feed_forward}/gate", f"{last}.DenseReluDense.wi_0", bias=False)
        yield from dense(f"{feed_forward}/up", f"{last}.DenseReluDense.wi_1", bias=False)
    else:
        yield from dense(f"{feed_forward}/up", f"{last}.DenseReluDense.wi", bias=False)
    yield from dense(f"{feed_forward}/down", f"{last}.DenseReluDense.wo", bias=False)
    yield from norm(f"{ours}/feed_forward_norm", f"{last}.layer_norm", bias=False)
