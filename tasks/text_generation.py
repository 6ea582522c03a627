"""Text generation: what follows a text, at once, as a stream, or in a conversation.

prompt       "Question: 公园大吗？\nAnswer:"
stop         "\n"
answer       " 公园很大。"

task = TextGeneration.from_pretrained("run/model", stop=["\n"])
task("Question: 公园大吗？\nAnswer:")
for piece in task.stream("Question: 公园大吗？\nAnswer:"):
    print(piece, end="", flush=True)
"""

import dataclasses
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from tflm.export import TextGenerator
from tflm.generation import Beam, Greedy, Limits, Sample
from tflm.generation.stepping import Reading, Stepper
from tflm.generation.stopping import stop_strings
from tflm.models.base import Decoder
from tflm.tasks.causal_lm import CausalLM
from tflm.tasks.string_tensors import string_tensor
from tflm.tasks.text_stream import TextStream
from tflm.tokenizers import Tokenizer


class TextGeneration(CausalLM):
    """Writes what follows a text, with a decoder that was trained as a `CausalLM` or came so.

    Args:
        model: a `Decoder`.
        tokenizer: its tokenizer.
        stop: strings that end what is written and are cut off, in the exported SavedModel too; one
            or several. They may go over several tokens, and begin and end inside them.
        **kwargs: as for `CausalLM`: `strategy`, `limits`, `continuous`, `chat_template`.

    Raises:
        TypeError: `model` is not a decoder.
        ValueError: as for `CausalLM`, or a stop string is empty.
    """

    def __init__(
        self,
        model: Decoder,
        tokenizer: Tokenizer,
        *,
        stop: str | Sequence[str] = (),
        **kwargs: Any,
    ):
        super().__init__(model, tokenizer, **kwargs)
        self.stop = stop_strings(stop)
        self._text_stream: TextStream | None = None

    @classmethod
    def from_pretrained(
        cls,
        source: str | os.PathLike,
        revision: str | None = None,
        *,
        stop: str | Sequence[str] | None = None,
        strategy: Beam | Greedy | Sample | None = None,
        limits: Limits | None = None,
        **kwargs: Any,
    ) -> "TextGeneration":
        """Reads a saved `TextGeneration` or `CausalLM`, or starts from a public checkpoint.

        Args:
            source: as for `Task.from_pretrained`; "RUN/model" of a run of `tflm train causal_lm`.
            revision: of a repository on the Hugging Face Hub.
            stop: instead of what was saved.
            strategy: instead of what was saved.
            limits: instead of what was saved.
            **kwargs: passed to the network: `dtype`.

        Raises:
            FileNotFoundError: there is no such source, or it is not complete.
            ValueError: it holds another task, or a checkpoint that is not supported.
        """
        task: Any = CausalLM.from_pretrained(source, revision, **kwargs)
        given = {"stop": stop, "strategy": strategy, "limits": limits}
        changes = {name: value for name, value in given.items() if value is not None}
        if isinstance(task, cls) and not changes:
            return task
        saved = type(task).from_settings(task.settings())
        return cls(task.model, task.tokenizer, **{**saved, **changes})

    def stream(
        self,
        prompt: str,
        *,
        max_length: int | None = None,
        strategy: Greedy | Sample | None = None,
        limits: Limits | None = None,
        stop: str | Sequence[str] | None = None,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Gives the continuation of a prompt in pieces, each as soon as it is written.

        Joined, they are what `generate` gives for the same arguments. A piece is whole characters,
        and no part of a stop string. Nothing is computed before a piece is asked for, and what
        the first costs does not depend on the length asked for.

        Args:
            prompt: a text of any length.
            max_length: most tokens of the continuation, instead of the limits'.
            strategy: instead of the task's own.
            limits: instead of the task's own.
            stop: as for `generate`.
            seed: as for `generate`.

        Raises:
            ValueError: as for `generate`, or the strategy is a `Beam`.
        """
        limits = self._limits_of(limits, max_length)
        length = limits.max_length
        stop = self.stop if stop is None else stop_strings(stop)
        module = self.text_generator(strategy, limits, stop=())
        stepper = self.stepper(strategy, limits)
        seed = random.getrandbits(31) if seed is None else seed

        def pieces() -> Iterator[str]:
            prompt_ids = module.prompts(string_tensor("prompt", [prompt]))[0].to_list()[0]
            tokens = stepper.tokens(self.reading(), prompt_ids, length, seed)
            yield from self.text_stream().pieces(tokens, prompt_ids[1:], stop)

        return pieces()

    def reading(self) -> Reading:
        """A text of which nothing has been read, see `tflm.generation.stepping`."""
        return Reading(lambda: self.model.start(tf.ones((1, 1), tf.bool), self.context_length))

    def stepper(self, strategy: Any = None, limits: Limits | None = None) -> Stepper:
        """What decodes a token at a time; one for all lengths, until the task is compiled anew.

        Raises:
            ValueError: the strategy is a `Beam`.
        """
        strategy, limits = strategy or self.strategy, limits or self.limits
        shortest = dataclasses.replace(limits, max_length=max(1, limits.min_length))
        key = "stepper", strategy, shortest
        if key not in self._functions:
            module = self.text_generator(strategy, limits, stop=())
            self._functions[key] = Stepper(
                module.decode,
                strategy=strategy,
                limits=limits,
                eos_id=module.end_id,
                pad_id=module.pad_id,
            )
        return self._functions[key]

    def text_stream(self) -> TextStream:
        """What makes text of tokens as they come."""
        if self._text_stream is None:
            module = self.text_generator(stop=())
            self._text_stream = TextStream(self.tokenizer, _continuation_of(module))
        return self._text_stream

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments besides model and tokenizer, as JSON holds them."""
        return {**super().settings(), "stop": list(self.stop)}

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """The inverse of `settings`."""
        return {**super().from_settings(settings), "stop": settings["stop"]}


def _continuation_of(module: TextGenerator) -> Any:
    def continuation(read: list[int], written: list[int]) -> str:
        ragged = (
            tf.ragged.constant([ids], tf.int32, row_splits_dtype=tf.int64)
            for ids in (read, written)
        )
        return module.continuation(*ragged).numpy()[0].decode()

    return continuation
