"""Language models on EleutherAI's harness, https://github.com/EleutherAI/lm-evaluation-harness.

import lm_eval
lm_eval.simple_evaluate(model=HarnessLM(CausalLM.from_pretrained("run/model")), tasks=["lambada"])
"""

import collections
from collections.abc import Sequence
from typing import Any

from tflm.generation import Greedy, Sample
from tflm.tasks.causal_lm import CausalLM

try:
    from lm_eval.api.instance import Instance  # pyright: ignore[reportMissingImports]
    from lm_eval.api.model import LM  # pyright: ignore[reportMissingImports]
except ImportError as error:
    raise ImportError(
        "The harness is an extra: pip install 'tflm[lm-eval]'"  # and this file alone needs it
    ) from error

_SAMPLING = ("temperature", "top_k", "top_p")
_KNOWN = ("until", "max_gen_toks", "do_sample", *_SAMPLING)


class HarnessLM(LM):
    """A `CausalLM` as the harness's model; texts of like length are read together.

    Args:
        task: the language model.
    """

    def __init__(self, task: CausalLM):
        super().__init__()
        self.task = task

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Log-probability of each continuation after its context, and whether it is greedy.

        Args:
            requests: their `args` are `(context, continuation)`.
        """
        contexts, texts = (list(side) for side in zip(*(each.args for each in requests)))  # noqa: B905
        found = self.task.score_tokens(texts, contexts)
        return list(zip(found["log_probability"], found["is_greedy"], strict=True))

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
        """Log-probability of each text, of any length.

        Args:
            requests: their `args` are `(text,)`.
        """
        return self.task.score([text for (text,) in (each.args for each in requests)])

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """A continuation of each context, cut off where a stop string begins.

        Args:
            requests: their `args` are `(context, options)` with options among `until`,
                `max_gen_toks`, `do_sample`, `temperature`, `top_k` and `top_p`.

        Raises:
            ValueError: there are other options.
        """
        groups = collections.defaultdict(list)  # that are decoded alike
        stops = []
        for i, (_, options) in enumerate(each.args for each in requests):
            if unknown := sorted(set(options) - set(_KNOWN)):
                raise ValueError(
                    f"`options` must be among {', '.join(_KNOWN)}. Received: {', '.join(unknown)}"
                )
            until = options.get("until") or []
            stops.append([until] if isinstance(until, str) else list(until))
            groups[_strategy(options), options.get("max_gen_toks")].append(i)
        answers = [""] * len(requests)
        for (strategy, max_length), members in groups.items():
            prompts = [requests[i].args[0] for i in members]
            texts = self.task.generate(prompts, max_length=max_length, strategy=strategy)
            for i, text in zip(members, texts, strict=True):
                answers[i] = cut_off(text, stops[i])
        return answers


def cut_off(text: str, stops: Sequence[str]) -> str:
    """The text before the first of the stop strings that it holds."""
    places = [text.find(stop) for stop in stops if stop and stop in text]
    return text[: min(places, default=len(text))]


def _strategy(options: dict[str, Any]) -> Greedy | Sample:
    temperature = options.get("temperature", 1.0)
    if not options.get("do_sample", False) or not temperature:
        return Greedy()
    return Sample(**{name: options[name] for name in _SAMPLING if name in options})
