"""Recurrent encoder-decoder with attention: LSTM or GRU, after Bahdanau et al. or Luong et al.

"bahdanau" (https://arxiv.org/abs/1409.0473): the state before a word chooses what to read, which
enters the cell beside the word; a maxout layer scores the next one. "luong_dot" and
"luong_general" (https://arxiv.org/abs/1508.04025): the state after a word chooses, and what was
read joins it in an attentional vector, which with input feeding enters the cell at the next word.

Unlike in the papers, the layer before the output weights is as wide as an embedding, and every
layer of the decoder starts from the encoder's last state by a projection (Bahdanau's `tanh(W s)`),
for the memory is all that a decoder is given.
"""

import dataclasses
from typing import Any

import keras
from keras import ops

from tflm.layers.additive_attention import AdditiveAttention
from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.multiplicative_attention import MultiplicativeAttention
from tflm.layers.recurrent import CELLS, unroll
from tflm.models.base import EncoderDecoder

ATTENTIONS = ("bahdanau", "luong_dot", "luong_general")


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates; the defaults are the best single model with global attention of Luong et al.

    `target_vocab_size` is `None` where source and target share one vocabulary and, with it, one
    embedding matrix. A bidirectional encoder has `hidden_dim` units in each direction. `dropout` is
    applied to embeddings, between layers, to the memory and before the output weights.
    """

    vocab_size: int = 50000
    target_vocab_size: int | None = None
    embedding_dim: int = 1000
    hidden_dim: int = 1000
    num_encoder_layers: int = 4
    num_decoder_layers: int = 4
    cell: str = "lstm"
    attention: str = "luong_dot"
    bidirectional: bool = False
    input_feeding: bool = True
    dropout: float = 0.2
    tie_output: bool = False

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise ValueError(f"`cell` must be one of {sorted(CELLS)}. Received: cell={self.cell!r}")
        if self.attention not in ATTENTIONS:
            raise ValueError(
                f"`attention` must be one of {list(ATTENTIONS)}. "
                f"Received: attention={self.attention!r}"
            )
        if self.attention == "luong_dot" and self.bidirectional:
            raise ValueError(
                "`bidirectional` must be false where `attention` is 'luong_dot', which needs a "
                "memory as wide as the decoder. Received: bidirectional=True"
            )
        if self.attention == "bahdanau" and not self.input_feeding:
            raise ValueError(
                "`input_feeding` must be true where `attention` is 'bahdanau', which feeds its "
                "context. Received: input_feeding=False"
            )


class RecurrentEncoderDecoder(EncoderDecoder):
    """Encoder-decoder of LSTM or GRU layers with attention.

    Args:
        config: a `Config`.

    Example:
        >>> model = RecurrentEncoderDecoder(Config(vocab_size=8000, hidden_dim=256))
    """

    Config = Config
    PRESETS = {
        # Sizes for Multi30k, with an LSTM for the GRU: https://arxiv.org/abs/1707.04481 (Caglayan
        # et al. 2017), section 3.
        "small": Config(
            embedding_dim=128,
            hidden_dim=256,
            num_encoder_layers=1,
            num_decoder_layers=1,
            attention="luong_general",
            bidirectional=True,
            tie_output=True,
        ),
        # Bahdanau et al. 2015, appendix A.2.3: RNNsearch.
        "bahdanau": Config(
            vocab_size=30000,
            target_vocab_size=30000,
            embedding_dim=620,
            num_encoder_layers=1,
            num_decoder_layers=1,
            cell="gru",
            attention="bahdanau",
            bidirectional=True,
            dropout=0.0,
        ),
        # Luong et al. 2015, section 4.1, and Table 4, row "global (dot)".
        "luong": Config(target_vocab_size=50000),
    }

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        c, policy = config, self.dtype_policy
        target_vocab_size = c.target_vocab_size or c.vocab_size

        def embedding(vocab_size: int, name: str) -> TokenEmbedding:
            return TokenEmbedding(vocab_size, c.embedding_dim, dtype=policy, name=name)

        def cell(name: str) -> Any:
            return CELLS[c.cell](c.hidden_dim, dtype=policy, name=name)

        def dense(units: int, name: str, **options: Any) -> keras.layers.Dense:
            return keras.layers.Dense(units, dtype=policy, name=name, **options)

        self.embedding = self.target_embedding = embedding(c.vocab_size, "embedding")
        if c.target_vocab_size is not None:
            self.target_embedding = embedding(target_vocab_size, "target_embedding")
        self.output_embedding = self.target_embedding
        if not c.tie_output:
            self.output_embedding = embedding(target_vocab_size, "output_embedding")
        layers = range(c.num_encoder_layers)
        self.forward_cells = [cell(f"forward_{i}") for i in layers]
        self.backward_cells = [cell(f"backward_{i}") for i in layers if c.bidirectional]
        self.cells = [cell(f"decoder_{i}") for i in range(c.num_decoder_layers)]
        self.memory_dim = c.hidden_dim * (1 + c.bidirectional)
        self.num_states = self.cells[0].num_states * c.num_decoder_layers
        self.bridge = dense(self.num_states * c.hidden_dim, "bridge", activation="tanh")
        self.additive = c.attention == "bahdanau"
        if self.additive:
            self.attention: Any = AdditiveAttention(
                c.hidden_dim, self.memory_dim, c.hidden_dim, dtype=policy, name="attention"
            )
            self.readout = dense(2 * c.embedding_dim, "readout")
        else:
            scoring = c.attention.removeprefix("luong_")
            self.attention = MultiplicativeAttention(
                c.hidden_dim, self.memory_dim, scoring, dtype=policy, name="attention"
            )
            self.readout = dense(c.embedding_dim, "readout", activation="tanh", use_bias=False)
        self.fed_dim = self.memory_dim if self.additive else c.embedding_dim
        self.feed: Any = None
        if c.input_feeding:
            width = self.cells[0].num_gates * c.hidden_dim
            self.feed = dense(width, "feed", use_bias=False)
        self.drop = Dropout(c.dropout, dtype=policy)

    def build(self, *_: Any) -> None:
        c = self.config
        for embedding in (self.embedding, self.target_embedding, self.output_embedding):
            if not embedding.built:
                embedding.build(None)
        for cells in (self.forward_cells, self.backward_cells):
            for i, cell in enumerate(cells):
                cell.build((None, None, self.memory_dim if i else c.embedding_dim))
        for i, cell in enumerate(self.cells):
            cell.build((None, None, c.hidden_dim if i else c.embedding_dim))
        self.bridge.build((None, c.hidden_dim))
        self.attention.build(None)
        word = c.embedding_dim if self.additive else 0
        self.readout.build((None, c.hidden_dim + self.memory_dim + word))
        if self.feed is not None:
            self.feed.build((None, self.fed_dim))
        self.built = True

    def encode(self, token_ids: Any, padding_mask: Any, training: bool | None = None) -> Any:
        """Source token ids `(B, S)` and their boolean mask -> memory `(B, S, M)`.

        `M` is `hidden_dim`, or twice that where the encoder reads in both directions.
        """
        x = self.embedding(token_ids)  # (B, S, E)
        for i, cell in enumerate(self.forward_cells):
            x = self.drop(x, training=training)
            outputs = [cell(x, padding_mask=padding_mask)[0]]  # (B, S, U)
            if self.backward_cells:
                outputs.append(
                    self.backward_cells[i](x, padding_mask=padding_mask, reverse=True)[0]
                )
            x = ops.concatenate(outputs, axis=-1)  # (B, S, M)
        return self.drop(x, training=training)

    def start(
        self,
        memory: Any,
        padding_mask: Any,
        max_length: int | None = None,
        token_ids: Any = None,
    ) -> dict:
        """The memory's part of the scores, and the decoder's first state; no word written yet."""
        units = self.config.hidden_dim
        # Padding leaves a state as it is: at the end of its direction stands the last one.
        last = memory[:, 0, units:] if self.backward_cells else memory[:, -1]  # (B, U)
        parts = ops.split(self.bridge(last), self.num_states, axis=-1)
        per_cell = self.cells[0].num_states
        state: dict[str, Any] = {
            "cells": [
                tuple(parts[i * per_cell : (i + 1) * per_cell]) for i in range(len(self.cells))
            ]
        }
        if self.feed is not None:
            state["fed"] = ops.zeros((ops.shape(memory)[0], self.fed_dim), self.compute_dtype)
        return {
            "step": state,
            "memory": {
                "attention": self.attention.project_memory(memory),
                "padding_mask": padding_mask,
                "state": state,
            },
            "weights": {"output": self.output_embedding.output_weights()},  # (E, V)
        }

    def decode(
        self, token_ids: Any, cache: dict, index: Any = 0, training: bool | None = None
    ) -> tuple[Any, dict]:
        """Target token ids `(N, T)` at the positions `index …` -> logits `(N, T, V)`, cache."""
        memory, kept = cache["memory"], cache["step"]
        words = self.drop(self.target_embedding(token_ids), training=training)  # (N, T, E)
        state = memory["state"] if kept is None else kept
        states, last = unroll(
            lambda before, now: self._step(before, now, memory),
            state,
            {"projected": self.cells[0].project(words), "drops": self._drops(words, training)},
        )
        h = states["cells"][-1][0]  # (N, T, U)
        if self.additive:
            first = state["cells"][-1][0][:, None]  # (N, 1, U)
            before = ops.concatenate([first, h[:, :-1]], axis=1)  # (N, T, U)
            x = self._maxout(ops.concatenate([before, states["fed"], words], axis=-1))
        else:
            x = states["fed"] if self.feed is not None else self._attentional(h, memory)
        x = self.drop(x, training=training)  # (N, T, E)
        logits = self.output_embedding.logits(x, cache["weights"]["output"])  # (N, T, V)
        return logits, {**cache, "step": None if kept is None else last}

    def _drops(self, words: Any, training: bool | None) -> list[Any]:
        """Dropout between the layers, drawn for all positions at once: factors `(N, T, U)`."""
        if not training:
            return []
        shape = (*ops.shape(words)[:2], self.config.hidden_dim)
        ones = ops.ones(shape, self.compute_dtype)
        return [self.drop(ones, training=True) for _ in self.cells[1:]]

    def _step(self, before: dict[str, Any], now: dict[str, Any], memory: dict[str, Any]) -> dict:
        """One word: the state before and the word's part of the gates -> the state after."""
        after: dict[str, Any] = {"cells": []}
        projected = now["projected"]  # (N, G * U)
        if self.additive:
            query = before["cells"][-1][0][:, None]  # (N, 1, U)
            context = self.attention(query, memory["attention"], memory["padding_mask"])
            after["fed"] = context[:, 0]  # (N, M)
            projected = projected + self.feed(after["fed"])
        elif self.feed is not None:
            projected = projected + self.feed(before["fed"])
        for i, cell in enumerate(self.cells):
            if i:
                h = after["cells"][-1][0]  # (N, U)
                projected = cell.project(h * now["drops"][i - 1] if now["drops"] else h)
            after["cells"].append(cell.step(projected, before["cells"][i]))
        if self.feed is not None and not self.additive:
            h = after["cells"][-1][0][:, None]  # (N, 1, U)
            after["fed"] = self._attentional(h, memory)[:, 0]  # (N, E)
        return after

    def _attentional(self, h: Any, memory: dict[str, Any]) -> Any:
        """`tanh(W [c; h])` (Luong et al. 2015, equation 5): `(N, T, U)` -> `(N, T, E)`."""
        context = self.attention(h, memory["attention"], memory["padding_mask"])
        return self.readout(ops.concatenate([context, h], axis=-1))

    def _maxout(self, x: Any) -> Any:
        """The larger of every two (Bahdanau et al. 2015, appendix A.2.2): `(N, T, E)`."""
        x = self.readout(x)  # (N, T, 2 E)
        return ops.max(ops.reshape(x, (*ops.shape(x)[:2], self.config.embedding_dim, 2)), axis=-1)
