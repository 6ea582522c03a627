"""A conversation as the ids that a model reads: by its own Jinja template, or as plain text.

A message is `{"role": "user", "content": "公园大吗？"}`, as most chat interfaces have it.
"""

import dataclasses
import datetime
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tflm.checkpoints import ChatTemplate
from tflm.tasks.string_tensors import without_surrogates
from tflm.tokenizers import Tokenizer
from tflm.tokenizers.pieces import Pieces

Message = Mapping[str, str]

_GUARD = "\ufdd0"  # Unicode keeps it out of texts


@dataclasses.dataclass(frozen=True)
class RoleTemplate:
    """A conversation as plain text, for models that were not trained on a form of their own.

    Attributes:
        turns: How a message of each role is written, "{content}" and all.
        reply: What stands in front of the model's answer.
        stop: What ends an answer: how the next turn would begin.
    """

    turns: Mapping[str, str]
    reply: str
    stop: tuple[str, ...]

    def render(self, messages: Sequence[Message]) -> str:
        """The text of a conversation whose next turn is the model's.

        Raises:
            ValueError: a role has no turn.
        """
        for message in messages:
            if message["role"] not in self.turns:
                raise ValueError(
                    f"`role` must be one of {', '.join(self.turns)}. "
                    f"Received: role={message['role']!r}"
                )
        turns = ((self.turns[each["role"]], each["content"]) for each in messages)
        return "".join(turn.replace("{content}", said) for turn, said in turns) + self.reply


ENGLISH = RoleTemplate(
    turns={
        "system": "{content}\n\n",
        "user": "User: {content}\n",
        "assistant": "Assistant: {content}\n",
    },
    reply="Assistant:",
    stop=("\nUser:",),
)
CHINESE = RoleTemplate(
    turns={
        "system": "{content}\n\n",
        "user": "用户：{content}\n",
        "assistant": "助手：{content}\n",
    },
    reply="助手：",
    stop=("\n用户：",),
)


class JinjaTemplate:
    """A checkpoint's own template, rendered as Hugging Face's `apply_chat_template` does.

    Args:
        template: the template.

    Raises:
        ImportError: jinja2 is not installed.
        ValueError: the template is not valid.
    """

    def __init__(self, template: ChatTemplate):
        exceptions, sandbox = _library()
        # A template is a stranger's program: here it can neither reach Python nor change what it
        # is given.
        environment = sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
        self._error = exceptions.TemplateError
        self._tokens = dict(template.tokens)
        try:
            self._template = environment.from_string(template.source)
        except self._error as error:
            raise ValueError(
                f"`template` must be a Jinja template. Received: {type(error).__name__}: {error}"
            ) from error

    def render(self, messages: Sequence[Message]) -> str:
        """The text of a conversation whose next turn is the model's, special tokens spelled out.

        Raises:
            ValueError: the template refuses the conversation.
        """
        try:
            return self._template.render(
                messages=[dict(message) for message in messages],
                add_generation_prompt=True,
                **self._tokens,
            )
        except (self._error, _Refused) as error:
            roles = ", ".join(message["role"] for message in messages)
            raise ValueError(
                f"the template must take the conversation; it says: {error}. Received: {roles}"
            ) from error


class Prompts:
    """Conversations to ids.

    Args:
        template: how they are written.
        tokenizer: whose ids they become.
        begin_id: the token in front of plain text; a Jinja template writes its own.
    """

    def __init__(self, template: RoleTemplate | ChatTemplate, tokenizer: Tokenizer, begin_id: int):
        self._tokenizer = tokenizer
        self._begin: list[int] = []
        self._special: dict[str, int] = {}
        if isinstance(template, ChatTemplate):
            self._template: Any = JinjaTemplate(template)
            self._special = Pieces.of(tokenizer).special_ids
        else:
            self._template = template
            self._begin = [begin_id]
        longest_first = sorted(self._special, key=len, reverse=True)
        self._pattern = re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    def ids(self, messages: Sequence[Message]) -> list[int]:
        """The ids that a model reads before it answers.

        A special token that a message spells is read as plain text.

        Raises:
            ValueError: the template refuses the conversation.
        """
        messages = [{**each, "content": without_surrogates(each["content"])} for each in messages]
        if not self._special:
            text = self._template.render(messages)
            return [*self._begin, *self._tokenizer.tokenize([text]).to_list()[0]]
        guarded = [{**each, "content": self._guarded(each["content"])} for each in messages]
        parts = self._pattern.split(self._template.render(guarded))  # text, token, text, ...
        texts = [part.replace(_GUARD, "") for part in parts[::2]]
        ids = self._tokenizer.tokenize(texts).to_list()
        tokens = [[self._special[part]] for part in parts[1::2]]
        return sum((one + other for one, other in zip(ids, [*tokens, []], strict=True)), [])

    def _guarded(self, content: str) -> str:
        # Behind its first character, so that the whole is not the token any more.
        return self._pattern.sub(lambda found: found[0][0] + _GUARD + found[0][1:], content)


class _Refused(Exception):
    """What a template calls `raise_exception` for."""


def _refuse(message: str) -> None:
    raise _Refused(message)


def _to_json(value: Any, indent: int | None = None) -> str:
    """Without HTML's escapes, which Jinja's own puts in."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _library() -> tuple[Any, Any]:
    try:
        from jinja2 import exceptions, sandbox
    except ImportError:
        raise ImportError(
            "a checkpoint's chat template needs jinja2: pip install 'tflm[chat]'"
        ) from None
    return exceptions, sandbox
