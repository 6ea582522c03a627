"""Convolutions over word vectors, for sentences. https://arxiv.org/abs/1408.5882 (Kim 2014)

The network has convolutions of several widths side by side; a classifier takes the largest value of
each feature over a text ("max" pooling), then dropout, which is why `dropout` is what a head
applies. Windows are centred on each token and see zeros beyond the text's ends.
"""

import dataclasses
from typing import Any, ClassVar

import keras
from keras import ops

from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.models.base import Encoder


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates; the defaults are the paper's.

    `hidden_dim` is the number of features of all widths together, from `min_width` to `max_width`
    tokens. `dropout` is for the vector of a text; `word_dropout` leaves whole words out (Iyyer et
    al. 2015, https://aclanthology.org/P15-1162, section 3), `embedding_dropout` single values of
    their vectors.
    """

    vocab_size: int = 18000
    embedding_dim: int = 300
    hidden_dim: int = 300
    min_width: int = 3
    max_width: int = 5
    dropout: float = 0.5
    word_dropout: float = 0.0
    embedding_dropout: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.min_width <= self.max_width:
            raise ValueError(
                "`min_width` must be from 1 to `max_width`. "
                f"Received: min_width={self.min_width}, max_width={self.max_width}"
            )
        if self.hidden_dim % self.num_widths:
            raise ValueError(
                "`hidden_dim` must be a multiple of the number of widths. "
                f"Received: hidden_dim={self.hidden_dim}, {self.num_widths} widths"
            )

    @property
    def num_widths(self) -> int:
        """How many widths there are."""
        return self.max_width - self.min_width + 1


class TextCNN(Encoder):
    """Features of the words around each word.

    Args:
        config: a `Config`.

    Example:
        >>> model = TextCNN(Config(vocab_size=8000, embedding_dim=128))
    """

    POOLING: ClassVar[str] = "max"

    Config = Config
    PRESETS = {
        # Section 3.1: windows of 3, 4 and 5 words, 100 feature maps each; CNN-rand of table 2, its
        # word vectors as wide as word2vec's.
        "base": Config(),
    }

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        policy = self.dtype_policy
        # The variance of the paper's code, which draws from -0.25 to 0.25.
        self.embedding = TokenEmbedding(
            config.vocab_size,
            config.embedding_dim,
            scaled=False,
            stddev=0.5 / 12**0.5,
            dtype=policy,
            name="embedding",
        )
        self.convolutions = [
            keras.layers.Conv1D(
                config.hidden_dim // config.num_widths,
                width,
                padding="same",
                activation="relu",
                dtype=policy,
                name=f"convolution{width}",
            )
            for width in range(config.min_width, config.max_width + 1)
        ]
        self.drop_words = Dropout(config.word_dropout, (None, None, 1), dtype=policy)
        self.drop = Dropout(config.embedding_dropout, dtype=policy)

    def build(self, *_: Any) -> None:
        self.embedding.build(None)
        for convolution in self.convolutions:
            convolution.build((None, None, self.config.embedding_dim))
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Hidden states `(B, T, D)`.

        Args:
            inputs: `token_ids` `(B, T)`, `padding_mask` `(B, T)`.
            training: whether dropout is on.
        """
        x = self.drop_words(self.embedding(inputs["token_ids"]), training=training)  # (B, T, E)
        x = self.drop(x, training=training)
        x = x * ops.cast(inputs["padding_mask"], x.dtype)[..., None]
        return ops.concatenate([convolve(x) for convolve in self.convolutions], axis=-1)
