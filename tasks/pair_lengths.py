"""How long the source and the target of a network may be, which its positions and special tokens
decide."""

from typing import Any

from tflm.models import EncoderDecoder


class PairLengths:
    """The lengths that a network has positions for.

    Args:
        model: an `EncoderDecoder`, or a decoder, which has no special tokens of its own.

    Attributes:
        positions: how many a side has, `None` where they have no last one.
        num_around: special tokens around a source.
        num_forced: tokens that stand before a target, all but the first, which take positions too.
    """

    def __init__(self, model: Any):
        self.is_pair = isinstance(model, EncoderDecoder)
        of_config = getattr(model.config, "max_length", None)
        self.positions: int | None = getattr(model, "longest", of_config)
        frame = (model.SOURCE_START, model.SOURCE_END, model.TARGET_START) if self.is_pair else ()
        start, end, target = map(len, frame) if frame else (0, 0, 1)
        self.num_around = start + end
        self.num_forced = target - 1

    def source(self, length: int) -> int:
        """A length of sources, or fewer tokens where there are fewer positions."""
        return length if self.positions is None else min(length, self.positions)

    def target(self, length: int) -> int:
        """A length of targets, or fewer tokens where there are fewer positions."""
        most = self.longest_target
        return length if most is None else min(length, most)

    @property
    def longest_target(self) -> int | None:
        """The most tokens of a target, its end included; `None` for any number."""
        return None if self.positions is None else self.positions - self.num_forced

    def check_source(self, length: int) -> None:
        """Whether an encoder can read sources of so many tokens.

        Raises:
            ValueError: it has not the positions, or no token but special ones is left.
        """
        if not self.is_pair:
            return
        most = self.positions
        if length <= self.num_around or (most is not None and length > most):
            bound = "" if most is None else f", and at most the model's {most} positions"
            raise ValueError(
                f"`max_source_length` must be more than the {self.num_around} special tokens of a "
                f"source{bound}. Received: max_source_length={length}"
            )

    def check_training_target(self, length: int) -> None:
        """Whether targets of so many tokens can be learned.

        Raises:
            ValueError: there are fewer positions.
        """
        most = self.longest_target
        if most is not None and length > most:
            raise ValueError(
                f"`max_length` must be at most {most}, for which the model has positions. "
                f"Received: max_length={length}"
            )

    def check_scored_target(self, length: int) -> None:
        """Whether a target of so many tokens can be scored.

        Raises:
            ValueError: there are fewer positions.
        """
        most = self.longest_target
        if most is not None and length > most:
            raise ValueError(
                f"`pairs` must have targets of at most {most} tokens, for which the model has "
                f"positions. Received: one of {length} tokens, its end included"
            )
