"""Summarization: a text, and in fewer words what it says.

text      "#Person1#: Shall we meet at noon? #Person2#: I'd rather have lunch at one. ..."
summary   "#Person1# and #Person2# will have lunch at one."

pairs = [("#Person1#: Shall we ...", "#Person1# and #Person2# will ..."), ...]
task = Summarization.from_pairs(pairs, "pointer_generator/small", vocab_size=8000)
task.compile()
task.fit(pairs, epochs=30)
task("#Person1#: Are you free on Monday? ...")

A decoder summarizes too: it goes on writing after the text in a prompt.

task = Summarization.from_pairs(pairs, "gpt2/tiny", prompt="{text}\\n\\n摘要：\\n")
for piece in task.stream("#Person1#: Are you free on Monday? ...", strategy=Greedy()):
    print(piece, end="", flush=True)
"""

import dataclasses
import random
from collections.abc import Iterator
from typing import Any, ClassVar

from tflm.data import TranslationBatches
from tflm.export import TextToText
from tflm.generation import Greedy, Limits, Sample
from tflm.models.base import Decoder, EncoderDecoder
from tflm.tasks.prompted_decoder import PromptedDecoder
from tflm.tasks.prompted_stream import PromptedStream
from tflm.tasks.sequence_to_sequence import SequenceToSequence


class Summarization(SequenceToSequence):
    """Summarizes with an encoder-decoder, of which `pointer_generator` copies, or with a decoder.

    Trained without pretraining, copying is worth more than anything else. No three tokens are
    written twice (trigram blocking, Paulus et al. 2017, https://arxiv.org/abs/1705.04304, section
    2.5), and `Limits.coverage_penalty` keeps a beam of a model that copies from saying again what
    it has said.

    A decoder learns the summary's tokens and its end, and not the prompt's. What it takes is room
    for the prompt and the summary together: `limits.max_length` tokens of a summary, by default at
    most half of what it takes, and `max_source_length` of a text in its prompt. What is too long is
    cut before the prompt's end.

    Args:
        model: an `EncoderDecoder` or a `Decoder`.
        *args: tokenizers, as of `SequenceToSequence`; a decoder has one.
        max_length_ratio: most tokens written for each token read, 0.5 say; a short text gets a
            short summary. By default `limits.max_length` is the only bound. The tokens of a prompt
            count as read.
        prompt: of a decoder: what it reads, with `{text}` in the place of the text; by default
            `PROMPT`, as Radford et al. 2019 (GPT-2), section 3.6.
        **kwargs: `strategy`, `limits` (`min_length`, `max_length`, ...) and `max_source_length`, as
            of `SequenceToSequence`.

    Raises:
        ValueError: `max_length_ratio` is not positive; an encoder-decoder has a prompt; a decoder
            has two tokenizers, or not the room that the lengths ask for; or as `PromptedDecoder`
            and `SequenceToSequence`.
    """

    PRESET = "pointer_generator/small"
    NETWORKS = (EncoderDecoder, Decoder)
    COLUMNS = ("document", "summary")
    LIMITS = Limits(max_length=128, no_repeat_ngram_size=3)
    MAX_SOURCE_LENGTH = 1024
    PROMPT: ClassVar[str] = "{text}\n\nTL;DR:\n"
    OPTIONS: ClassVar[tuple[str, ...]] = (
        *SequenceToSequence.OPTIONS,
        "max_length_ratio",
        "prompt",
    )

    def __init__(
        self,
        model: EncoderDecoder | Decoder,
        *args: Any,
        max_length_ratio: float | None = None,
        prompt: str | None = None,
        **kwargs: Any,
    ):
        if max_length_ratio is not None and not max_length_ratio > 0:
            raise ValueError(f"`max_length_ratio` must be positive. Received: {max_length_ratio}")
        super().__init__(model, *args, **kwargs)
        self.max_length_ratio = max_length_ratio
        self.prompt = prompt
        self.prompted: PromptedDecoder | None = None
        if isinstance(model, Decoder):
            if self.target_tokenizer is not self.source_tokenizer:
                raise ValueError(
                    "`target_tokenizer` must be left out for a decoder, which has one tokenizer. "
                    f"Received: {type(self.target_tokenizer).__name__}"
                )
            self.prompt = self.PROMPT if prompt is None else prompt
            self.prompted = PromptedDecoder(model, self.source_tokenizer, self.prompt)
            self._check_room(self.limits.max_length, self.max_source_length)
        elif prompt is not None:
            raise ValueError(
                f"`prompt` must be left out for an encoder-decoder. Received: prompt={prompt!r}"
            )

    @property
    def text_model(self) -> Any:
        """The network as an encoder-decoder."""
        return self.prompted or self.model

    @property
    def _positions(self) -> int | None:
        """What a decoder takes, prompt and summary together; `None` for any number of tokens."""
        is_decoder = isinstance(self.model, Decoder)
        return getattr(self.model.config, "max_length", None) if is_decoder else None

    def default_limits(self) -> Limits:
        """The class's limits, or shorter where the model takes fewer tokens."""
        limits, positions = super().default_limits(), self._positions
        if positions is None:
            return limits
        return dataclasses.replace(limits, max_length=min(limits.max_length, positions // 2))

    def default_source_length(self) -> int:
        """The class's `MAX_SOURCE_LENGTH`, or what a decoder's summary leaves room for."""
        length, positions = super().default_source_length(), self._positions
        return length if positions is None else min(length, positions - self.limits.max_length)

    def _check_room(self, max_length: int, max_source_length: int) -> None:
        """Whether text, prompt and summary fit into what a decoder takes."""
        if self.prompted is None:
            return
        least, positions = self.prompted.num_special + 1, self._positions
        if positions and max_length + max(max_source_length, least) > positions:
            raise ValueError(
                f"`max_length` and `max_source_length`, {least} or more, must be at most the "
                f"model's {positions} positions together. "
                f"Received: max_length={max_length}, max_source_length={max_source_length}"
            )
        if max_source_length < least:
            raise ValueError(
                f"`max_source_length` must be at least {least}: a token and those of the prompt. "
                f"Received: max_source_length={max_source_length}"
            )

    def text_to_text(
        self, strategy: Any = None, limits: Limits | None = None, freeze: bool = False
    ) -> TextToText:
        """The graph that answers here and in the exported SavedModel.

        Raises:
            ValueError: a decoder has not the room that the limits ask for.
        """
        self._check_room((limits or self.limits).max_length, self.max_source_length)
        return super().text_to_text(strategy, limits, freeze)

    def stream(
        self,
        text: str,
        *,
        strategy: Greedy | Sample | None = None,
        limits: Limits | None = None,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Gives a decoder's summary of a text in pieces, each as soon as it is written.

        Joined, they are what the task answers to the same arguments. A piece is whole
        characters. Nothing is computed before a piece is asked for.

        Args:
            text: a text of any length.
            strategy: instead of the task's own.
            limits: instead of the task's own.
            seed: for `Sample`; a new one each time by default.

        Raises:
            ValueError: the model is no decoder, the strategy is a `Beam`, or there is not the room
                that the limits ask for.
        """
        if self.prompted is None:
            raise ValueError(
                f"`model` must be a decoder to be streamed. Received: {type(self.model).__name__}"
            )
        chosen: Any = strategy or self.strategy  # a `Beam` is refused below
        limits = limits or self.limits
        self._check_room(limits.max_length, self.max_source_length)
        key = ("stream", chosen, limits)
        if key not in self._functions:
            self._functions[key] = PromptedStream(
                self.prompted,
                self.source_tokenizer,
                strategy=chosen,
                limits=limits,
                max_source_length=self.max_source_length,
            )
        seed = random.getrandbits(31) if seed is None else seed
        return self._functions[key].pieces(text, limits.max_length, self.max_length_ratio, seed)

    def length_cap(self) -> dict[str, Any]:
        """`max_length_ratio` of `tflm.export.TextToText`."""
        return {"max_length_ratio": self.max_length_ratio}

    def batches(self, examples: Any, **options: Any) -> TranslationBatches:
        """Pairs -> batches; see `tflm.data.TranslationBatches` for the options.

        Raises:
            ValueError: a decoder has not the room that the options ask for; or as
                `SequenceToSequence`.
        """
        found = super().batches(examples, **options)
        self._check_room(found.max_length, found.max_source_length or found.max_length)
        return found

    def batch_limits(self, training: bool) -> dict[str, Any]:
        """Long texts are cut in training as they are in use.

        Longer summaries than those in use are left out in training; in evaluation they are cut
        where the model has no room for them, and counted.
        """
        found = {
            "max_length": self.limits.max_length,
            "max_source_length": self.max_source_length,
            "tokens_per_batch": max(8192, self.max_source_length),
        }
        if self.prompted is not None:
            return {**found, "cut_targets": self._positions is not None}
        if training:
            return found
        return {
            **found,
            **super().batch_limits(training),
            "max_source_length": self.max_source_length,
        }
