"""What tasks that learn from plain text share: texts, files and folders wherever `fit` takes data.

task.fit(["A text.", "Another."])
task.fit("corpus/", validation_data="held_out.txt.gz")
task.fit(TextFiles("book.txt", documents="paragraph"))
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tflm import models, tokenizers
from tflm.data import DatasetRows, TextFiles
from tflm.data.hugging_face import is_dataset
from tflm.tasks.base import Task
from tflm.tasks.network_sizes import configured
from tflm.tasks.tokenizer_text import tokenizer_from_text, tokenizer_to_text
from tflm.tokenizers import SentencePieceTokenizer, Tokenizer


class PlainTextTask(Task):
    """A network and one tokenizer; its examples are texts without anything beside them.

    Raw examples are a list of strings; a path of a file or folder, as a string or a `Path`; a
    reader of `tflm.data`; a `tf.data` dataset of strings; or a `datasets.Dataset` with a column
    `text`. A subclass says which arguments of its constructor are saved (`settings`) and how they
    are read again (`from_settings`).

    `from_texts` makes a network of the preset `PRESET` and a tokenizer by `ALGORITHM` where it is
    not told which.

    Args:
        model: a network of `tflm.models`.
        tokenizer: its tokenizer.
        head: a layer on the network's hidden states, see `Task`.

    Raises:
        ValueError: the tokenizer has more pieces than the model has embeddings.
    """

    PRESET: ClassVar[str] = ""
    ALGORITHM: ClassVar[str] = "bpe"
    EVALUATION_OPTIONS: ClassVar[tuple[str, ...]] = ("tokens_per_batch", "sequence_length")

    def __init__(self, model: Any, tokenizer: Tokenizer, head: Any = None, **kwargs: Any):
        super().__init__(model, head, **kwargs)
        self.tokenizer = tokenizer
        if tokenizer.vocab_size > model.config.vocab_size:
            raise ValueError(
                "`tokenizer` must have at most as many pieces as the model has embeddings. "
                f"Received: {tokenizer.vocab_size} pieces, {model.config.vocab_size} embeddings"
            )

    @classmethod
    def from_texts(
        cls,
        texts: Any,
        preset: str | None = None,
        *,
        vocab_size: int = 8000,
        algorithm: str | None = None,
        dtype: str | None = None,
        changes: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """A task with a tokenizer trained on `texts`, and fresh weights.

        Args:
            texts: as `fit` takes them.
            preset: "architecture/preset", as `tflm models` lists them; a small one by default.
            vocab_size: pieces of the vocabulary, the task's special ones included; with "char",
                most of them.
            algorithm: as `train_tokenizer` takes it; by default what suits the task.
            dtype: dtype policy of the network, "mixed_bfloat16" say; Keras's global one by default.
            changes: fields of the preset's config to change.
            **kwargs: passed to the constructor.

        Raises:
            ValueError: an argument is unknown or does not suit the texts.
        """
        if isinstance(texts, str | os.PathLike):
            texts = TextFiles(texts)
        elif is_dataset(texts):
            texts = DatasetRows(texts, ("text",))
        lines = (row if isinstance(row, str) else row[0] for row in texts)
        tokenizer = cls.train_tokenizer(lines, vocab_size, algorithm or cls.ALGORITHM)
        network, config = models.find(preset or cls.PRESET)
        config = configured(config, tokenizer.vocab_size, **(changes or {}))
        return cls(network(config, dtype=dtype), tokenizer, **kwargs)

    @classmethod
    def train_tokenizer(cls, lines: Any, vocab_size: int, algorithm: str) -> Tokenizer:
        """A SentencePiece tokenizer learned from lines of text.

        Args:
            lines: texts, read once.
            vocab_size: pieces of the vocabulary.
            algorithm: "bpe", "unigram" or "char".

        Raises:
            ValueError: an argument is unknown or does not suit the texts.
        """
        return SentencePieceTokenizer.train(lines, vocab_size, algorithm)

    def settings(self) -> dict[str, Any]:
        """The constructor's other arguments, as JSON holds them."""
        raise NotImplementedError

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """The inverse of `settings`."""
        raise NotImplementedError

    def fit(
        self, x: Any = None, y: Any = None, *, validation_data: Any = None, **kwargs: Any
    ) -> Any:
        """`Task.fit`, with texts as raw examples."""
        x, validation_data = self.examples(x), self.examples(validation_data)
        return super().fit(x, y, validation_data=validation_data, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """`Task.evaluate`, with texts as raw examples."""
        return super().evaluate(self.examples(x), y, **kwargs)

    def examples(self, given: Any) -> Any:
        """Texts, a path or a dataset of strings -> rows of one text; all else as it is."""
        if isinstance(given, str | os.PathLike):
            return TextFiles(given, documents=self.documents_of_files())
        if is_dataset(given):
            return DatasetRows(given, ("text",))
        if isinstance(given, tf.data.Dataset):
            spec = tf.nest.flatten(given.element_spec)
            is_text = len(spec) == 1 and getattr(spec[0], "dtype", None) == tf.string
            return Strings(given) if is_text else given
        if isinstance(given, Sequence) and given and isinstance(given[0], str):
            return [(text,) for text in given]
        return given

    def documents_of_files(self) -> str:
        """What a document is in a file that is given by its path alone, see `TextFiles`."""
        return "line"

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the task inside a `.keras` file, the tokenizer included."""
        return {
            "name": self.name,
            "model": keras.saving.serialize_keras_object(self.model),
            "tokenizer": tokenizer_to_text(self.tokenizer),
            "settings": self.settings(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "PlainTextTask":
        """The inverse of `get_config`."""
        config = dict(config)
        model = keras.saving.deserialize_keras_object(config.pop("model"), custom_objects)
        tokenizer = tokenizer_from_text(config.pop("tokenizer"))
        return cls(model, tokenizer, **cls.from_settings(config.pop("settings")), **config)

    def to_files(self, directory: pathlib.Path) -> dict[str, Any]:
        """Writes the tokenizer; returns the JSON that rebuilds the task."""
        self.tokenizer.save(directory / "tokenizer")
        return {
            "architecture": type(self.model).__module__.rpartition(".")[2],
            "config": dataclasses.asdict(self.model.config),
            "settings": self.settings(),
        }

    @classmethod
    def from_files(
        cls, directory: pathlib.Path, config: dict[str, Any], **kwargs: Any
    ) -> "PlainTextTask":
        """The inverse of `to_files`, with fresh weights."""
        tokenizer = tokenizers.load(directory / "tokenizer")
        network = models.ARCHITECTURES[config["architecture"]]
        model = network(network.Config(**config["config"]), **kwargs)
        return cls(model, tokenizer, **cls.from_settings(config["settings"]))

    def to_dtype(self, dtype: str) -> "PlainTextTask":
        """The same task with its weights and its arithmetic in another dtype, and LoRA merged."""
        settings, merged = self.from_settings(self.settings()), self.merged()
        twin = type(self)(merged.model.to_dtype(dtype), self.tokenizer, **settings)
        if merged.head is not None:
            for theirs, ours in zip(twin.head.weights, merged.head.weights, strict=True):
                theirs.assign(ours)
        return twin


@dataclasses.dataclass(frozen=True)
class Strings:
    """A `tf.data` dataset of strings as rows of one Python string, read anew each time."""

    dataset: tf.data.Dataset

    def __iter__(self) -> Iterator[tuple[str]]:
        for texts in self.dataset.as_numpy_iterator():
            for text in np.atleast_1d(tf.nest.flatten(texts)[0]):
                yield (text.decode(),)
