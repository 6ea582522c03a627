"""BART: an encoder-decoder trained to restore corrupted text. https://arxiv.org/abs/1910.13461

Lewis et al. 2020, section 2.1: the Transformer with GELU, learned positions, and a normalisation
of the embeddings. A source stands between `<s>` and `</s>`; the decoder starts with `</s> <s>`.
"""

import dataclasses
from typing import Any, ClassVar

from keras import ops

from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.normalization import LayerNormalization
from tflm.layers.positions import LearnedPositions, token_positions
from tflm.models.transformer import TransformerEncoderDecoder

NORM_EPSILON = 1e-5
FIRST_POSITION = 2  # the position tables begin with two rows that no token has


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates of a BART; the defaults are BART-base's.

    `output_bias` is a bias of the logits, which published checkpoints have, all zeros.
    """

    vocab_size: int = 50265
    hidden_dim: int = 768
    ffn_dim: int = 3072
    num_heads: int = 12
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    max_length: int = 1024
    dropout: float = 0.1
    attention_dropout: float = 0.0
    ffn_dropout: float = 0.0
    activation: str = "gelu"
    output_bias: bool = False


class Bart(TransformerEncoderDecoder):
    """BART.

    Args:
        config: a `Config`.

    Example:
        >>> model = Bart(Config(hidden_dim=256, ffn_dim=1024, num_heads=4))
    """

    SOURCE_START: ClassVar[tuple[str, ...]] = ("bos",)
    TARGET_START: ClassVar[tuple[str, ...]] = ("eos", "bos")

    Config = Config
    PRESETS = {
        # Section 2.1: 6 layers each and 12 each. The sizes are RoBERTa's; 139 and 406 million
        # parameters, as https://github.com/facebookresearch/fairseq/tree/main/examples/bart says.
        "base": Config(),
        "large": Config(
            hidden_dim=1024,
            ffn_dim=4096,
            num_heads=16,
            num_encoder_layers=12,
            num_decoder_layers=12,
        ),
    }

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        c, policy = config, self.dtype_policy
        self.embedding = TokenEmbedding(
            c.vocab_size, c.hidden_dim, scaled=False, dtype=policy, name="embedding"
        )
        self.target_embedding = self.output_embedding = self.embedding
        self.encoder_positions = self._positions("encoder_positions")
        self.decoder_positions = self._positions("decoder_positions")
        self.encoder_embedding_norm = self._norm("encoder_embedding_norm")
        self.decoder_embedding_norm = self._norm("decoder_embedding_norm")
        self.make_blocks(
            hidden_dim=c.hidden_dim,
            num_heads=c.num_heads,
            ffn_dim=c.ffn_dim,
            dropout=c.dropout,
            attention_dropout=c.attention_dropout,
            ffn_dropout=c.ffn_dropout,
            activation=c.activation,
            norm_epsilon=NORM_EPSILON,
        )
        self.drop = Dropout(c.dropout, dtype=policy)

    def _positions(self, name: str) -> LearnedPositions:
        rows = self.config.max_length + FIRST_POSITION
        return LearnedPositions(rows, self.config.hidden_dim, dtype=self.dtype_policy, name=name)

    def _norm(self, name: str) -> LayerNormalization:
        return LayerNormalization(
            self.config.hidden_dim, NORM_EPSILON, dtype=self.dtype_policy, name=name
        )

    def build(self, *_: Any) -> None:
        super().build()
        if self.config.output_bias:
            self.add_output_bias()

    def embed_source(self, token_ids: Any, training: bool | None) -> Any:
        """Source token ids `(B, S)` -> normalised vectors `(B, S, D)`."""
        x = self.embedding(token_ids) + self._where(self.encoder_positions, token_ids, 0)
        return self.drop(self.encoder_embedding_norm(x), training=training)

    def embed_target(self, token_ids: Any, index: Any, training: bool | None) -> Any:
        """Target token ids `(N, T)` at the positions `index …` -> normalised `(N, T, D)`."""
        x = self.embedding(token_ids) + self._where(self.decoder_positions, token_ids, index)
        return self.drop(self.decoder_embedding_norm(x), training=training)

    def _where(self, table: LearnedPositions, token_ids: Any, index: Any) -> Any:
        """Vectors of the positions `index …`: `(1, T, D)`."""
        return table(token_positions(ops.shape(token_ids)[1], index) + FIRST_POSITION)
