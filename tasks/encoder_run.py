"""What runs share that put a head on an encoder: a fresh one, or another run's."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from tflm import models
from tflm.models.base import Encoder
from tflm.tasks.starting import changed, open_start, restarted
from tflm.tasks.training_run import TrainingRun
from tflm.tokenizers import Tokenizer
from tflm.training.lora import add_lora


class EncoderRun(TrainingRun):
    """Trains a head together with an encoder.

    Its `Settings` have `start` (whose encoder and tokenizer training starts from instead of fresh
    ones, see `tflm.tasks.starting`), `lora_rank` and `lora_alpha` (where the rank is not 0, only
    LoRA of the encoder learns, see `tflm.training.lora.add_lora`, and the head), `vocab_size` and
    `algorithm` too.

    Attributes:
        SIZES: settings that are sizes of the network; 0 leaves the preset's.
        RATES: settings that are rates of the network.

    Raises:
        ValueError: there is LoRA without a start.
    """

    NETWORKS = (Encoder,)
    SIZES: ClassVar[tuple[str, ...]]
    RATES: ClassVar[tuple[str, ...]]

    def check(self) -> None:
        """Refuses LoRA without a start."""
        if self.settings.lora_rank and not self.settings.start:
            raise ValueError(
                "`lora_rank` must be 0 without `start`: fresh weights would never learn. "
                f"Received: lora_rank={self.settings.lora_rank}"
            )

    def encoder(self) -> tuple[Any, Tokenizer]:
        """The network that training starts from, and its tokenizer."""
        settings = self.settings
        if not settings.start:
            tokenizer = self.tokenizer()
            network, config = self.fresh_network([tokenizer.vocab_size])
            return network(config, dtype=settings.dtype), tokenizer
        found, (tokenizer, *_) = open_start(settings.start, Encoder, self.TASK)
        model = restarted(found, self._rates(), settings.dtype)
        if settings.lora_rank:
            layers = add_lora(model, settings.lora_rank, alpha=settings.lora_alpha or None)
            learn = sum(math.prod(weight.shape) for weight in model.trainable_weights)
            self.print(
                f"LoRA of rank {settings.lora_rank} in {len(layers)} layers: "
                f"{learn:,} weights learn."
            )
        return model, tokenizer

    def fresh_network(self, vocab_sizes: Sequence[int]) -> tuple[type[models.Model], Any]:
        """The preset, with the settings' sizes and rates."""
        network, config = models.find(self.settings.preset)
        given = {name: getattr(self.settings, name) for name in self.SIZES}
        sizes = {name: size for name, size in given.items() if size}
        (vocab_size,) = vocab_sizes
        return network, changed(config, {**self._rates(), **sizes, "vocab_size": vocab_size})

    def _rates(self) -> dict[str, Any]:
        return {name: getattr(self.settings, name) for name in self.RATES}
