"""The Transformer of "Attention Is All You Need". https://arxiv.org/abs/1706.03762

An encoder of self-attention blocks, a decoder that also attends to the encoder's output, one
embedding matrix shared by source, target and output (section 3.4). Post-norm as published;
pre-norm by option.
"""

import dataclasses
from typing import Any, ClassVar

from keras import ops

from tflm.layers.blocks import TransformerBlock
from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.masks import causal_mask, key_padding_mask
from tflm.layers.normalization import LayerNormalization
from tflm.layers.positions import LearnedPositions, sinusoidal_positions, token_positions
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


class TransformerEncoderDecoder(EncoderDecoder):
    """The network of every encoder-decoder of Transformer blocks; a subclass says what is its own.

    Its constructor makes `embedding`, `target_embedding` and `output_embedding`, which may be one,
    and calls `make_blocks`; where it has them, it also sets `encoder_norm` and `decoder_norm` (what
    stands after the last block) and `encoder_bias` and `decoder_bias` (`RelativeBias`). It defines
    `embed_source` and `embed_target`.

    Args:
        config: a dataclass with `hidden_dim`, `num_encoder_layers` and `num_decoder_layers`.
    """

    EXPLAINS: ClassVar[bool] = True

    embedding: TokenEmbedding
    target_embedding: TokenEmbedding
    output_embedding: TokenEmbedding

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.encoder_norm = self.decoder_norm = None
        self.encoder_bias = self.decoder_bias = None
        self.output_bias: Any = None

    def make_blocks(self, **sizes: Any) -> None:
        """Makes `encoder_blocks` and `decoder_blocks`.

        Args:
            **sizes: arguments of `TransformerBlock`.
        """
        config, policy = self.config, self.dtype_policy
        self.encoder_blocks = [
            TransformerBlock(**sizes, dtype=policy, name=f"encoder_block_{i}")
            for i in range(config.num_encoder_layers)
        ]
        self.decoder_blocks = [
            TransformerBlock(**sizes, cross_attention=True, dtype=policy, name=f"decoder_block_{i}")
            for i in range(config.num_decoder_layers)
        ]

    def add_output_bias(self) -> None:
        """Adds the weight `output_bias` `(V,)`, which is added to the logits."""
        shape = (self.output_embedding.vocab_size,)
        self.output_bias = self.add_weight(shape=shape, initializer="zeros", name="output_bias")

    @property
    def longest(self) -> int | None:
        """The most positions of a source or target, or `None` where there is no last one."""
        return self.config.max_length

    def embed_source(self, token_ids: Any, training: bool | None) -> Any:
        """Source token ids `(B, S)` -> what enters the encoder's first block `(B, S, D)`."""
        raise NotImplementedError

    def embed_target(self, token_ids: Any, index: Any, training: bool | None) -> Any:
        """Target token ids `(N, T)` at the positions `index …` -> `(N, T, D)`."""
        raise NotImplementedError

    def finish(self, x: Any, norm: Any, training: bool | None) -> Any:
        """What leaves the last block -> what the encoder or the decoder gives, `(B, T, D)`."""
        return x if norm is None else norm(x)

    def output_weights(self) -> Any:
        """What multiplies the decoder's output to give logits: `(D, V)`."""
        return self.output_embedding.output_weights()

    def encode(self, token_ids: Any, padding_mask: Any, training: bool | None = None) -> Any:
        """Source token ids `(B, S)` and their boolean mask -> memory `(B, S, D)`."""
        x = self.embed_source(token_ids, training)
        attention_mask = key_padding_mask(padding_mask)  # (B, 1, 1, S)
        bias = None
        if self.encoder_bias is not None:
            bias = self.encoder_bias(num_queries=ops.shape(token_ids)[1])  # (1, H, S, S)
        for block in self.encoder_blocks:
            x, _ = block(x, attention_mask=attention_mask, bias=bias, training=training)
        return self.finish(x, self.encoder_norm, training)

    def start(
        self,
        memory: Any,
        padding_mask: Any,
        max_length: int | None = None,
        token_ids: Any = None,
    ) -> dict:
        """Keys and values of the memory for every decoder block; no target position yet.

        Raises:
            ValueError: `max_length` is more than the positions reach.
        """
        limit = self.longest
        if limit is not None and max_length is not None and max_length > limit:
            raise ValueError(
                f"`max_length` must be at most the config's {limit}. "
                f"Received: max_length={max_length}"
            )
        batch_size = ops.shape(memory)[0]
        blocks = self.decoder_blocks
        weights = {"output": self.output_weights()}  # (D, V)
        if self.output_bias is not None:
            bias = ops.convert_to_tensor(self.output_bias)
            weights["bias"] = ops.cast(bias, self.compute_dtype)  # (V,)
        return {
            "step": [block.attention.empty_cache(batch_size) for block in blocks],
            "memory": {
                "blocks": [block.cross_attention.project_memory(memory) for block in blocks],
                "padding_mask": padding_mask,
            },
            "weights": weights,
        }

    def decode(
        self, token_ids: Any, cache: dict, index: Any = 0, training: bool | None = None
    ) -> tuple[Any, dict]:
        """Target token ids `(N, T)` at the positions `index …` -> logits `(N, T, V)`, cache."""
        x, after = self.decoder_states(token_ids, cache, index, training)
        weights = cache["weights"]
        logits = self.output_embedding.logits(x, weights["output"], weights.get("bias"))
        return logits, {**cache, **after}

    def decoder_states(
        self, token_ids: Any, cache: dict, index: Any, training: bool | None
    ) -> tuple[Any, dict[str, Any]]:
        """What the decoder gives `(N, T, D)`, and what is new in the cache.

        That is "step", its blocks' caches, `None` where none is kept; and "attention" `(N, T, S)`
        where the cache has "with_attention": the mean of the heads of the last block but one, which
        of all come nearest to a word alignment (Garg et al. 2019, https://arxiv.org/abs/1909.02074,
        section 3.2).
        """
        x = self.embed_target(token_ids, index, training)
        # A single query sees everything before it and itself: nothing to hide.
        one_query = token_ids.shape[1] == 1
        length = ops.shape(token_ids)[1]
        attention_mask = None if one_query else causal_mask(length, index)
        memory_mask = key_padding_mask(cache["memory"]["padding_mask"])  # (B, 1, 1, S)
        bias = None
        if self.decoder_bias is not None:
            bias = self.decoder_bias(num_queries=length, index=index)  # (1, H, T, index + T)
        step = cache["step"]
        explained = max(len(self.decoder_blocks) - 2, 0) if cache.get("with_attention") else None
        grown, after = [], {}
        for i, block in enumerate(self.decoder_blocks):
            x, kept = block(
                x,
                cache["memory"]["blocks"][i],
                attention_mask,
                memory_mask,
                cache=None if step is None else step[i],
                bias=bias,
                rows_per_source=cache.get("rows_per_source"),
                return_attention=i == explained,
                training=training,
            )
            if i == explained:
                after["attention"] = kept.pop("attention")
            grown.append(kept)
        after["step"] = None if step is None else grown
        return self.finish(x, self.decoder_norm, training), after


# Sizes for some ten thousand sentence pairs: https://arxiv.org/abs/2105.14462, section 3.
_TINY = Config(hidden_dim=128, ffn_dim=256, num_heads=4, num_encoder_layers=4, num_decoder_layers=4)


class Transformer(TransformerEncoderDecoder):
    """Encoder-decoder Transformer.

    Args:
        config: a `Config`.

    Example:
        >>> model = Transformer(Config(vocab_size=8000, hidden_dim=256))
    """

    Config = Config
    PRESETS = {
        "tiny": _TINY,
        # Table 3, row (C) with d_model 256: 28 million parameters.
        "small": Config(hidden_dim=256),
        # Table 3, rows "base" (65 million parameters) and "big" (213 million).
        "base": Config(),
        "big": Config(hidden_dim=1024, ffn_dim=4096, num_heads=16, dropout=0.3),
        # Kasai et al. 2021, https://arxiv.org/abs/2006.10369, table 1, rows "12-1": the base model
        # with a deep encoder and a shallow decoder, which writes faster; 6-2 is between the two.
        "deep_12_1": Config(num_encoder_layers=12, num_decoder_layers=1),
        "deep_6_2": Config(num_encoder_layers=6, num_decoder_layers=2),
        # The same layers at the width of "tiny".
        "tiny_12_1": dataclasses.replace(_TINY, num_encoder_layers=12, num_decoder_layers=1),
        "tiny_6_2": dataclasses.replace(_TINY, num_encoder_layers=6, num_decoder_layers=2),
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
        self.make_blocks(
            hidden_dim=config.hidden_dim,
            num_heads=config.num_heads,
            ffn_dim=config.ffn_dim,
            dropout=config.dropout,
            attention_dropout=config.attention_dropout,
            activation=config.activation,
            pre_norm=config.pre_norm,
        )
        # Pre-norm leaves the last block's sum without normalisation; post-norm does not.
        self.encoder_norm = self._last_norm("encoder_norm")
        self.decoder_norm = self._last_norm("decoder_norm")
        self.drop = Dropout(config.dropout, dtype=policy)

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

    @property
    def longest(self) -> int | None:
        """The most positions of a source or target; sinusoids have no last one."""
        return self.config.max_length if self.config.learned_positions else None

    def embed_source(self, token_ids: Any, training: bool | None) -> Any:
        """Source token ids `(B, S)` -> vectors with their positions `(B, S, D)`."""
        return self._embed(token_ids, self.embedding, self.encoder_positions, 0, training)

    def embed_target(self, token_ids: Any, index: Any, training: bool | None) -> Any:
        """Target token ids `(N, T)` at the positions `index …` -> `(N, T, D)`."""
        return self._embed(
            token_ids, self.target_embedding, self.decoder_positions, index, training
        )

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
            where = positions(token_positions(length, index)[0])  # (T, D)
        return self.drop(x + ops.cast(where, x.dtype)[None], training=training)
