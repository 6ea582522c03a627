"""A Transformer that also copies from its source. https://arxiv.org/abs/1704.04368

See et al. 2017 gave a recurrent encoder-decoder the choice between writing a word and copying one
(their figure 3); here it is a Transformer's, with one vocabulary for both sides. On little data
without pretraining it learns names and numbers, which a summary takes from its text, long before
the vocabulary's distribution has.
"""

import dataclasses
from typing import Any

from keras import ops

from tflm.layers.copy_head import CopyHead, overlap
from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.normalization import LayerNormalization
from tflm.layers.positions import sinusoidal_positions
from tflm.models.transformer import TransformerEncoderDecoder


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates; the vocabulary is both sides'."""

    vocab_size: int = 8000
    hidden_dim: int = 256
    ffn_dim: int = 1024
    num_heads: int = 4
    num_encoder_layers: int = 3
    num_decoder_layers: int = 3
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation: str = "relu"
    pre_norm: bool = True


class PointerGenerator(TransformerEncoderDecoder):
    """An encoder-decoder whose logits are log-probabilities, of writing and copying together.

    Args:
        config: a `Config`.

    Example:
        >>> model = PointerGenerator(Config(vocab_size=6000, hidden_dim=128, ffn_dim=512))
    """

    Config = Config
    PRESETS = {
        # The hidden width of See et al. 2017, section 5, and the depth that trains in an hour on
        # two CPU cores.
        "small": Config(),
        "tiny": Config(hidden_dim=128, ffn_dim=512, num_encoder_layers=2, num_decoder_layers=2),
    }

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        policy, dim = self.dtype_policy, config.hidden_dim
        self.embedding = TokenEmbedding(config.vocab_size, dim, dtype=policy, name="embedding")
        self.target_embedding = self.output_embedding = self.embedding
        self.make_blocks(
            hidden_dim=dim,
            num_heads=config.num_heads,
            ffn_dim=config.ffn_dim,
            dropout=config.dropout,
            attention_dropout=config.attention_dropout,
            activation=config.activation,
            pre_norm=config.pre_norm,
        )
        if config.pre_norm:
            self.encoder_norm = LayerNormalization(dim, dtype=policy, name="encoder_norm")
            self.decoder_norm = LayerNormalization(dim, dtype=policy, name="decoder_norm")
        self.copy = CopyHead(dim, dtype=policy, name="copy")
        self.drop = Dropout(config.dropout, dtype=policy)

    @property
    def longest(self) -> int | None:
        """`None`: sinusoids have no last position."""
        return None

    def embed_source(self, token_ids: Any, training: bool | None) -> Any:
        """Source token ids `(B, S)` -> vectors with their positions `(B, S, D)`."""
        return self.embed_target(token_ids, 0, training)

    def embed_target(self, token_ids: Any, index: Any, training: bool | None) -> Any:
        """Target token ids `(N, T)` at the positions `index …` -> `(N, T, D)`."""
        x = self.embedding(token_ids)
        where = sinusoidal_positions(ops.shape(token_ids)[1], self.config.hidden_dim, index)
        return self.drop(x + ops.cast(where, x.dtype)[None], training=training)

    def start(
        self,
        memory: Any,
        padding_mask: Any,
        max_length: int | None = None,
        token_ids: Any = None,
    ) -> dict:
        """As a Transformer's, with the source's tokens and how much of them is covered: nothing.

        Raises:
            ValueError: there are no `token_ids` to copy.
        """
        if token_ids is None:
            raise ValueError(
                "`token_ids` must be given to a model that copies from its source. "
                "Received: token_ids=None"
            )
        cache = super().start(memory, padding_mask, max_length)
        copied = {**self.copy.project_memory(memory), "token_ids": token_ids}
        covered = ops.zeros(ops.shape(token_ids), self.compute_dtype)  # (B, S)
        return {
            **cache,
            "step": {"blocks": cache["step"], "covered": covered},
            "memory": {**cache["memory"], "copied": copied},
        }

    def decode(
        self, token_ids: Any, cache: dict, index: Any = 0, training: bool | None = None
    ) -> tuple[Any, dict]:
        """Target token ids `(N, T)` at the positions `index …` -> log-probabilities, cache."""
        step, memory = cache["step"], cache["memory"]
        blocks = {**cache, "step": None if step is None else step["blocks"]}
        x, after = self.decoder_states(token_ids, blocks, index, training)
        grown = after.pop("step")
        weights = cache["weights"]
        logits = self.output_embedding.logits(x, weights["output"], weights.get("bias"))
        copied = memory["copied"]
        logits, attention = self.copy(
            x, logits, copied, copied["token_ids"], memory["padding_mask"]
        )
        if step is None:
            return logits, {**cache, **after, "step": None}
        again, covered = overlap(attention, step["covered"])  # (N, T), (N, S)
        step = {"blocks": grown, "covered": covered}
        return logits, {**cache, **after, "step": step, "overlap": again}
