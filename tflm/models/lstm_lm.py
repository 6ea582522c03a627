"""LSTM language model of Zaremba et al. 2014, regularised by dropout between its layers only.

https://arxiv.org/abs/1409.2329. Embeddings are as wide as the layers; `tie_output` lets them serve
as output weights too (Press & Wolf 2017, https://arxiv.org/abs/1608.05859).
"""

import dataclasses
from typing import Any

from keras import ops

from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.recurrent import LSTM
from tflm.models.base import Decoder, count_left_padding


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and dropout; the defaults are the paper's medium model."""

    vocab_size: int = 10000
    hidden_dim: int = 650
    num_layers: int = 2
    dropout: float = 0.5
    tie_output: bool = False


class LSTMLanguageModel(Decoder):
    """A stack of LSTM layers that predicts the next token.

    Args:
        config: a `Config`.

    Example:
        >>> model = LSTMLanguageModel(Config(vocab_size=8000, hidden_dim=256))
    """

    Config = Config
    PRESETS = {
        # Section 4.1: 5, 20 and 66 million parameters; perplexities in Table 1.
        "small": Config(hidden_dim=200, dropout=0.0),
        "medium": Config(),
        "large": Config(hidden_dim=1500, dropout=0.65),
    }

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        policy = self.dtype_policy
        sizes = (config.vocab_size, config.hidden_dim)
        self.embedding = TokenEmbedding(*sizes, dtype=policy, name="embedding")
        self.output_embedding = self.embedding
        if not config.tie_output:
            self.output_embedding = TokenEmbedding(*sizes, dtype=policy, name="output_embedding")
        self.cells = [
            LSTM(config.hidden_dim, dtype=policy, name=f"layer_{i}")
            for i in range(config.num_layers)
        ]
        self.drop = Dropout(config.dropout, dtype=policy)

    def start(self, padding_mask: Any, max_length: int | None = None) -> dict:
        """Empty states, and how much of each row to pass over; no last position bounds the text."""
        rows = ops.shape(padding_mask)[0]
        return {
            "step": {
                "left_padding": count_left_padding(padding_mask),  # (B,)
                "layers": [cell.empty_state(rows) for cell in self.cells],
            },
            "weights": {"output": self.output_embedding.output_weights()},  # (D, V)
        }

    def decode(
        self, token_ids: Any, cache: dict, index: Any = 0, training: bool | None = None
    ) -> tuple[Any, dict]:
        """Token ids `(N, T)` at the places `index …` -> logits `(N, T, V)`, cache."""
        step = cache["step"]
        states = step["layers"]
        places = index + ops.arange(ops.shape(token_ids)[1], dtype="int32")  # (T,)
        real = places[None] >= step["left_padding"][:, None]  # (N, T)
        starts = _starts(cache["segment_ids"]) if "segment_ids" in cache else None
        x = self.drop(self.embedding(token_ids), training=training)  # (N, T, D)
        after = []
        for i, cell in enumerate(self.cells):
            state = None if states is None else states[i]
            x, state = cell(x, state, padding_mask=real, starts=starts)
            x = self.drop(x, training=training)
            after.append(state)
        logits = self.output_embedding.logits(x, cache["weights"]["output"])  # (N, T, V)
        return logits, {**cache, "step": {**step, "layers": None if states is None else after}}


def _starts(segment_ids: Any) -> Any:
    """Where a segment begins that is not the row's first: int `(N, T)` -> boolean `(N, T)`."""
    changed = segment_ids[:, 1:] != segment_ids[:, :-1]
    return ops.concatenate([ops.zeros_like(segment_ids[:, :1], "bool"), changed], axis=1)
