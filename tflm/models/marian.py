"""Marian's Transformer, as the OPUS-MT translation models are. https://aclanthology.org/P18-4020

Junczys-Dowmunt et al. 2018; models: Tiedemann & Thottingal 2020, "OPUS-MT - Building open
translation services for the World", https://aclanthology.org/2020.eamt-1.61. The Transformer with
the swish activation and a bias of the logits. There is no start token: decoding starts with
padding, which the decoder never writes.
"""

import dataclasses
from typing import Any, ClassVar

from keras import ops

from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.positions import sinusoidal_positions
from tflm.models.transformer import TransformerEncoderDecoder

NORM_EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates of a Marian model; the defaults are those of opus-mt-en-de.

    `target_vocab_size` is `None` where source and target share one vocabulary and, with it, one
    embedding matrix. Sinusoids have no last position, but beyond `max_length` the models have
    seen none.
    """

    vocab_size: int = 58101
    target_vocab_size: int | None = None
    hidden_dim: int = 512
    ffn_dim: int = 2048
    num_heads: int = 8
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    max_length: int = 512
    dropout: float = 0.1
    attention_dropout: float = 0.0
    ffn_dropout: float = 0.0
    activation: str = "silu"


class Marian(TransformerEncoderDecoder):
    """Marian's Transformer.

    Args:
        config: a `Config`.

    Example:
        >>> model = Marian(Config(vocab_size=8000, hidden_dim=256, ffn_dim=1024))
    """

    TARGET_START: ClassVar[tuple[str, ...]] = ("pad",)
    NEVER_WRITTEN: ClassVar[tuple[str, ...]] = ("pad",)

    Config = Config
    PRESETS = {
        # Section 2 of the OPUS-MT paper: the Transformer's base model; vocabularies differ.
        "opus": Config(),
    }

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        c = config
        self.embedding = self._embedding(c.vocab_size, "embedding")
        self.target_embedding = self.embedding
        if c.target_vocab_size is not None:
            self.target_embedding = self._embedding(c.target_vocab_size, "target_embedding")
        self.output_embedding = self.target_embedding
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
        self.drop = Dropout(c.dropout, dtype=self.dtype_policy)

    def _embedding(self, vocab_size: int, name: str) -> TokenEmbedding:
        return TokenEmbedding(
            vocab_size, self.config.hidden_dim, dtype=self.dtype_policy, name=name
        )

    def build(self, *_: Any) -> None:
        super().build()
        self.add_output_bias()

    def embed_source(self, token_ids: Any, training: bool | None) -> Any:
        """Source token ids `(B, S)` -> vectors with their positions `(B, S, D)`."""
        return self._placed(self.embedding(token_ids), 0, training)

    def embed_target(self, token_ids: Any, index: Any, training: bool | None) -> Any:
        """Target token ids `(N, T)` at the positions `index …` -> `(N, T, D)`."""
        return self._placed(self.target_embedding(token_ids), index, training)

    def _placed(self, x: Any, index: Any, training: bool | None) -> Any:
        where = sinusoidal_positions(ops.shape(x)[1], self.config.hidden_dim, index)  # (T, D)
        return self.drop(x + ops.cast(where, x.dtype)[None], training=training)
