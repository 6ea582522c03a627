"""Conversations with a language model: each turn reads only what is new.

    system       You are a helpful assistant.
    user         公园大吗？
    assistant    公园很大。

chat = Chat(TextGeneration.from_pretrained("Qwen/Qwen2-0.5B-Instruct"), "You are brief.")
chat.send("公园大吗？")
for piece in chat.stream("为什么？"):
    print(piece, end="", flush=True)
"""

import random
from collections.abc import Iterator, Sequence

from tflm.checkpoints import ChatTemplate
from tflm.generation import Greedy, Limits, Sample
from tflm.generation.stopping import stop_strings
from tflm.tasks.chat_template import ENGLISH, Prompts, RoleTemplate
from tflm.tasks.text_generation import TextGeneration


class Chat:
    """One conversation.

    What the network has computed of the turns before is kept, and read on from where the new
    conversation first differs.

    Args:
        task: the language model.
        system: what is said to it before the first turn; nothing by default.
        template: how the conversation is written: a `RoleTemplate`, a `ChatTemplate`, or the source
            of one in Jinja. By default the checkpoint's own, and `ENGLISH` where it has none.
        strategy: `Greedy` or `Sample`, instead of the task's own.
        limits: instead of the task's own; the rest of what the model takes is room for the
            conversation.
        stop: strings that end an answer, besides those of task and template.
        drop_oldest: whether the oldest turns are dropped from a conversation that is too long; they
            move to `forgotten`. By default it is an error.

    Attributes:
        messages: the conversation, `{"role": ..., "content": ...}` each, the system's first.
        forgotten: what was dropped from it, the oldest first.
        num_read: tokens that the network has read in all.

    Raises:
        ImportError: the template is Jinja's and jinja2 is not installed.
        ValueError: the strategy is a `Beam`, the template is not valid, a stop string is empty, or
            `limits` leave no room for a conversation.
    """

    def __init__(
        self,
        task: TextGeneration,
        system: str | None = None,
        template: RoleTemplate | ChatTemplate | str | None = None,
        *,
        strategy: Greedy | Sample | None = None,
        limits: Limits | None = None,
        stop: str | Sequence[str] = (),
        drop_oldest: bool = False,
    ):
        self.task = task
        self.limits = limits or task.limits
        self.drop_oldest = drop_oldest
        self.messages: list[dict[str, str]] = []
        self.forgotten: list[dict[str, str]] = []
        if system is not None:
            self.messages.append({"role": "system", "content": system})
        if isinstance(template, str):
            tokens = task.chat_template.tokens if task.chat_template else {}
            template = ChatTemplate(template, tokens)
        template = template or task.chat_template or ENGLISH
        self._prompts = Prompts(template, task.tokenizer, task.begin_id)
        own = template.stop if isinstance(template, RoleTemplate) else ()
        self.stop = stop_strings([*task.stop, *stop_strings(stop), *own])
        self._room = task.room_for_prompt(self.limits)
        self._strategy = strategy
        self._stepper = task.stepper(strategy, self.limits)
        self._reading, self._read_before = task.reading(), 0

    @property
    def num_read(self) -> int:
        """Tokens that the network has read in all."""
        return self._read_before + self._reading.num_read

    def send(self, text: str, seed: int | None = None) -> str:
        """The answer to what the user says, which both become part of the conversation.

        Args:
            text: the user's turn.
            seed: of `Sample`; by default a new one.

        Raises:
            ValueError: the conversation is too long, or the template refuses it.
        """
        return "".join(self.stream(text, seed))

    def stream(self, text: str, seed: int | None = None) -> Iterator[str]:
        """The answer in pieces, each as soon as it is written, without white space around it.

        When the last piece was taken, turn and answer become part of the conversation; when the
        stream is closed before, the conversation is as it was.

        Args:
            text: the user's turn.
            seed: of `Sample`; by default a new one.

        Raises:
            ValueError: the conversation is too long, or the template refuses it.
        """
        turn = {"role": "user", "content": text}
        messages, dropped, prompt_ids = self._fitted([*self.messages, turn])
        seed = random.getrandbits(31) if seed is None else seed

        def pieces() -> Iterator[str]:
            self._follow_task()
            tokens = self._stepper.tokens(self._reading, prompt_ids, self.limits.max_length, seed)
            answer = []
            for piece in stripped(self.task.text_stream().pieces(tokens, prompt_ids, self.stop)):
                answer.append(piece)
                yield piece
            self.messages = [*messages, {"role": "assistant", "content": "".join(answer)}]
            self.forgotten += dropped

        return pieces()

    def _follow_task(self) -> None:
        """Forgets what was computed if the task has been compiled since: it may have learned."""
        stepper = self.task.stepper(self._strategy, self.limits)
        if stepper is not self._stepper:
            self._stepper = stepper
            self._read_before = self.num_read
            self._reading = self.task.reading()

    def _fitted(
        self, messages: list[dict[str, str]]
    ) -> tuple[list[dict[str, str]], list[dict[str, str]], list[int]]:
        """Messages that leave room for an answer, those dropped for it, and the ids of the former.

        Raises:
            ValueError: they do not fit, and none may be dropped, or it is the last one.
        """
        dropped: list[dict[str, str]] = []
        first = 1 if messages[0]["role"] == "system" else 0
        while True:
            ids = self._prompts.ids(messages)
            if len(ids) <= self._room:
                return messages, dropped, ids
            if not self.drop_oldest or len(messages) - first < 3:  # a turn, its answer, and this
                raise ValueError(
                    f"the conversation must be at most {self._room} tokens, so that an answer of "
                    f"`max_length` fits; `drop_oldest` drops turns. Received: {len(ids)} tokens "
                    f"in {len(messages)} messages, max_length={self.limits.max_length}, "
                    f"drop_oldest={self.drop_oldest}"
                )
            dropped += messages[first : first + 2]
            messages = messages[:first] + messages[first + 2 :]


def stripped(pieces: Iterator[str]) -> Iterator[str]:
    """Pieces of a text without the white space at its ends."""
    held = ""
    begun = False
    for piece in pieces:
        held += piece
        text = held.rstrip() if begun else held.strip()
        if text:
            yield text
            held = held[len(held.rstrip()) :]
            begun = True
