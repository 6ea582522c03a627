"""KerasHub's text tasks as SavedModels: strings in, strings out, its samplers included.

    classifier = keras_hub.models.BertTextClassifier.from_preset("bert_tiny_en_uncased", ...)
    tflm.export.export(classifier, "saved_models/sentiment", labels=["bad", "good"])

`CausalLM`, `Seq2SeqLM` and `TextClassifier` tasks of any architecture that reads text alone: see
`keras_hub_modules` for the graph, `keras_hub_tokenizer` for what stands between text and ids.
"""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

from tflm.export.keras_hub_card import card
from tflm.export.keras_hub_modules import CausalLM, HubModule, Seq2SeqLM, TextClassifier
from tflm.export.keras_hub_tokenizer import HubTokenizer
from tflm.export.recording import WARMUP_TEXTS
from tflm.export.saved_model import new_version, save


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
    A `TextClassifier` answers `label`, `score`, `probabilities` and `truncated`. What the model is
    stands in `assets.extra/model_card.json`.

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
        ValueError: the task is of another kind, lacks a preprocessor, reads more than text, or its
            texts become ids in a way that is not known here; its network or its sampler does not
            run in a graph; `labels` or `max_length` do not suit it.
        FileExistsError: `version` exists.
    """
    new_version(directory, version)  # before the work, so that it is not for nothing
    module = served(task, max_length, labels)
    return save(module, module.signatures(), directory, version, card(task, module), warmup)


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
