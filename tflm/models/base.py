"""What every architecture promises: a frozen `Config` in, one forward path, logits out.

`B` batch, `T` target length, `S` source length, `D` model width, `V` vocabulary, `N` rows of a
decoding loop (`N = B * beams`).
"""

import dataclasses
from typing import Any, ClassVar

import keras
from keras import ops


class Model(keras.Model):
    """A named architecture: `Config` is its frozen dataclass, `PRESETS` its published sizes.

    Args:
        config: an instance of the class's `Config`.
    """

    Config: ClassVar[Any]
    PRESETS: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable("tflm")(cls)

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.config = config

    def build(self, *_: Any) -> None:
        """Makes every layer's weights, for layers that take vectors `(B, T, D)`."""
        for layer in self.layers:
            layer.build((None, None, self.config.hidden_dim))
        self.built = True

    def to_dtype(self, dtype: str) -> "Model":
        """The same model with its weights and its arithmetic in another dtype.

        Args:
            dtype: a Keras dtype policy: "float32", "bfloat16", "mixed_bfloat16", say.
        """
        twin = type(self)(self.config, name=self.name, dtype=dtype)
        twin.build(None)
        for theirs, ours in zip(twin.weights, self.weights, strict=True):
            theirs.assign(ours)
        return twin

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON holds them."""
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Model":
        """The inverse of `get_config`."""
        config = dict(config)
        return cls(cls.Config(**config.pop("config")), **config)


class Encoder(Model):
    """Reads a text at once: `call(inputs)` -> hidden states `(B, T, D)`.

    Inputs: `token_ids` `(B, T)`, boolean `padding_mask` `(B, T)` and, where the architecture has
    them, `segment_ids` `(B, T)`, the number of the text that each token belongs to.

    Attributes:
        POOLING: how a classifier makes one vector of a text where it is not told: "first", "mean",
            "max" or "attention".
    """

    POOLING: ClassVar[str] = "first"

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Hidden states `(B, T, D)`."""
        raise NotImplementedError


class Decoder(Model):
    """Writes a text one token after another.

        start(padding_mask, max_length)  (B, P) -> cache
        decode(token_ids, cache, index)  (N, T) -> logits (N, T, V), cache

    A cache is `{"step": ...}`; the tensors under "step" have `N` rows and change with every call:
    those of rank 4 are `(N, G, t, K)` and grow along `t`, the others keep their shape. Other keys
    hold what has no rows. Padding stands on the left of a prompt: positions count from the first
    real token, and nothing attends to what stands before it.
    """

    def start(self, padding_mask: Any, max_length: int | None = None) -> dict:
        """The cache before the first token.

        Args:
            padding_mask: boolean `(B, P)`, True where the prompt has a token; its padding is on
                the left.
            max_length: tokens that will be written at most, prompt included.

        Raises:
            ValueError: `max_length` is more than the model can write.
        """
        raise NotImplementedError

    def decode(
        self, token_ids: Any, cache: dict, index: Any = 0, training: bool | None = None
    ) -> tuple[Any, dict]:
        """Token ids `(N, T)` at the places `index …` -> logits `(N, T, V)`, cache.

        Two entries change what is kept and seen: with `cache["step"]["layers"]` `None` nothing is
        kept, and with `cache["segment_ids"]` int `(N, T)` tokens see their own segment only and
        positions start again with each. With `cache["unread"]` the logits of so many of the first
        tokens are not wanted, and may be left out.
        """
        raise NotImplementedError

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Logits `(B, T, V)` of the token after each token, all positions at once.

        Args:
            inputs: `token_ids` `(B, T)`; boolean `padding_mask` `(B, T)` with the padding on
                either side, but not on both; where several texts are packed into a row, their
                numbers `segment_ids` `(B, T)`.
            training: whether dropout is on.
        """
        cache = self.start(inputs["padding_mask"])
        cache = {**cache, "step": {**cache["step"], "layers": None}}
        if inputs.get("segment_ids") is not None:
            cache["segment_ids"] = inputs["segment_ids"]
        logits, _ = self.decode(inputs["token_ids"], cache, 0, training=training)
        return logits


def count_left_padding(padding_mask: Any) -> Any:
    """Padding before the first token of each row: boolean `(B, P)` -> int32 `(B,)`."""
    return ops.argmax(ops.cast(padding_mask, "int32"), axis=-1)


class EncoderDecoder(Model):
    """Reads a source once, then writes a target one token after another.

        encode(token_ids, padding_mask)         (B, S)    -> memory (B, S, D)
        start(memory, padding_mask, max_length, token_ids)
                                                (B, S, D) -> cache
        decode(token_ids, cache, index)         (N, T)    -> logits (N, T, V), cache

    A cache is `{"step": ..., "memory": ...}`. The tensors under "step" have `N` rows and change
    with every call: those of rank 4 are `(N, H, t, K)` and grow along `t`, the others keep their
    shape. The tensors under "memory" have `B` rows and never change; row `r` of `N` belongs to
    sentence `r // (N / B)`. Other keys hold what has no rows: under "weights" those laid out for
    small products, which depend on nothing that is read: "output" `(D, V)`, or a list of its
    columns in blocks, and perhaps "bias" `(V,)` of the logits; and
    "rows_per_source", the integer `N / B` where the caller knows it, which may save work. With
    "step" set to `None` nothing is kept: training decodes the whole target in one call of the same
    `decode`. A model that copies from the source also leaves "overlap" `(N, T)`: how much of what
    each token attends to had been attended to before, from 0 to 1. A model that explains, asked by
    "with_attention", leaves "attention" `(N, T, S)`: how much each token was written after looking
    at each of the source, 1 in all.

    Attributes:
        SOURCE_START: special tokens of a tokenizer, "bos" for its `bos_id`, in front of a source.
        SOURCE_END: those behind it.
        TARGET_START: those that decoding starts with, one at least.
        NEVER_WRITTEN: those that decoding must not choose.
        ENCODES: whether the memory is vectors `(B, S, D)` that stay as they are.
        EXPLAINS: whether it leaves "attention".
    """

    SOURCE_START: ClassVar[tuple[str, ...]] = ()
    SOURCE_END: ClassVar[tuple[str, ...]] = ("eos",)
    TARGET_START: ClassVar[tuple[str, ...]] = ("bos",)
    NEVER_WRITTEN: ClassVar[tuple[str, ...]] = ()
    ENCODES: ClassVar[bool] = True
    EXPLAINS: ClassVar[bool] = False

    def encode(self, token_ids: Any, padding_mask: Any, training: bool | None = None) -> Any:
        """Source token ids `(B, S)` and their boolean mask -> memory `(B, S, D)`."""
        raise NotImplementedError

    def start(
        self,
        memory: Any,
        padding_mask: Any,
        max_length: int | None = None,
        token_ids: Any = None,
    ) -> dict:
        """Everything decoding needs of a source, computed once; no target position cached yet.

        Args:
            memory: what `encode` gave, `(B, S, D)`.
            padding_mask: boolean `(B, S)`, True where the source has a token.
            max_length: tokens that will be written at most.
            token_ids: the source's, `(B, S)`; only models that copy from it need them.

        Raises:
            ValueError: `max_length` is more than the model can write.
        """
        raise NotImplementedError

    def decode(
        self, token_ids: Any, cache: dict, index: Any = 0, training: bool | None = None
    ) -> tuple[Any, dict]:
        """Target token ids `(N, T)` at the positions `index …` -> logits `(N, T, V)`, cache."""
        raise NotImplementedError

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Logits `(B, T, V)` of the token after each target token, all positions at once.

        Args:
            inputs: `encoder_token_ids` `(B, S)`, `encoder_padding_mask` `(B, S)`,
                `decoder_token_ids` `(B, T)`. Target padding stands on the right, where causal
                attention hides it, so `decoder_padding_mask` is accepted and not needed.
            training: whether dropout is on.
        """
        padding_mask = inputs["encoder_padding_mask"]
        token_ids = inputs["encoder_token_ids"]
        memory = self.encode(token_ids, padding_mask, training=training)
        cache = self.start(memory, padding_mask, token_ids=token_ids)
        cache = {**cache, "step": None, "rows_per_source": 1}
        logits, _ = self.decode(inputs["decoder_token_ids"], cache, 0, training=training)
        return logits
