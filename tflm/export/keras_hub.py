"""KerasHub's text tasks as SavedModels: strings in, strings out, its samplers included.

    classifier = keras_hub.models.BertTextClassifier.from_preset("bert_tiny_en_uncased", ...)
    tflm.export.export(classifier, "saved_models/sentiment", labels=["bad", "good"])

`CausalLM`, `Seq2SeqLM` and `TextClassifier` tasks of any architecture: the network, its cache and
its sampler are KerasHub's own, traced without XLA; what stands between text and ids is replaced by
what TF Serving can run (`keras_hub_tokenizer`). `B` texts, `S` and `T` tokens.
"""

import abc
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tflm.export.keras_hub_tokenizer import PROBES, HubTokenizer, longest, pack
from tflm.export.recording import WARMUP_TEXTS
from tflm.export.saved_model import new_version, save
from tflm.export.slice_update import without_xla


def export(
    task: Any,
    directory: str | os.PathLike[str],
    version: int | None = None,
    *,
    max_length: int | None = None,
    labels: Sequence[str] = (),
    warmup: Sequence[str] = WARMUP_TEXTS,
) -> pathlib.Path:
    """Writes a KerasHub task for TF Serving, with one signature, `serving_default`, of `text`.

    A `CausalLM` and a `Seq2SeqLM` answer `text`, what `generate` gives, with the sampler that the
    task was compiled with; `finished`, that it ends by itself; and `truncated`: a prompt or a text
    was too long and cut, as KerasHub cuts it. A sampler without a seed draws anew for each request.
    A `TextClassifier` answers `label`, `score`, `probabilities` and `truncated`.

    Args:
        task: a `keras_hub.models.CausalLM`, `Seq2SeqLM` or `TextClassifier` with a preprocessor.
        directory: the model's directory; versions are numbered directories inside.
        version: the version's number; the next free one by default.
        max_length: of what is written, tokens of a prompt included, as `generate` takes it; by
            default the preprocessor's.
        labels: of a classifier, in the order of its outputs; by default "0", "1" and so on.
        warmup: texts with which the model is tried and a server warms up.

    Returns:
        The version's directory.

    Raises:
        ValueError: the task is of another kind, lacks a preprocessor, or its texts become ids in
            a way that is not known here; `labels` or `max_length` do not suit it.
        FileExistsError: `version` exists.
    """
    new_version(directory, version)  # before the work, so that it is not for nothing
    module = served(task, max_length, labels)
    return save(module, module.signatures(), directory, version, warmup=warmup)


def served(task: Any, max_length: int | None = None, labels: Sequence[str] = ()) -> Any:
    """The graph that `export` writes: a `tf.Module` with `signatures()`; see there."""
    import keras_hub

    kinds = keras_hub.models
    if not isinstance(task, (kinds.CausalLM, kinds.TextClassifier)):
        raise ValueError(
            "`task` must be a CausalLM, a Seq2SeqLM or a TextClassifier of KerasHub. "
            f"Received: {type(task).__name__}"
        )
    if task.preprocessor is None:
        raise ValueError(
            "`task` must have a preprocessor, which reads text. "
            f"Received: {type(task).__name__} with preprocessor=None"
        )
    if not task.preprocessor.built:
        task.preprocessor.build(None)
    tokenizer = HubTokenizer(task.preprocessor.tokenizer)
    if isinstance(task, kinds.TextClassifier):
        if max_length is not None:
            raise ValueError(
                f"`max_length` must be left to a classifier. Received: max_length={max_length}"
            )
        module: HubModule = TextClassifier(task, tokenizer, labels)
    elif labels:
        raise ValueError(f"`labels` must be left to classifiers. Received: {list(labels)}")
    else:
        cls = Seq2SeqLM if isinstance(task, kinds.Seq2SeqLM) else CausalLM
        module = cls(task, tokenizer, max_length)
    module.check_inputs()
    return module


class HubModule(tf.Module, abc.ABC):
    """A KerasHub task as a function of strings.

    Args:
        task: the task.
        tokenizer: its tokenizer, for a graph.
        variables: what the graph reads and changes besides the weights.
    """

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
    def expected(self, texts: list[str]) -> dict[str, Any]:
        """What KerasHub makes of texts for the network."""

    @abc.abstractmethod
    def answer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """What the network takes -> answers `(B, ...)` by name."""

    def answers(self, texts: Any) -> dict[str, Any]:
        """Strings `(B,)` -> answers by name, and `truncated` boolean `(B,)`."""
        count = tf.shape(texts)[0]
        # An empty batch is answered as one empty text and cut off again.
        texts = tf.concat([texts, tf.fill([tf.maximum(1 - count, 0)], "")], axis=0)
        inputs, cut = self.inputs(tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8"))
        found = {**self.answer(inputs), "truncated": cut}
        return {name: value[:count] for name, value in found.items()}

    def signatures(self) -> dict[str, Any]:
        """The functions a server offers, by signature name; every tensor has a batch dimension."""
        texts = tf.TensorSpec([None], tf.string, name="text")

        @tf.function(input_signature=[texts], autograph=False)
        def serving_default(text: Any) -> dict[str, Any]:
            return self.answers(text)

        return {"serving_default": serving_default}

    def check_inputs(self) -> None:
        """Nothing where texts become in the graph what KerasHub makes of them.

        Raises:
            ValueError: they become something else.
        """
        theirs = self.expected(list(PROBES))
        graph = tf.function(lambda texts: self.inputs(texts)[0], autograph=False)
        for name, found in graph(tf.constant(PROBES)).items():
            wanted = np.asarray(theirs[name])[:, : found.shape[1]]  # padding may be left out
            if not np.array_equal(found, wanted):
                preprocessor = type(self._task().preprocessor).__name__
                raise ValueError(
                    "`task` must have a preprocessor that does no more than its base class. "
                    f"Received: {preprocessor}, which makes other {name} of text"
                )


class CausalLM(HubModule):
    """A KerasHub language model that writes text.

    Args:
        task: a `keras_hub.models.CausalLM`.
        tokenizer: its tokenizer, for a graph.
        max_length: tokens of a prompt and its continuation; the preprocessor's by default.
    """

    # Of what `generate_step` takes: what is written.
    IDS, MASK = "token_ids", "padding_mask"

    def __init__(self, task: Any, tokenizer: HubTokenizer, max_length: int | None = None):
        drawn_with = task.sampler.variables
        super().__init__(task, tokenizer, drawn_with)
        self.max_length = max_length or task.preprocessor.sequence_length
        theirs = task.preprocessor.tokenizer
        second = getattr(theirs, "end_token2_id", None)
        self._stop_ids = [theirs.end_token_id, *([] if second is None else [second])]
        self._seeds = lambda: drawn_with if getattr(task.sampler, "seed", None) is None else []

    def inputs(self, texts: Any) -> tuple[dict[str, Any], Any]:
        """Strings `(B,)` -> prompts with room for `max_length` tokens, and which were cut."""
        packer = self._task().preprocessor.packer
        ids, mask, cut = pack(self.tokenizer.tokenize(texts), packer, self.max_length, end=False)
        return {"token_ids": ids, "padding_mask": mask}, cut

    def expected(self, texts: list[str]) -> dict[str, Any]:
        """What KerasHub makes of texts for `generate_step`."""
        return self._task().preprocessor.generate_preprocess(texts, sequence_length=self.max_length)

    def answer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Inputs -> `text` string and `finished` boolean, `(B,)` each."""
        for seed in self._seeds():
            drawn = tf.random.uniform(tf.shape(seed.value), maxval=2**31 - 1, dtype=tf.int32)
            seed.value.assign(tf.cast(drawn, seed.dtype))
        with without_xla():
            found = self._task().generate_step(inputs, stop_token_ids=self._stop_ids)
        ids, mask = found[self.IDS], tf.cast(found[self.MASK], tf.bool)  # (B, T)
        ends = tf.reduce_any([ids == number for number in self._stop_ids], axis=0)
        written = mask & tf.logical_not(inputs[self.MASK])
        return {
            "text": self.tokenizer.text(ids, mask),
            "finished": tf.reduce_any(ends & written, axis=1),
        }


class Seq2SeqLM(CausalLM):
    """The same of a KerasHub encoder-decoder: what it writes of a text.

    Args:
        task: a `keras_hub.models.Seq2SeqLM`.
        tokenizer: its tokenizer, for a graph.
        max_length: tokens written; the preprocessor's `decoder_sequence_length` by default.
    """

    IDS, MASK = "decoder_token_ids", "decoder_padding_mask"

    def inputs(self, texts: Any) -> tuple[dict[str, Any], Any]:
        """Strings `(B,)` -> texts and the beginnings of answers, and which texts were cut."""
        preprocessor = self._task().preprocessor
        ids = self.tokenizer.tokenize(texts)
        length = preprocessor.encoder_sequence_length
        source, source_mask, cut = pack(ids, preprocessor.encoder_packer, length, end=True)
        kept = longest(source_mask)
        begun, begun_mask, _ = pack(
            ids[:, :0], preprocessor.decoder_packer, self.max_length, end=False
        )
        return {
            "encoder_token_ids": source[:, :kept],
            "encoder_padding_mask": source_mask[:, :kept],
            "decoder_token_ids": begun,
            "decoder_padding_mask": begun_mask,
        }, cut


class TextClassifier(HubModule):
    """A KerasHub classifier.

    Args:
        task: a `keras_hub.models.TextClassifier`.
        tokenizer: its tokenizer, for a graph.
        labels: of its outputs, in their order; "0", "1" and so on by default.

    Raises:
        ValueError: there are not as many labels as outputs.
    """

    def __init__(self, task: Any, tokenizer: HubTokenizer, labels: Sequence[str] = ()):
        super().__init__(task, tokenizer)
        count = task.output_shape[-1]
        self.labels = tuple(labels) or tuple(str(number) for number in range(count))
        if len(self.labels) != count:
            raise ValueError(
                f"`labels` must be one for each of {count} classes. Received: {len(labels)} labels"
            )
        self._names = tuple(tensor.name for tensor in task.inputs)

    def inputs(self, texts: Any) -> tuple[dict[str, Any], Any]:
        """Strings `(B,)` -> arrays `(B, S)`, and which texts were cut."""
        preprocessor = self._task().preprocessor
        ids = self.tokenizer.tokenize(texts)
        length = preprocessor.sequence_length
        ids, mask, cut = pack(ids, preprocessor.packer, length, end=True)
        found = {"token_ids": ids, "padding_mask": mask, "segment_ids": tf.zeros_like(ids)}
        # A network without a mask reads its padding: there is as much of it as in training.
        kept = longest(mask) if "padding_mask" in self._names else length
        return {name: found[name][:, :kept] for name in self._names}, cut

    def expected(self, texts: list[str]) -> dict[str, Any]:
        """What KerasHub makes of texts for the network."""
        return self._task().preprocessor(texts)

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
