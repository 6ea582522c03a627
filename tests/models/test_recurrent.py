import numpy as np
import pytest
from keras import ops

from tflm import models
from tflm.models.recurrent import Config, RecurrentEncoderDecoder

SIZES = {
    "vocab_size": 29,
    "embedding_dim": 10,
    "hidden_dim": 12,
    "num_encoder_layers": 2,
    "num_decoder_layers": 3,
}
CONTRACT = [
    {
        **SIZES,
        "target_vocab_size": 23,
        "cell": "gru",
        "attention": "luong_general",
        "bidirectional": True,
        "input_feeding": False,
        "dropout": 0.3,
        "tie_output": True,
    },
    {**SIZES, "attention": "bahdanau", "bidirectional": True},
    {**SIZES, "attention": "luong_general", "bidirectional": True},
]
B, S, T, E, U = 2, 6, 4, 10, 12
MASK = np.array([[True] * 6, [True] * 4 + [False] * 2])


def built(seed=5, **fields):
    one = {"num_encoder_layers": 1, "num_decoder_layers": 1}
    model = RecurrentEncoderDecoder(Config(**{**SIZES, **one, **fields}))
    model.build()
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(random.normal(0.05, 0.35, weight.shape))
    return model


def batch(seed=0):
    random = np.random.default_rng(seed)
    return {
        "encoder_token_ids": random.integers(4, 29, (B, S), "int32"),
        "encoder_padding_mask": MASK,
        "decoder_token_ids": random.integers(4, 29, (B, T), "int32"),
    }


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Paper:
    """The forward pass in float64 from the papers' equations, a sentence and a word at a time."""

    def __init__(self, model):
        self.weights = {
            weight.path.split("/", 1)[1]: ops.convert_to_numpy(weight).astype("float64")
            for weight in model.weights
        }
        self.config = model.config

    def embed(self, token_ids, name="embedding"):
        return self.weights[f"{name}/embeddings"][token_ids] * np.sqrt(E)

    def cell(self, name, x, state, extra=0.0):
        kernel, recurrent, bias = (
            self.weights[f"{name}/{part}"] for part in ("kernel", "recurrent_kernel", "bias")
        )
        z = x @ kernel + bias + extra
        if self.config.cell == "lstm":
            h, c = state
            i, f, g, o = np.split(z + h @ recurrent, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            return sigmoid(o) * np.tanh(c), c
        (h,) = state
        z, r = np.split(sigmoid(z[: 2 * U] + h @ recurrent[:, : 2 * U]), 2), z[2 * U :]
        (update, reset), candidate = z, r
        candidate = np.tanh(candidate + (reset * h) @ recurrent[:, 2 * U :])
        return (update * h + (1 - update) * candidate,)

    def states(self):
        return 2 if self.config.cell == "lstm" else 1

    def read(self, name, words):
        state, outputs = (np.zeros(U),) * self.states(), []
        for word in words:
            state = self.cell(name, word, state)
            outputs.append(state[0])
        return np.array(outputs)

    def encode(self, words):
        forward = self.read("forward_0", words)
        if not self.config.bidirectional:
            return forward, forward[-1]
        backward = self.read("backward_0", words[::-1])[::-1]
        return np.concatenate([forward, backward], axis=1), backward[0]

    def attend(self, h, memory):
        if self.config.attention == "bahdanau":
            hidden = np.tanh(
                h @ self.weights["attention/query/kernel"]
                + memory @ self.weights["attention/key/kernel"]
            )
            scores = hidden @ self.weights["attention/score/kernel"][:, 0]
        elif self.config.attention == "luong_general":
            scores = memory @ self.weights["attention/key/kernel"] @ h
        else:
            scores = memory @ h
        weights = np.exp(scores - scores.max())
        return weights / weights.sum() @ memory

    def logits(self, source, target):
        memory, last = self.encode(self.embed(source))
        bridge = np.tanh(last @ self.weights["bridge/kernel"] + self.weights["bridge/bias"])
        state = tuple(np.split(bridge, self.states()))
        feed = self.weights.get("feed/kernel")
        readout, rows = self.weights["readout/kernel"], []
        attentional = np.zeros(E)
        for word in self.embed(target):
            if self.config.attention == "bahdanau":
                before = state[0]
                context = self.attend(before, memory)
                state = self.cell("decoder_0", word, state, context @ feed)
                t = np.concatenate([before, context, word]) @ readout
                t = t + self.weights["readout/bias"]
                rows.append(t.reshape(E, 2).max(axis=1))
                continue
            extra = 0.0 if feed is None else attentional @ feed
            state = self.cell("decoder_0", word, state, extra)
            context = self.attend(state[0], memory)
            attentional = np.tanh(np.concatenate([context, state[0]]) @ readout)
            rows.append(attentional)
        return np.array(rows) @ self.weights["output_embedding/embeddings"].T


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(
    "fields",
    [
        {"attention": "bahdanau", "bidirectional": True},
        {"attention": "bahdanau"},
        {"attention": "luong_general", "bidirectional": True},
        {"attention": "luong_general", "bidirectional": True, "input_feeding": False},
        {"attention": "luong_dot"},
    ],
    ids=str,
)
def test_the_whole_network_is_the_papers(cell, fields):
    model, inputs = built(cell=cell, **fields), batch()
    found = np.array(model(inputs))
    for row in range(B):
        source = inputs["encoder_token_ids"][row][MASK[row]]
        expected = Paper(model).logits(source, inputs["decoder_token_ids"][row])
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-4)


def test_dropout_between_layers_is_drawn_for_every_position():
    model = built(num_decoder_layers=2, dropout=0.5)
    words = np.ones((B, T, E), "float32")
    (factors,) = model._drops(words, training=True)
    assert factors.shape == (B, T, U)
    assert set(np.unique(factors)) == {0.0, 2.0}
    assert not np.array_equal(factors[:, 0], factors[:, 1])
    assert model._drops(words, training=False) == []


def test_vocabularies_share_exactly_the_embeddings_they_should():
    def tables(**fields):
        paths = [weight.path.split("/", 1)[1] for weight in built(**fields).weights]
        return sorted(path for path in paths if path.endswith("embeddings"))

    assert tables(tie_output=True) == ["embedding/embeddings"]
    assert tables() == ["embedding/embeddings", "output_embedding/embeddings"]
    assert tables(tie_output=True, target_vocab_size=23) == [
        "embedding/embeddings",
        "target_embedding/embeddings",
    ]
    assert len(tables(target_vocab_size=23)) == 3


def test_presets_have_the_sizes_of_their_papers():
    def lstm(width, units):
        return 4 * units * (width + units + 1)

    def gru(width, units):
        return 3 * units * (width + units + 1)

    v, e, u = 30000, 620, 1000  # Bahdanau et al., appendix A.2.3
    bahdanau = 3 * v * e + 2 * gru(e, u) + gru(e + 2 * u, u)
    bahdanau += u * u + u + (u + 2 * u + 1) * u + (u + 2 * u + e + 1) * 2 * e
    assert models.num_parameters("recurrent/bahdanau") == bahdanau
    v = 50000  # Luong et al., section 4.1
    luong = 3 * v * u + 4 * lstm(u, u) + lstm(2 * u, u) + 3 * lstm(u, u)
    luong += (u + 1) * 8 * u + 2 * u * u
    assert models.num_parameters("recurrent/luong") == luong


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"cell": "rnn"}, r"`cell` must be one of \['gru', 'lstm'\]. Received: cell='rnn'"),
        ({"attention": "luong"}, "`attention` must be one of .* Received: attention='luong'"),
        ({"bidirectional": True}, "`bidirectional` must be false where .* bidirectional=True"),
        (
            {"attention": "bahdanau", "input_feeding": False},
            "`input_feeding` must be true where .* Received: input_feeding=False",
        ),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Config(**fields)
