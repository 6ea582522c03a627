"""The Transformer of "Attention Is All You Need". https://arxiv.org/abs/1706.03762

An encoder of self-attention blocks, a decoder that also attends to the encoder's output, one
embedding matrix shared by source, target and output (section 3.4). Post-norm as published;
pre-norm by option.
"""

import dataclasses
from typing import Any

import keras
from keras import ops

from tflm.layers.blocks import DecoderBlock, EncoderBlock
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.masks import causal_mask, key_padding_mask
from tflm.layers.normalization import LayerNormalization
from tflm.layers.positions import LearnedPositions, sinusoidal_positions
from tflm.models.base import EncoderDecoder


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates of a Transformer; the defaults are the paper's base model.

    `target_vocab_size` is `None` where source and target share one vocabulary and, with it, one
    embedding matrix. `max_length` bounds learned positions only; sinusoids have no last position.
    """

    vocab_size: int = 37000
    target_vocab_size: int | None = None
    hidden_dim: int = 512
    ffn_dim: int = 2048
    num_heads: int = 8
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation: str = "relu"
    pre_norm: bool = False
    learned_positions: bool = False
    tie_output: bool = True
    max_length: int | None = None

    def __post_init__(self) -> None:
        if self.learned_positions and self.max_length is None:
            raise ValueError(
                "`max_length` must be given where `learned_positions` is true. "
                "Received: max_length=None, learned_positions=True"
            )


class Transformer(EncoderDecoder):
    """Encoder-decoder Transformer.

    Args:
        config: a `Config`.

    Example:
        >>> model = Transformer(Config(vocab_size=8000, hidden_dim=256))
    """

    Config = Config
    PRESETS = {
        # Sizes for some ten thousand sentence pairs: https://arxiv.org/abs/2105.14462, section 3.
        "tiny": Config(
            hidden_dim=128, ffn_dim=256, num_heads=4, num_encoder_layers=4, num_decoder_layers=4
        ),
        # Table 3, row (C) with d_model 256: 28 million parameters.
        "small": Config(hidden_dim=256),
        # Table 3, rows "base" (65 million parameters) and "big" (213 million).
        "base": Config(),
        "big": Config(hidden_dim=1024, ffn_dim=4096, num_heads=16, dropout=0.3),
    }

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        policy = self.dtype_policy
        self.embedding = TokenEmbedding(
            config.vocab_size, config.hidden_dim, dtype=policy, name="embedding"
        )
        self.target_embedding = self.embedding
        if config.target_vocab_size is not None:
            self.target_embedding = TokenEmbedding(
                config.target_vocab_size, config.hidden_dim, dtype=policy, name="target_embedding"
            )
        self.output_embedding = self.target_embedding
        if not config.tie_output:
            self.output_embedding = TokenEmbedding(
                config.target_vocab_size or config.vocab_size,
                config.hidden_dim,
                dtype=policy,
                name="output_embedding",
            )
        self.encoder_positions = self._learned_positions("encoder_positions")
        self.decoder_positions = self._learned_positions("decoder_positions")
        self.encoder_blocks = [
            EncoderBlock(**self._block_sizes(), dtype=policy, name=f"encoder_block_{i}")
            for i in range(config.num_encoder_layers)
        ]
        self.decoder_blocks = [
            DecoderBlock(**self._block_sizes(), dtype=policy, name=f"decoder_block_{i}")
            for i in range(config.num_decoder_layers)
        ]
        # Pre-norm leaves the last block's sum without normalisation; post-norm does not.
        self.encoder_norm = self._last_norm("encoder_norm")
        self.decoder_norm = self._last_norm("decoder_norm")
        self.drop = keras.layers.Dropout(config.dropout, dtype=policy)

    def _block_sizes(self) -> dict[str, Any]:
        names = (
            "hidden_dim",
            "num_heads",
            "ffn_dim",
            "dropout",
            "attention_dropout",
            "activation",
            "pre_norm",
        )
        return {name: getattr(self.config, name) for name in names}

    def _learned_positions(self, name: str) -> LearnedPositions | None:
        if not self.config.learned_positions:
            return None
        return LearnedPositions(
            self.config.max_length, self.config.hidden_dim, dtype=self.dtype_policy, name=name
        )

    def _last_norm(self, name: str) -> LayerNormalization | None:
        if not self.config.pre_norm:
            return None
        return LayerNormalization(self.config.hidden_dim, dtype=self.dtype_policy, name=name)

    def build(self, *_: Any) -> None:
        for layer in self.layers:
            layer.build((None, None, self.config.hidden_dim))
        self.built = True

    def _embed(
        self,
        token_ids: Any,
        embedding: TokenEmbedding,
        positions: LearnedPositions | None,
        index: Any,
        training: bool | None,
    ) -> Any:
        x = embedding(token_ids)  # (B, T, D)
        length = ops.shape(token_ids)[1]
        if positions is None:
            where = sinusoidal_positions(length, self.config.hidden_dim, index)  # (T, D)
        else:
            where = positions(length=length, index=index)  # (T, D)
        return self.drop(x + ops.cast(where, x.dtype)[None], training=training)

    def encode(self, token_ids: Any, padding_mask: Any, training: bool | None = None) -> Any:
        """Source token ids `(B, S)` and their boolean mask -> memory `(B, S, D)`."""
        x = self._embed(token_ids, self.embedding, self.encoder_positions, 0, training)
        attention_mask = key_padding_mask(padding_mask)  # (B, 1, 1, S)
        for block in self.encoder_blocks:
            x = block(x, attention_mask, training=training)
        return x if self.encoder_norm is None else self.encoder_norm(x)

    def start(self, memory: Any, padding_mask: Any, max_length: int | None = None) -> dict:
        """Keys and values of the memory for every decoder block; no target position yet.

        Raises:
            ValueError: `max_length` is more than the learned positions reach.
        """
        limit = self.config.max_length if self.config.learned_positions else None
        if limit is not None and max_length is not None and max_length > limit:
            raise ValueError(
                f"`max_length` must be at most the config's {limit}. "
                f"Received: max_length={max_length}"
            )
        batch_size = ops.shape(memory)[0]
        blocks = self.decoder_blocks
        return {
            "step": [block.attention.empty_cache(batch_size) for block in blocks],
            "memory": {
                "blocks": [block.cross_attention.project_memory(memory) for block in blocks],
                "padding_mask": padding_mask,
            },
            "weights": {"output": self.output_embedding.output_weights()},  # (D, V)
        }

    def decode(
        self, token_ids: Any, cache: dict, index: Any = 0, training: bool | None = None
    ) -> tuple[Any, dict]:
        """Target token ids `(N, T)` at the positions `index …` -> logits `(N, T, V)`, cache."""
        x = self._embed(token_ids, self.target_embedding, self.decoder_positions, index, training)
        # A single query sees everything before it and itself: nothing to hide.
        one_query = token_ids.shape[1] == 1
        attention_mask = None if one_query else causal_mask(ops.shape(token_ids)[1], index)
        memory_mask = key_padding_mask(cache["memory"]["padding_mask"])  # (B, 1, 1, S)
        step = cache["step"]
        grown = []
        for i, block in enumerate(self.decoder_blocks):
            x, kept = block(
                x,
                cache["memory"]["blocks"][i],
                attention_mask,
                memory_mask,
                cache=None if step is None else step[i],
                training=training,
            )
            grown.append(kept)
        x = x if self.decoder_norm is None else self.decoder_norm(x)
        logits = self.output_embedding.logits(x, cache["weights"]["output"])  # (N, T, V)
        return logits, {**cache, "step": None if step is None else grown}
