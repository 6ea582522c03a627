"""Language modelling: the next token of a text, again and again.

text           "To be, or not to be, that is the question"
prompt         "To be, or"
continuation   " not to be, that is the question"

task = CausalLM.from_texts("corpus/", "gpt2/small", vocab_size=8000)
task.compile()
task.fit("corpus/", epochs=3)
task("To be, or")
"""

import dataclasses
import os
import pathlib
import random
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tflm import checkpoints
from tflm.checkpoints import ChatTemplate
from tflm.data import PackedBatches
from tflm.data.packing import special_id
from tflm.eval import Likelihood
from tflm.eval.keras_metrics import TokenPerplexity
from tflm.export import TextGenerator
from tflm.generation import Beam, Greedy, Limits, Sample
from tflm.generation.stopping import stop_strings
from tflm.models.base import Decoder
from tflm.tasks.base import CONFIG_FILE, best_of
from tflm.tasks.decoding import decoding_from_json, decoding_to_json, strategy_to_json
from tflm.tasks.plain_text import PlainTextTask
from tflm.tasks.string_tensors import check_texts, string_tensor
from tflm.tokenizers import Tokenizer
from tflm.training.losses import SmoothedCrossEntropy
from tflm.training.optimizers import cosine_adamw

MAX_LENGTH = 256
MAX_PROMPT_LENGTH = 1024
SEQUENCE_LENGTH = 512
_TEXTS_PER_CALL = 64


class CausalLM(PlainTextTask):
    """Continues texts, and says how likely they are, with a decoder.

    It learns from documents, each of which begins with the tokenizer's `bos_id` and ends with its
    `eos_id`, packed into rows in which none attends to another; or from one continuous text, whose
    beginning and end nobody sees. In front of what it is given to read it puts the same: `bos_id`,
    `eos_id` where there is no other, or a line break where it has learned from a continuous text.

    Args:
        model: a `Decoder`.
        tokenizer: its tokenizer.
        continuous: whether texts are pieces of one long text rather than documents.
        strategy: how to continue: `Sample` (the likeliest tokens that make 95 % by default),
            `Greedy` or `Beam`.
        limits: length limits of a continuation, in tokens; by default 256, or half of what the
            model takes. The rest of what it takes is room for the prompt, of which the last tokens
            are read where it is longer.
        chat_template: how the checkpoint wants a conversation written, for `Chat`; `None` where it
            does not say. It stays with what is trained from the checkpoint.

    Raises:
        TypeError: `model` is not a decoder.
        ValueError: the tokenizer has more pieces than the model has embeddings, or `limits` leave
            no room for a prompt.
    """

    PRESET = "gpt2/small"

    def __init__(
        self,
        model: Decoder,
        tokenizer: Tokenizer,
        *,
        continuous: bool = False,
        strategy: Beam | Greedy | Sample | None = None,
        limits: Limits | None = None,
        chat_template: ChatTemplate | None = None,
        **kwargs: Any,
    ):
        if not isinstance(model, Decoder):
            raise TypeError(f"`model` must be a Decoder. Received: {type(model).__name__}")
        super().__init__(model, tokenizer, **kwargs)
        self.continuous = continuous
        self.context_length: int | None = getattr(model.config, "max_length", None)
        self.strategy = strategy or Sample(top_p=0.95)
        room = self.context_length or 2 * MAX_LENGTH
        self.limits = limits or Limits(max_length=min(MAX_LENGTH, room // 2))
        self.max_source_length = self.room_for_prompt(self.limits)
        self.stop: tuple[str, ...] = ()
        self.chat_template = chat_template

    @classmethod
    def from_pretrained(
        cls, source: str | os.PathLike, revision: str | None = None, **kwargs: Any
    ) -> "CausalLM":
        """`Task.from_pretrained`, with the chat template of a public checkpoint."""
        task: Any = super().from_pretrained(source, revision, **kwargs)
        if not (pathlib.Path(source) / CONFIG_FILE).is_file():
            task.chat_template = checkpoints.load_chat_template(source, revision)
        return task

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        *,
        weighted_metrics: Any = None,
        jit_compile: bool = False,
        **kwargs: Any,
    ) -> None:
        """`keras.Model.compile` with defaults that train a decoder from nothing.

        Args:
            optimizer: by default `default_optimizer()`.
            loss: by default cross-entropy.
            weighted_metrics: by default perplexity.
            jit_compile: XLA.
            **kwargs: passed to Keras.
        """
        super().compile(
            optimizer=default_optimizer() if optimizer is None else optimizer,
            loss=SmoothedCrossEntropy(0.0, name="cross_entropy") if loss is None else loss,
            weighted_metrics=[TokenPerplexity()] if weighted_metrics is None else weighted_metrics,
            jit_compile=jit_compile,
            **kwargs,
        )

    def batches(self, examples: Any, **options: Any) -> PackedBatches:
        """Texts -> batches; see `tflm.data.PackedBatches` for the options.

        `sequence_length` is 512 by default, or fewer where the model takes fewer.

        Raises:
            ValueError: `sequence_length` is more than the model takes.
        """
        most = self.context_length or SEQUENCE_LENGTH
        options = {"sequence_length": min(SEQUENCE_LENGTH, most), **options}
        if self.context_length and options["sequence_length"] > most:
            raise ValueError(
                f"`sequence_length` must be at most the model's {most}. "
                f"Received: sequence_length={options['sequence_length']}"
            )
        continuous = self.continuous
        return PackedBatches(
            self.examples(examples), self.tokenizer, continuous=continuous, **options
        )

    def documents_of_files(self) -> str:
        """Lines; of a continuous text, the files joined."""
        return "none" if self.continuous else "line"

    @property
    def begin_id(self) -> int:
        """The token in front of every text.

        Raises:
            ValueError: the tokenizer has no such token.
        """
        if self.continuous:
            return int(self.tokenizer.tokenize(["\n"]).flat_values[-1])
        for name in ("bos_id", "eos_id"):
            if (found := special_id(self.tokenizer, name)) is not None:
                return found
        raise ValueError(
            "`tokenizer` must have a `bos_id` or an `eos_id`, or the task be `continuous`. "
            "Received: a tokenizer without"
        )

    @property
    def end_id(self) -> int | None:
        """The token that ends a text, `None` where nothing does."""
        return special_id(self.tokenizer, "eos_id")

    def answer(self, texts: list[str], **options: Any) -> list[str]:
        """A continuation of each text; see `generate`."""
        return self.generate(texts, **options)

    def generate(
        self,
        prompts: Sequence[str],
        *,
        max_length: int | None = None,
        strategy: Any = None,
        limits: Limits | None = None,
        stop: str | Sequence[str] | None = None,
        seed: int | None = None,
    ) -> list[str]:
        """The best continuation of each prompt, without the prompt.

        Args:
            prompts: texts of any length and number.
            max_length: most tokens of a continuation, instead of the limits'.
            strategy: instead of the task's own.
            limits: instead of the task's own.
            stop: strings, each of which ends a continuation and is cut off with what follows;
                none unless the task has some of its own.
            seed: of `Sample`: prompt number `i` gets `seed + i`. By default a new one, drawn from
                Python's generator, which `keras.utils.set_random_seed` seeds.

        Raises:
            ValueError: `prompts` is one text, the continuation may be as long as the model's
                positions, or a stop string is empty.
        """
        limits = self._limits_of(limits, max_length)
        found = self.n_best(prompts, strategy=strategy, limits=limits, stop=stop, seed=seed)
        return [texts[0] for texts in found["text"]]

    def answers(self, texts: list[str]) -> list[dict[str, Any]]:
        """`text`, `score`, `finished` and `truncated` of each prompt's best continuation."""
        return best_of(self.n_best(texts))

    def n_best(
        self,
        prompts: Sequence[str],
        *,
        strategy: Any = None,
        limits: Limits | None = None,
        stop: str | Sequence[str] | None = None,
        seed: int | None = None,
    ) -> dict[str, list[Any]]:
        """Continuations of each prompt; see `generate`.

        Returns:
            `text` and `score`, a list per prompt, best first; `finished`, whether the best one
            ended; `truncated`, whether the prompt was too long to be read to its beginning.
        """
        strategy, limits = strategy or self.strategy, limits or self.limits
        seed = random.getrandbits(31) if seed is None else seed
        stop = self.stop if stop is None else stop_strings(stop)
        if (strategy, limits, stop) not in self._functions:
            module = self.text_generator(strategy, limits, stop)
            self._functions[strategy, limits, stop] = tf.function(
                module.continuations,
                input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int64)],
                autograph=False,
            )
        function = self._functions[strategy, limits, stop]
        check_texts("prompts", prompts)  # before they are put in order
        seeds = [seed + i for i in range(len(prompts))]
        found = _in_order_of_length(
            lambda texts, seeds: function(
                string_tensor("prompts", texts), tf.constant(seeds, tf.int64)
            ),
            prompts,
            seeds,
        )
        found["text"] = [[text.decode() for text in texts] for texts in found["text"]]
        return found

    def score(self, texts: Sequence[str], contexts: Sequence[str] | None = None) -> list[float]:
        """The log-probability of each text, in nats, its end not counted.

        Args:
            texts: of any length; what is longer than the model's positions is read in windows.
            contexts: what stands before each text and is not counted; nothing by default.

        Raises:
            ValueError: `texts` is one text, or there are not as many `contexts`.
        """
        return self.score_tokens(texts, contexts)["log_probability"]

    def score_tokens(
        self, texts: Sequence[str], contexts: Sequence[str] | None = None
    ) -> dict[str, list[Any]]:
        """`score`, and what it is made of.

        Returns:
            `log_probability`; `num_tokens`; `is_greedy`, whether every token is the likeliest one.
        """
        if "score" not in self._functions:
            module = self.text_generator()
            self._functions["score"] = tf.function(
                module.log_probability,
                input_signature=[tf.TensorSpec([None], tf.string)] * 2,
                autograph=False,
            )
        check_texts("texts", texts)  # before they are put in order
        contexts = [""] * len(texts) if contexts is None else contexts
        if len(contexts) != len(texts):
            raise ValueError(
                "`contexts` must be as many as `texts`. "
                f"Received: {len(contexts)} contexts, {len(texts)} texts"
            )
        return _in_order_of_length(
            lambda texts, contexts: self._functions["score"](
                string_tensor("texts", texts), string_tensor("contexts", contexts)
            ),
            texts,
            contexts,
        )

    def likelihoods(
        self, texts: Sequence[str], contexts: Sequence[str] | None = None
    ) -> list[Likelihood]:
        """`score` as `tflm.eval.Perplexity` and `BitsPer` take it."""
        found = self.score_tokens(texts, contexts)
        return [
            Likelihood(min(total, 0.0), count)
            for total, count in zip(found["log_probability"], found["num_tokens"], strict=True)
        ]

    def description(self) -> dict[str, Any]:
        """What the model is, and how it decodes."""
        return {**super().description(), "strategy": strategy_to_json(self.strategy)}

    def input_limits(self) -> dict[str, Any]:
        """Tokens read, and written."""
        return {"max_source_length": self.max_source_length, **dataclasses.asdict(self.limits)}

    def text_generator(
        self,
        strategy: Any = None,
        limits: Limits | None = None,
        stop: Sequence[str] | None = None,
        freeze: bool = False,
    ) -> TextGenerator:
        """The graph that answers here and in the exported SavedModel."""
        limits = limits or self.limits
        begin_id, end_id = self.begin_id, self.end_id
        pad_id = special_id(self.tokenizer, "pad_id")
        if pad_id is None:
            pad_id = begin_id if end_id is None else end_id
        return TextGenerator(
            self.model,
            self.tokenizer,
            begin_id=begin_id,
            end_id=end_id,
            pad_id=pad_id,
            strategy=strategy or self.strategy,
            limits=limits,
            max_prompt_length=self.room_for_prompt(limits),
            context_length=self.context_length,
            stop=self.stop if stop is None else stop,
            freeze=freeze,
        )

    def _limits_of(self, limits: Limits | None, max_length: int | None) -> Limits:
        """The limits asked for."""
        limits = limits or self.limits
        if max_length is None:
            return limits
        return dataclasses.replace(limits, max_length=max_length)

    def room_for_prompt(self, limits: Limits) -> int:
        """Tokens that a prompt may have where the continuation has these limits.

        Raises:
            ValueError: the continuation may be as long as the model's positions.
        """
        if self.context_length is None:
            return MAX_PROMPT_LENGTH
        if limits.max_length >= self.context_length:
            raise ValueError(
                f"`max_length` must be less than the model's {self.context_length} positions, "
                f"which hold the prompt too. Received: max_length={limits.max_length}"
            )
        return self.context_length - limits.max_length

    def served(self, freeze: bool = False) -> TextGenerator:
        """Signatures of `text`: what continues it, how likely it is, and its tokens.

        `serving_default` -> `text`, the continuation, `score`, `finished`, `truncated`; `score` ->
        `log_probability`, `num_tokens`; `tokenize` -> `token_ids`, `pieces`, `length`. On request
        also `options`, see `tflm.export.options`, and `prefill` and `decode_step`, see
        `tflm.export.streaming`.
        """
        return self.text_generator(freeze=freeze)

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments besides model and tokenizer, as JSON holds them."""
        template = self.chat_template
        return {
            "continuous": self.continuous,
            "chat_template": None if template is None else dataclasses.asdict(template),
            **decoding_to_json(self.strategy, self.limits),
        }

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """The inverse of `settings`."""
        template = settings.get("chat_template")  # which older tasks have not
        return {
            "continuous": settings["continuous"],
            "chat_template": None if template is None else ChatTemplate(**template),
            **decoding_from_json(settings),
        }


def default_optimizer(
    peak: float = 1e-3,
    warmup_steps: int = 100,
    total_steps: int = 5000,
    *,
    weight_decay: float = 0.1,
    beta_2: float = 0.99,
    accumulate: int = 1,
) -> keras.optimizers.Optimizer:
    """AdamW with warm-up and cosine decay to a tenth, gradients clipped to norm 1.

    Brown et al. 2020 (GPT-3), appendix B, with their decay of weights, which leaves biases and
    normalisation alone; a rate for small models.

    Args:
        peak: the highest learning rate.
        warmup_steps: updates up to it.
        total_steps: updates until it has fallen to a tenth, warm-up included; it stays there.
        weight_decay: times the learning rate, what each update takes from a weight.
        beta_2: decay of the second moment's average; theirs is 0.95, for larger batches.
        accumulate: batches to an update.
    """
    return cosine_adamw(
        peak,
        warmup_steps,
        total_steps,
        final=0.1,
        weight_decay=weight_decay,
        beta_2=beta_2,
        accumulate=accumulate,
    )


def _in_order_of_length(
    call: Callable[..., dict[str, Any]], texts: Sequence[str], others: Sequence[Any]
) -> dict[str, list[Any]]:
    """What `call(texts, others)` gives for some texts of like length at a time, in their order."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    parts: dict[str, list[Any]] = {}
    # Nothing is asked as well, for the names of the answers.
    for start in range(0, max(len(order), 1), _TEXTS_PER_CALL):
        chunk = order[start : start + _TEXTS_PER_CALL]
        found = call([texts[i] for i in chunk], [others[i] for i in chunk])
        for name, value in found.items():
            parts.setdefault(name, []).extend(value.numpy().tolist())
    back = sorted(range(len(order)), key=order.__getitem__)
    return {name: [values[i] for i in back] for name, values in parts.items()}
