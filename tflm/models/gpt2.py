"""GPT-2: a Transformer decoder alone, trained to continue text. Radford et al. 2019.

https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf

Pre-norm blocks with one more normalisation after the last, learned positions, and the embeddings as
output weights (section 2.3). The other decoders of the zoo are the same network with parts changed:
each says which in its file.
"""

import dataclasses
from typing import Any

import keras
from keras import ops

from tflm.layers.blocks import NORMALIZATIONS, TransformerBlock
from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.masks import causal_mask, combine_masks, left_padding_mask, segment_mask
from tflm.layers.positions import LearnedPositions, token_positions
from tflm.models.base import Decoder, count_left_padding


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates of a GPT-2; the defaults are those of the smallest published one.

    `dropout` is that of each sub-layer's output, `embedding_dropout` that of the sum of token and
    position vectors.
    """

    vocab_size: int = 50257
    hidden_dim: int = 768
    ffn_dim: int = 3072
    num_heads: int = 12
    num_layers: int = 12
    max_length: int = 1024
    dropout: float = 0.1
    attention_dropout: float = 0.1
    embedding_dropout: float = 0.1
    activation: str = "gelu_tanh"
    norm_epsilon: float = 1e-5
    tie_output: bool = True


class CausalTransformer(Decoder):
    """The network of every decoder-only Transformer here; a subclass says what is its own.

    Args:
        config: a dataclass with `vocab_size`, `hidden_dim`, `ffn_dim`, `num_heads`, `num_layers`,
            `max_length`, `dropout`, `attention_dropout`, `embedding_dropout`, `activation`,
            `norm_epsilon` and `tie_output`.
    """

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        policy, dim = self.dtype_policy, config.hidden_dim

        def embedding(name: str) -> TokenEmbedding:
            return TokenEmbedding(config.vocab_size, dim, scaled=False, dtype=policy, name=name)

        self.embedding = embedding("embedding")
        self.output_embedding = self.embedding
        if not config.tie_output:
            self.output_embedding = embedding("output_embedding")
        self.positions = None
        if self.has_position_table():
            self.positions = LearnedPositions(
                config.max_length, dim, dtype=policy, name="positions"
            )
        options = {"pre_norm": True, "norm": "layer", **self.block_options()}
        self.blocks = [
            TransformerBlock(
                dim,
                config.num_heads,
                config.ffn_dim,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                activation=config.activation,
                norm_epsilon=config.norm_epsilon,
                **options,
                dtype=policy,
                name=f"block_{i}",
            )
            for i in range(config.num_layers)
        ]
        for block in self.blocks:
            _initialize(block, config.num_layers)
        self.final_norm = None
        if options["pre_norm"]:  # which leaves the last block's sum without normalisation
            self.final_norm = NORMALIZATIONS[options["norm"]](
                dim, config.norm_epsilon, dtype=policy, name="final_norm"
            )
        self.drop = Dropout(config.embedding_dropout, dtype=policy)

    def block_options(self) -> dict[str, Any]:
        """Arguments of every `TransformerBlock` besides the common sizes and rates."""
        return {}

    def has_position_table(self) -> bool:
        """Whether there is a trained vector for each position."""
        return True

    def windows(self) -> list[int | None]:
        """For every block, how many of the latest tokens it sees; `None` for all."""
        return [None] * self.config.num_layers

    def rotary(self, positions: Any) -> tuple[Any, Any] | None:
        """Cosines and sines that turn queries and keys at positions `(N or 1, T)`, or `None`."""
        return None

    def start(self, padding_mask: Any, max_length: int | None = None) -> dict:
        """No key and value yet, and how much of each row to pass over.

        Raises:
            ValueError: `max_length` is more than the config's.
        """
        limit = self.config.max_length
        if max_length is not None and max_length > limit:
            raise ValueError(
                f"`max_length` must be at most the config's {limit}. "
                f"Received: max_length={max_length}"
            )
        rows = ops.shape(padding_mask)[0]
        return {
            "step": {
                "left_padding": count_left_padding(padding_mask),  # (B,)
                "layers": [block.attention.empty_cache(rows) for block in self.blocks],
            },
            "weights": {"output": self.output_embedding.output_weights()},  # (D, V)
        }

    def decode(
        self, token_ids: Any, cache: dict, index: Any = 0, training: bool | None = None
    ) -> tuple[Any, dict]:
        """Token ids `(N, T)` at the places `index …` -> logits `(N, T, V)`, cache.

        Where the cache says "last_only", the logits are those of the last token, `(N, 1, V)`; where
        it says "unread", those of so many tokens at the start are left out.

        Raises:
            ValueError: `T` is more than the config's `max_length`.
        """
        length = ops.shape(token_ids)[1]
        if isinstance(length, int) and length > self.config.max_length:
            raise ValueError(
                f"`token_ids` must have at most `max_length` = {self.config.max_length} positions. "
                f"Received: shape {tuple(token_ids.shape)}"
            )
        step, segment_ids = cache["step"], cache.get("segment_ids")
        layers = step["layers"]
        positions = token_positions(length, index, step["left_padding"], segment_ids)  # (N, T)
        x = self.embedding(token_ids)  # (N, T, D)
        if self.positions is not None:
            x = x + self.positions(positions)
        x = self.drop(x, training=training)
        rotary = self.rotary(positions)
        windows = self.windows()
        masks = {
            window: self._mask(token_ids, index, step["left_padding"], segment_ids, window)
            for window in {*windows}
        }
        grown = []
        for i, block in enumerate(self.blocks):
            x, kept = block(
                x,
                attention_mask=masks[windows[i]],  # (N, 1, T, t + T)
                cache=None if layers is None else layers[i],
                rotary=rotary,
                training=training,
            )
            grown.append(kept)
        x = x[:, -1:] if cache.get("last_only") else x[:, cache.get("unread", 0) :]
        x = x if self.final_norm is None else self.final_norm(x)
        logits = self.output_embedding.logits(x, cache["weights"]["output"])  # (N, T, V)
        return logits, {**cache, "step": {**step, "layers": None if layers is None else grown}}

    def _mask(
        self, token_ids: Any, index: Any, left_padding: Any, segment_ids: Any, window: int | None
    ) -> Any:
        """What the tokens see of themselves and of what is cached, boolean `(N, 1, T, t + T)`."""
        length = ops.shape(token_ids)[1]
        # A single query without a window sees everything before it.
        everything = token_ids.shape[1] == 1 and window is None
        return combine_masks(
            None if everything else causal_mask(length, index, window),
            left_padding_mask(left_padding, index + length),
            None if segment_ids is None else segment_mask(segment_ids),
        )


def _initialize(block: TransformerBlock, num_layers: int) -> None:
    """Section 2.3, and 4.1 of Radford et al. 2018: N(0, 0.02), less where a residual is added to.

    Each layer adds two of these, so their standard deviation is divided by `sqrt(2 * num_layers)`.
    """
    feed_forward = block.feed_forward
    for dense, stddev in (
        (block.attention.query_key_value, 0.02),
        (block.attention.out, 0.02 * (2 * num_layers) ** -0.5),
        (feed_forward.gate, 0.02),
        (feed_forward.up, 0.02),
        (feed_forward.down, 0.02 * (2 * num_layers) ** -0.5),
    ):
        if dense is not None:
            dense.kernel_initializer = keras.initializers.RandomNormal(stddev=stddev)


def _sizes(num_layers: int, hidden_dim: int) -> Config:
    """A published size: heads 64 wide, feed-forward four times the width."""
    return Config(
        hidden_dim=hidden_dim,
        ffn_dim=4 * hidden_dim,
        num_heads=hidden_dim // 64,
        num_layers=num_layers,
    )


class GPT2(CausalTransformer):
    """GPT-2.

    Args:
        config: a `Config`.

    Example:
        >>> model = GPT2(Config(vocab_size=8000, hidden_dim=256, ffn_dim=1024, num_heads=4))
    """

    Config = Config
    PRESETS = {
        # The character model of https://github.com/karpathy/nanoGPT,
        # config/train_shakespeare_char.py: 10.7 million parameters, for the 65 characters there.
        "tiny": Config(
            vocab_size=65,
            hidden_dim=384,
            ffn_dim=1536,
            num_heads=6,
            num_layers=6,
            max_length=256,
            dropout=0.2,
            attention_dropout=0.2,
            embedding_dropout=0.2,
        ),
        # Table 2. The smallest is 124 million parameters, not the 117 million printed there.
        "small": Config(),
        "medium": _sizes(24, 1024),
        "large": _sizes(36, 1280),
        "xl": _sizes(48, 1600),
    }
