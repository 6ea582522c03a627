"""What every architecture promises: a frozen `Config` in, one forward path, logits out.

`B` batch, `T` target length, `S` source length, `D` model width, `V` vocabulary, `N` rows of a
decoding loop (`N = B * beams`).
"""

import dataclasses
from typing import Any, ClassVar

import keras


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

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON holds them."""
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Model":
        """The inverse of `get_config`."""
        config = dict(config)
        return cls(cls.Config(**config.pop("config")), **config)


class EncoderDecoder(Model):
    """Reads a source once, then writes a target one token after another.

        encode(token_ids, padding_mask)         (B, S)    -> memory (B, S, D)
        start(memory, padding_mask, max_length) (B, S, D) -> cache
        decode(token_ids, cache, index)         (N, T)    -> logits (N, T, V), cache

    A cache is `{"step": ..., "memory": ...}`. The tensors under "step" have `N` rows and change
    with every call: those of rank 4 are `(N, H, t, K)` and grow along `t`, the others keep their
    shape. The tensors under "memory" have `B` rows and never change; row `r` of `N` belongs to
    sentence `r // (N / B)`. Other keys hold what has no rows, weights laid out for small products
    say. With "step" set to `None` nothing is kept: training decodes the whole
    target in one call of the same `decode`.
    """

    def encode(self, token_ids: Any, padding_mask: Any, training: bool | None = None) -> Any:
        """Source token ids `(B, S)` and their boolean mask -> memory `(B, S, D)`."""
        raise NotImplementedError

    def start(self, memory: Any, padding_mask: Any, max_length: int | None = None) -> dict:
        """Everything decoding needs of a source, computed once; no target position cached yet.

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
        memory = self.encode(inputs["encoder_token_ids"], padding_mask, training=training)
        cache = {**self.start(memory, padding_mask), "step": None}
        logits, _ = self.decode(inputs["decoder_token_ids"], cache, 0, training=training)
        return logits
