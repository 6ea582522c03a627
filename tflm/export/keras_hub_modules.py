"""KerasHub's tasks as functions of strings that TF Serving runs.

The network, its cache and its sampler are KerasHub's own, traced without XLA; text and ids are
turned into each other by `keras_hub_tokenizer`. `B` texts, `S` and `T` tokens.
"""

import abc
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tflm.export.keras_hub_ops import in_a_graph
from tflm.export.keras_hub_rehearsal import Rehearsal, rehearse
from tflm.export.keras_hub_tokenizer import Frame, HubTokenizer, longest, pack


class HubModule(tf.Module, abc.ABC):
    """A KerasHub task as a function of strings.

    Args:
        task: the task.
        tokenizer: its tokenizer, for a graph.
        variables: what the graph reads and changes besides the weights.
    """

    TASK: str  # as the card calls it: the class of a task here where one does the same

    def __init__(self, task: Any, tokenizer: HubTokenizer, variables: Sequence[Any] = ()):
        super().__init__()
        self.tokenizer = tokenizer
        # A SavedModel needs the weights alone; a tracked Keras model would be traced as a whole.
        self._variables = [weight.value for weight in (*task.weights, *variables)]
        self._task = lambda: task

    @abc.abstractmethod
    def inputs(self, texts: Any) -> tuple[dict[str, Any], Any]:
        """Strings `(B,)` -> what the network takes, and which texts were cut."""

    @abc.abstractmethod
    def expected(self) -> dict[str, np.ndarray]:
        """What KerasHub makes of the tokenizer's probes for the network."""

    @abc.abstractmethod
    def answer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """What the network takes -> answers `(B, ...)` by name."""

    @abc.abstractmethod
    def settings(self) -> dict[str, Any]:
        """How it answers, for the card; as JSON holds it."""

    @abc.abstractmethod
    def limits(self) -> dict[str, int]:
        """How long what it reads and writes may be, in tokens, for the card."""

    def answers(self, texts: Any) -> dict[str, Any]:
        """Strings `(B,)` -> answers by name, and `truncated` boolean `(B,)`."""
        count = tf.shape(texts)[0]
        # An empty batch is answered as one empty text and cut off again.
        texts = tf.concat([texts, tf.fill([tf.maximum(1 - count, 0)], "")], axis=0)
        inputs, cut = self.inputs(tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8"))
        with in_a_graph():
            found = {**self.answer(inputs), "truncated": cut}
        return {name: value[:count] for name, value in found.items()}

    def signatures(self) -> dict[str, Any]:
        """The functions a server offers, by signature name; every tensor has a batch dimension.

        Raises:
            ValueError: the network or the sampler does not run in a graph.
        """
        texts = tf.TensorSpec([None], tf.string, name="text")

        @tf.function(input_signature=[texts], autograph=False)
        def serving_default(text: Any) -> dict[str, Any]:
            return self.answers(text)

        try:
            serving_default.get_concrete_function()
        except Exception as error:  # whatever a network does that a graph cannot
            sampler = getattr(self._task(), "sampler", None)
            by = "" if sampler is None else f" with {type(sampler).__name__}"
            raise ValueError(
                "`task` must run in a graph that takes batches of any size; try another sampler, "
                f"or export another task. Received: {type(self._task()).__name__}{by}, which fails "
                f"with {type(error).__name__}: {error}"
            ) from error
        return {"serving_default": serving_default}

    def check_inputs(self) -> None:
        """Nothing where texts become in the graph what KerasHub makes of them.

        Raises:
            ValueError: they become something else.
        """
        theirs = self.expected()
        graph = tf.function(lambda texts: self.inputs(texts)[0], autograph=False)
        for name, found in graph(tf.constant(self.tokenizer.probes)).items():
            wanted = theirs[name][:, : found.shape[1]]  # padding may be left out
            if not np.array_equal(found, wanted):
                raise self._differs(f"{name} of text")

    def _differs(self, what: str) -> ValueError:
        preprocessor = type(self._task().preprocessor).__name__
        return ValueError(
            "`task` must have a preprocessor that does no more than its base class. "
            f"Received: {preprocessor}, which makes other {what}"
        )


class CausalLM(HubModule):
    """A KerasHub language model that writes text.

    Args:
        task: a `keras_hub.models.CausalLM`.
        tokenizer: its tokenizer, for a graph.
        max_length: tokens of a prompt and its continuation; the preprocessor's by default.

    Raises:
        ValueError: the task reads more than text, or frames it or writes it in a way that is not
            known here; or it has no sampler, or one that gives no single text.
    """

    TASK = "CausalLM"
    # Of what `generate_step` takes: what is read, and what is written.
    READ = WRITTEN = ("token_ids", "padding_mask")

    def __init__(self, task: Any, tokenizer: HubTokenizer, max_length: int | None = None):
        if getattr(task, "sampler", None) is None:
            raise ValueError(
                '`task` must be compiled with a sampler: `task.compile(sampler="greedy")`. '
                f"Received: {type(task).__name__} without one"
            )
        drawn_with = getattr(task.sampler, "variables", [])
        super().__init__(task, tokenizer, drawn_with)
        self._seeds = lambda: drawn_with if getattr(task.sampler, "seed", None) is None else []
        if getattr(task.sampler, "return_all_beams", False):
            raise ValueError(
                "`task` must have a sampler that gives one text, "
                "a BeamSampler with return_all_beams=False say. "
                f"Received: {type(task).__name__} with return_all_beams=True"
            )
        self.max_length = max_length or task.preprocessor.sequence_length
        theirs = rehearse(task, tokenizer.probes, self.max_length)
        self._expected = lambda: theirs
        self._stop_ids = theirs.stop_ids
        self._written = self._frame_of(theirs, self.WRITTEN)
        self._read = self._frame_of(theirs, self.READ)
        self._check_texts(theirs)

    def inputs(self, texts: Any) -> tuple[dict[str, Any], Any]:
        """Strings `(B,)` -> prompts with room for `max_length` tokens, and which were cut."""
        ids, mask, cut = pack(self.tokenizer.tokenize(texts), self._written)
        return {"token_ids": ids, "padding_mask": mask}, cut

    def expected(self) -> dict[str, np.ndarray]:
        """What KerasHub makes of the tokenizer's probes for `generate_step`."""
        return self._expected().inputs

    def answer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Inputs -> `text` string and `finished` boolean, `(B,)` each."""
        for seed in self._seeds():
            drawn = tf.random.uniform(tf.shape(seed.value), maxval=2**31 - 1, dtype=tf.int32)
            seed.value.assign(tf.cast(drawn, seed.dtype))
        inputs = self._begun(inputs)
        found = self._task().generate_step(inputs, stop_token_ids=self._stop_ids)
        ids, mask = (found[name] for name in self.WRITTEN)  # (B, T)
        mask = tf.cast(mask, tf.bool)
        ends = tf.reduce_any([ids == number for number in self._stop_ids], axis=0)
        written = mask & tf.logical_not(inputs[self.WRITTEN[1]])
        return {
            "text": self.tokenizer.text(ids, mask),
            "finished": tf.reduce_any(ends & written, axis=1),
        }

    def settings(self) -> dict[str, Any]:
        """The sampler, by its name and its settings."""
        sampler = self._task().sampler
        return {"strategy": {"name": type(sampler).__name__, **sampler.get_config()}}

    def limits(self) -> dict[str, int]:
        """Tokens of a prompt and what follows it."""
        return {"max_length": self.max_length}

    def _frame_of(self, theirs: Rehearsal, names: tuple[str, str]) -> Frame:
        ids, mask = (theirs.inputs[name] for name in names)
        return Frame.of(ids, mask, self.tokenizer.probed)

    def _begun(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Inputs whose rows have a token at least: KerasHub's loops go on from one.

        Where nothing begins a text, an empty one begins with what ends texts.
        """
        if self._written.first:
            return inputs
        name, mask_name = self.WRITTEN
        ids, mask = inputs[name], inputs[mask_name]
        is_first = tf.range(tf.shape(ids)[1]) == 0  # (T,)
        begins = is_first & tf.logical_not(mask)
        return {
            **inputs,
            name: tf.where(begins, self._stop_ids[0], ids),
            mask_name: mask | is_first,
        }

    def _check_texts(self, theirs: Rehearsal) -> None:
        """Leaves those special ids out of texts that KerasHub does, and compares the texts."""
        task, special = self._task(), self.tokenizer.special_ids
        ids, mask = (theirs.inputs[name] for name in self.READ)  # (P, S)
        behind = np.array(special, ids.dtype)  # (N,)
        rows = np.concatenate([ids, np.tile(behind, (len(ids), 1))], axis=1)  # (P, S + N)
        alone = np.zeros((len(special), rows.shape[1]), ids.dtype)
        alone[:, 0] = behind
        rows = np.concatenate([rows, alone])  # (P + N, S + N)
        kept = np.zeros(rows.shape, bool)
        kept[: len(ids)] = np.concatenate([mask, np.ones((len(ids), len(special)))], axis=1)
        kept[len(ids) :, 0] = True
        written = {**theirs.inputs, **dict(zip(self.WRITTEN, (rows, kept), strict=True))}
        texts = rehearse(task, self.tokenizer.probes, self.max_length, written).texts
        shown = texts[len(ids) :]
        self.tokenizer.hidden_ids = tuple(
            number for number, text in zip(special, shown, strict=True) if not text
        )
        graph = tf.function(self.tokenizer.text, autograph=False)
        ours = graph(tf.constant(rows, tf.int32), tf.constant(kept)).numpy()
        if [text.decode() for text in ours] != texts:
            raise self._differs("text of ids")


class Seq2SeqLM(CausalLM):
    """The same of a KerasHub encoder-decoder: what it writes of a text.

    Args:
        task: a `keras_hub.models.Seq2SeqLM`.
        tokenizer: its tokenizer, for a graph.
        max_length: tokens written; the preprocessor's `decoder_sequence_length` by default.
    """

    TASK = "Seq2SeqLM"
    READ = ("encoder_token_ids", "encoder_padding_mask")
    WRITTEN = ("decoder_token_ids", "decoder_padding_mask")

    def inputs(self, texts: Any) -> tuple[dict[str, Any], Any]:
        """Strings `(B,)` -> texts and the beginnings of answers, and which texts were cut."""
        ids = self.tokenizer.tokenize(texts)
        source, source_mask, cut = pack(ids, self._read)
        kept = tf.maximum(longest(source_mask), 1)
        begun, begun_mask, _ = pack(ids[:, :0], self._written)
        found = (source[:, :kept], source_mask[:, :kept], begun, begun_mask)
        return dict(zip((*self.READ, *self.WRITTEN), found, strict=True)), cut

    def limits(self) -> dict[str, int]:
        """Tokens read, and written."""
        return {"max_source_length": self._read.length, "max_length": self.max_length}


class TextClassifier(HubModule):
    """A KerasHub classifier.

    Args:
        task: a `keras_hub.models.TextClassifier`.
        tokenizer: its tokenizer, for a graph.
        labels: of its outputs, in their order; "0", "1" and so on by default.

    Raises:
        ValueError: there are not as many labels as outputs.
    """

    TASK = "SentimentAnalysis"

    def __init__(self, task: Any, tokenizer: HubTokenizer, labels: Sequence[str] = ()):
        super().__init__(task, tokenizer)
        count = task.output_shape[-1]
        self.labels = tuple(labels) or tuple(str(number) for number in range(count))
        if len(self.labels) != count:
            raise ValueError(
                f"`labels` must be one for each of {count} classes. Received: {len(labels)} labels"
            )
        self._names = tuple(tensor.name for tensor in task.inputs)
        read = task.preprocessor(list(tokenizer.probes))
        theirs = {name: np.asarray(value) for name, value in read.items()}
        self._expected = lambda: theirs
        ids = theirs["token_ids"]
        mask: Any = theirs.get("padding_mask", ids != tokenizer.pad_id)
        self._frame = Frame.of(ids, mask, tokenizer.probed)

    def inputs(self, texts: Any) -> tuple[dict[str, Any], Any]:
        """Strings `(B,)` -> arrays `(B, S)`, and which texts were cut."""
        ids, mask, cut = pack(self.tokenizer.tokenize(texts), self._frame)
        found = {"token_ids": ids, "padding_mask": mask, "segment_ids": tf.zeros_like(ids)}
        # A network without a mask reads its padding: there is as much of it as in training.
        kept = longest(mask) if "padding_mask" in self._names else self._frame.length
        return {name: found[name][:, :kept] for name in self._names}, cut

    def expected(self) -> dict[str, np.ndarray]:
        """What KerasHub makes of the tokenizer's probes for the network."""
        return self._expected()

    def answer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Inputs -> `label` string and `score` `(B,)`, `probabilities` `(B, L)`, float32."""
        outputs = tf.cast(self._task()(inputs, training=False), tf.float32)  # (B, L)
        is_linear = keras.activations.serialize(self._task().activation) == "linear"
        probabilities = tf.nn.softmax(outputs) if is_linear else outputs
        return {
            "label": tf.gather(tf.constant(self.labels), tf.argmax(probabilities, axis=1)),
            "score": tf.reduce_max(probabilities, axis=1),
            "probabilities": probabilities,
        }

    def settings(self) -> dict[str, Any]:
        """The labels."""
        return {"labels": list(self.labels), "pairs": False, "multi_label": False}

    def limits(self) -> dict[str, int]:
        """Tokens read."""
        return {"max_length": self._frame.length}
