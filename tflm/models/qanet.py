"""QANet: convolutions and self-attention that read a text with a question in mind.

https://arxiv.org/abs/1804.09541. Question and text are encoded by the same blocks, attention
between the two says what of the question concerns each token, and a second stack of blocks reads
the text with that. Here they come as one sequence, the question first, as a BERT reads them. What
the paper takes from GloVe and from characters, features of words give here
(`tflm.tokenizers.word_features`), which need no pretraining; there is no stochastic depth.
"""

import dataclasses
from typing import Any, ClassVar

import keras
from keras import ops

from tflm.layers.context_query_attention import ContextQueryAttention
from tflm.layers.convolution_block import ConvolutionBlock
from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.masks import combine_masks, key_padding_mask, segment_mask
from tflm.layers.normalization import LayerNormalization
from tflm.models.base import Encoder


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates; the defaults are the paper's (section 4.1).

    `num_features` is the number of features that come with each token. The question is looked for
    among the first `max_question_length` tokens. The stack that reads the text does so
    `num_readings` times, each time what it made of it before.
    """

    vocab_size: int = 16000
    embedding_dim: int = 300
    num_features: int = 6
    max_question_length: int = 64
    hidden_dim: int = 128
    num_heads: int = 8
    num_embedding_blocks: int = 1
    num_embedding_convolutions: int = 4
    embedding_kernel_size: int = 7
    num_model_blocks: int = 7
    num_model_convolutions: int = 2
    model_kernel_size: int = 5
    num_readings: int = 3
    dropout: float = 0.1
    embedding_dropout: float = 0.1


class QANet(Encoder):
    """QANet without its output layer, which is `tflm.layers.SpanHead`.

    Args:
        config: a `Config`.

    Example:
        >>> model = QANet(Config(hidden_dim=96, num_heads=1, num_model_blocks=3))
    """

    POOLING: ClassVar[str] = "mean"

    Config = Config
    PRESETS = {
        # A size for two processor cores and some ten thousand questions.
        "tiny": Config(
            embedding_dim=128,
            num_heads=1,
            num_embedding_convolutions=2,
            num_model_blocks=2,
            num_readings=2,
            dropout=0.15,
            embedding_dropout=0.25,
        ),
        # Section 4.1.
        "base": Config(),
    }

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        c, policy = config, self.dtype_policy

        def dense(name: str) -> keras.layers.Dense:
            return keras.layers.Dense(c.hidden_dim, dtype=policy, name=name)

        def blocks(kind: str, number: int, convolutions: int, width: int) -> list[ConvolutionBlock]:
            sizes = (c.hidden_dim, c.num_heads, convolutions, width, c.dropout)
            names = [f"{kind}_block_{i}" for i in range(number)]
            return [ConvolutionBlock(*sizes, dtype=policy, name=name) for name in names]

        self.embedding = TokenEmbedding(
            c.vocab_size, c.embedding_dim, dtype=policy, name="embedding"
        )
        self.projection = dense("projection")
        self.embedding_blocks = blocks(
            "embedding",
            c.num_embedding_blocks,
            c.num_embedding_convolutions,
            c.embedding_kernel_size,
        )
        self.attention = ContextQueryAttention(c.hidden_dim, dtype=policy, name="attention")
        self.merge = dense("merge")
        self.model_blocks = blocks(
            "model", c.num_model_blocks, c.num_model_convolutions, c.model_kernel_size
        )
        self.out = dense("out")
        self.norm = LayerNormalization(c.hidden_dim, dtype=policy, name="norm")
        self.embedding_drop = Dropout(c.embedding_dropout, dtype=policy)
        self.drop = Dropout(c.dropout, dtype=policy)

    def build(self, *_: Any) -> None:
        c = self.config
        shape = (None, None, c.hidden_dim)
        self.embedding.build(None)
        self.projection.build((None, None, c.embedding_dim + c.num_features))
        for part in (*self.embedding_blocks, *self.model_blocks, self.attention):
            part.build(shape)
        self.merge.build((None, None, 4 * c.hidden_dim))
        self.out.build((None, None, c.num_readings * c.hidden_dim))
        self.norm.build(shape)
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Hidden states `(B, T, D)`; those of the question's own tokens mean nothing.

        Args:
            inputs: `token_ids` `(B, T)`; `padding_mask` `(B, T)`; `segment_ids` `(B, T)`, 0 on the
                question, which comes first, and 1 on the text: without them everything is both;
                `word_features` `(B, T, F)`, zeros by default. The first token is read with the
                text: its vector may stand for the whole.
            training: whether dropout is on.
        """
        padding_mask = ops.cast(inputs["padding_mask"], "bool")
        segment_ids = inputs.get("segment_ids")
        is_question = is_text = padding_mask
        seen = key_padding_mask(padding_mask)  # (B, 1, 1, T)
        if segment_ids is not None:
            is_question = ops.logical_and(padding_mask, segment_ids == 0)
            is_first = ops.arange(ops.shape(padding_mask)[1])[None] == 0  # (1, T)
            is_text = ops.logical_and(padding_mask, ops.logical_or(segment_ids == 1, is_first))
            seen = combine_masks(seen, segment_mask(segment_ids))  # (B, 1, T, T)
        x = self._embed(inputs, training)  # (B, T, D)
        for block in self.embedding_blocks:
            x = block(x, padding_mask, seen, training=training)
        most = self.config.max_question_length
        x = self.attention(x, x[:, :most], is_text, is_question[:, :most])  # (B, T, 4 D)
        x = self.drop(self.merge(x), training=training)  # (B, T, D)
        seen = key_padding_mask(is_text)  # (B, 1, 1, T)
        readings = []
        for _ in range(self.config.num_readings):
            for block in self.model_blocks:
                x = block(x, is_text, seen, training=training)
            readings.append(x)
        return self.norm(self.out(ops.concatenate(readings, axis=-1)))

    def _embed(self, inputs: dict[str, Any], training: bool | None) -> Any:
        x = self.embedding_drop(self.embedding(inputs["token_ids"]), training=training)
        features = inputs.get("word_features")
        if features is None:
            features = ops.zeros((*ops.shape(x)[:2], self.config.num_features))
        x = ops.concatenate([x, ops.cast(features, x.dtype)], axis=-1)  # (B, T, E + F)
        return self.projection(x)  # (B, T, D)
