"""What every task is: a `keras.Model` that takes raw text wherever a model takes arrays."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tflm import checkpoints
from tflm.export import WARMUP_TEXTS, new_version, save
from tflm.tasks.batch_stream import BatchStream, even_rows, is_raw
from tflm.tasks.input_rows import TEXT
from tflm.tasks.variants import variant_of
from tflm.training.files import write_atomically
from tflm.training.lora import has_lora
from tflm.training.weights import load_weights, save_weights, set_weights, weights_of

CONFIG_FILE = "task.json"
WEIGHTS_FILE = "model.safetensors"


class _OneOf(keras.callbacks.Callback):
    """Tells the callbacks after it how many epochs there are where `fit` is given one of them."""

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.params["epochs"] = self.epochs  # one dict, which Keras gives to all of them


class Task(keras.Model):
    """A network of the zoo, with the text on both sides of it.

    A subclass says how raw examples become batches (`batches`), what text comes of text
    (`answer`), and what rebuilds it (`to_files`, `from_files`).

    Args:
        model: a network of `tflm.models`.
        head: a layer on the network's hidden states, built here where it is not; a subclass with
            one says in `call` what the two make of a batch.
    """

    # The options of `batches` that `evaluate` passes on.
    EVALUATION_OPTIONS: ClassVar[tuple[str, ...]] = ("tokens_per_batch",)

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable("tflm")(cls)

    def __init__(self, model: Any, head: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.model = model
        self.head = head
        self.tokens = keras.metrics.Sum(name="tokens")
        self._functions: dict[Any, Any] = {}  # what answers, traced; a subclass keeps them here
        if not model.built:
            model.build(None)
        if head is not None and not head.built:
            head.build((None, None, model.config.hidden_dim))  # (B, T, D)
        self.built = True

    @property
    def parts(self) -> dict[str, Any]:
        """What is trained and saved, by the prefix of its weights' names."""
        return {"": self.model} if self.head is None else {"": self.model, "head/": self.head}

    def batches(self, examples: Any, **options: Any) -> Any:
        """Raw examples -> an object with `epoch(number, start_batch)` and `num_batches(number)`."""
        raise NotImplementedError

    def answer(self, texts: list[str], **options: Any) -> list[str]:
        """A text for each text."""
        raise NotImplementedError

    def description(self) -> dict[str, Any]:
        """What the model is, for the card of its export; as JSON holds it."""
        return {
            "architecture": type(self.model).__module__.rpartition(".")[2],
            "config": dataclasses.asdict(self.model.config),
            "parameters": sum(part.count_params() for part in self.parts.values()),
        }

    def input_limits(self) -> dict[str, Any]:
        """How long what it reads and writes may be, for the card of its export."""
        return {}

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the texts that `answers` takes for each answer, as `serving_default` has them.

        Where there is one, it takes the text itself, else a tuple.
        """
        return TEXT

    def answers(self, texts: list[Any]) -> list[dict[str, Any]]:
        """What the exported `serving_default` answers to each text: its outputs by name."""
        raise NotImplementedError

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """What the network makes of ready arrays."""
        return self.model(inputs, training=training)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Answers text with text (one string with one, a list with a list); else `call`."""
        if isinstance(inputs, str):
            return self.answer([inputs], **kwargs)[0]
        if isinstance(inputs, (list, tuple)) and all(isinstance(text, str) for text in inputs):
            return self.answer(list(inputs), **kwargs)
        return super().__call__(inputs, *args, **kwargs)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """`keras.Model.compile`. What answers is traced anew: layers may have got LoRA.

        Raises:
            ValueError: gradients are to be accumulated on several devices.
        """
        self._functions = {}
        super().compile(*args, **kwargs)
        batches = getattr(self.optimizer, "gradient_accumulation_steps", None)
        devices = self.distribute_strategy.num_replicas_in_sync
        if batches and devices > 1:  # Keras would fail in the first step, and not say why
            raise ValueError(
                "`optimizer` must make an update of every batch on several devices. "
                f"Received: gradient_accumulation_steps={batches}, {devices} devices"
            )

    def get_compile_config(self) -> dict[str, Any] | None:
        """How the task is compiled; nothing with LoRA, for without it other weights learn."""
        return None if has_lora(self.parts.values()) else super().get_compile_config()

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a task loaded from a `.keras` file as it was compiled when it was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The compiled loss; counts the tokens that it is taken over, for the logs."""
        if sample_weight is not None:
            self.tokens.update_state(ops.sum(sample_weight))
        return super().compute_loss(
            x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training
        )

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *,
        validation_data: Any = None,
        epochs: int = 1,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        start_step: int = 0,
        data_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """`keras.Model.fit`, which also takes raw examples.

        Args:
            x: raw examples (see the task), or what Keras takes: batches of arrays.
            y: as Keras takes it; `None` with raw examples.
            validation_data: raw examples or batches.
            epochs: the last epoch's number, as in Keras.
            initial_epoch: the first epoch's number, as in Keras.
            steps_per_epoch: batches in an epoch; one pass over the data by default.
            start_step: batches of the data already taken by an earlier run, which this one
                continues.
            data_options: options of `batches`: `tokens_per_batch`, `seed`, `max_length`, ...
            **kwargs: passed to Keras: `callbacks`, `verbose`, ...

        Returns:
            Keras's `History`.
        """
        options = data_options or {}
        if is_raw(validation_data):
            validation_data = self._one_pass(validation_data, options)
        shared = {"validation_data": validation_data, **kwargs}
        if is_raw(x):
            batches = self.batches(x, training=True, **options)
            steps = steps_per_epoch = steps_per_epoch or int(batches.num_batches(0))
            rest = -start_step % steps  # of an epoch that was interrupted
            if rest and initial_epoch < epochs:
                stream = BatchStream(batches, start_step).dataset()
                stream = even_rows(stream, self.distribute_strategy.num_replicas_in_sync)
                history, own = self._fit_rest(stream, initial_epoch, epochs, rest, **shared)
                initial_epoch += 1
                if self.stop_training or initial_epoch == epochs:
                    return history
                for variable, value in zip(self.trainable_variables, own, strict=True):
                    variable.assign(value)
            x = BatchStream(batches, start_step + rest).dataset()
            x = even_rows(x, self.distribute_strategy.num_replicas_in_sync)
        elif start_step:
            raise ValueError(
                "`start_step` must be 0 unless `x` is raw examples: only their order can be "
                f"repeated. Received: start_step={start_step}"
            )
        if isinstance(x, tf.data.Dataset):
            shared.setdefault("shuffle", False)  # Keras's default is True, and a warning
        return super().fit(
            x,
            y,
            epochs=epochs,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            **shared,
        )

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Builds losses and metrics before the first step of several replicas.

        Keras takes the mean of the replicas' parts of a batch for an example of what they get; but
        masks are boolean and the parts differ in rows, so here one of the parts is the example.
        """
        if iterator is not None and self.distribute_strategy.num_replicas_in_sync > 1:
            batch = next(next(iter(iterator))[2])
            parts = self.distribute_strategy.experimental_local_results
            iterator, data_batch = None, tf.nest.map_structure(lambda x: parts(x)[0], batch)
        super()._maybe_symbolic_build(iterator, data_batch)

    def _one_pass(self, examples: Any, options: dict[str, Any]) -> tf.data.Dataset:
        """Raw examples to evaluate on, as batches whose number Keras knows: else it warns."""
        size = {name: options[name] for name in self.EVALUATION_OPTIONS if name in options}
        batches = self.batches(examples, training=False, **size)
        known = tf.data.experimental.assert_cardinality(batches.num_batches(0))
        dataset = batches.epoch(0).apply(known)
        return even_rows(dataset, self.distribute_strategy.num_replicas_in_sync)

    def _fit_rest(
        self,
        stream: tf.data.Dataset,
        epoch: int,
        epochs: int,
        steps: int,
        callbacks: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, list[np.ndarray]]:
        """Fits the last `steps` batches of one of `epochs` epochs.

        Returns:
            Keras's `History`, and the weights to go on with: where the optimizer keeps a moving
            average of them, Keras puts it in their place when `fit` ends.
        """
        callbacks = callbacks if isinstance(callbacks, list) else [callbacks] if callbacks else []
        own: list[np.ndarray] = []

        def remember(*_: Any) -> None:
            own[:] = [np.array(variable) for variable in self.trainable_variables]

        history = super().fit(
            stream,
            epochs=epoch + 1,
            initial_epoch=epoch,
            steps_per_epoch=steps,
            callbacks=[
                _OneOf(epochs),
                *callbacks,
                keras.callbacks.LambdaCallback(on_epoch_end=remember),
            ],
            **{"shuffle": False, **kwargs},
        )
        return history, own

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        *,
        data_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """`keras.Model.evaluate`, which also takes raw examples.

        Args:
            x: raw examples, or what Keras takes: batches of arrays.
            y: as Keras takes it; `None` with raw examples.
            data_options: as in `fit`; of them, only `tokens_per_batch` counts here.
            **kwargs: passed to Keras: `return_dict`, `verbose`, ...
        """
        if is_raw(x):
            x = self._one_pass(x, data_options or {})
        return super().evaluate(x, y, **kwargs)

    def predict(self, x: Any, **kwargs: Any) -> Any:
        """Answers a list of texts with a list of texts; else `keras.Model.predict`."""
        if isinstance(x, (list, tuple)) and all(isinstance(text, str) for text in x):
            return self.answer(list(x), **kwargs)
        return super().predict(x, **kwargs)

    def merged(self) -> "Task":
        """The task without LoRA: another with what it adds in its weights, or itself if none."""
        if not has_lora(self.parts.values()):
            return self
        twin = type(self).from_config(self.get_config())
        set_weights(twin.parts, weights_of(self.parts))
        return twin

    def to_dtype(self, dtype: str) -> "Task":
        """The same task with its weights and its arithmetic in another dtype, and LoRA merged."""
        raise NotImplementedError

    def served(self, freeze: bool = False) -> Any:
        """The graph that `export` writes: a `tf.Module` with `signatures()`.

        Args:
            freeze: whether the weights that it multiplies become constants.

        Raises:
            NotImplementedError: the task is not for serving.
        """
        raise NotImplementedError(
            f"A {type(self).__name__} is not for serving: give its `model` to another task."
        )

    def export(
        self,
        directory: str | os.PathLike,
        version: int | None = None,
        *,
        dtype: str | None = None,
        freeze: bool = False,
        warmup: Sequence[str] = WARMUP_TEXTS,
        signatures: str | Sequence[str] | None = None,
        **options: Any,
    ) -> pathlib.Path:
        """Writes a SavedModel for TF Serving, strings in and strings out; LoRA is merged there.

        Which signatures it has, `served` says. `assets.extra/model_card.json` says what the model
        is and, when it is evaluated first, how good; `tf_serving_warmup_requests` beside it makes
        the server's first request as fast as the others.

        Args:
            directory: the model's directory; versions are numbered directories inside.
            version: the version's number; the next free one by default.
            dtype: "bfloat16" halves the file and is faster on processors that multiply it; "int8"
                makes it a quarter, with weights alone in eight bits (`tflm.export.int8`); "w8a8"
                multiplies in eight bits too, and is the fastest, from TF Serving 2.17 on, on x86
                (`tflm.tasks.int8_products`); the task's own by default. The card has the score in
                float32 beside it.
            freeze: write the weights that decoding multiplies as constants of the graph: answers
                are faster, the first request slower.
            warmup: texts as users send them, with which the model is tried and a server warms up;
                none leaves both out.
            signatures: names of those that are wanted beside `serving_default`, or "all"; by
                default those that add little to the time of an export.
            **options: `evaluate_on`, `target_language`, `require` and others of
                `tflm.tasks.evaluation.card_for_export`.

        Returns:
            The version's directory.

        Raises:
            ValueError: `freeze` is asked for with "int8" or "w8a8", or there is no such signature.
            FileExistsError: `version` exists.
            RequirementsNotMet: a score falls short; nothing is written.
        """
        from tflm.tasks.evaluation import card_for_export  # which imports the tasks

        new_version(directory, version)  # before the work, so that it is not for nothing
        variant = variant_of(self, dtype, freeze)
        module = variant.task.served(freeze)
        if signatures is not None:
            module.offer(signatures)
        card = card_for_export(
            variant.task, weights=variant.weights(), float32=variant.float32, **options
        )
        return save(module, variant.signatures(module), directory, version, card, warmup)

    def to_files(self, directory: pathlib.Path) -> dict[str, Any]:
        """Writes what is not JSON into `directory`; returns the JSON that rebuilds the task."""
        raise NotImplementedError

    @classmethod
    def from_files(cls, directory: pathlib.Path, config: dict[str, Any], **kwargs: Any) -> "Task":
        """The inverse of `to_files`, with fresh weights."""
        raise NotImplementedError

    def save_pretrained(self, directory: str | os.PathLike) -> None:
        """Writes configuration, weights (LoRA merged) and tokenizers into one directory.

        `task.json` is written last: a directory that has it is complete.
        """
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / CONFIG_FILE).unlink(missing_ok=True)
        config = {"task": type(self).__name__, **self.to_files(directory)}
        save_weights(self.parts, directory / WEIGHTS_FILE)
        text = json.dumps(config, indent=2, ensure_ascii=False)
        write_atomically(
            directory / CONFIG_FILE,
            lambda path: pathlib.Path(path).write_text(text + "\n", encoding="utf-8"),
        )

    @classmethod
    def from_pretrained(
        cls, source: str | os.PathLike, revision: str | None = None, **kwargs: Any
    ) -> "Task":
        """Reads a directory that `save_pretrained` wrote, or starts from a public checkpoint.

        Of a public checkpoint come the network and the tokenizer; the options of the task are its
        defaults, and a head is new.

        Args:
            source: the directory, or what `tflm.checkpoints.from_pretrained` takes: a Hugging Face
                directory or repository, or a KerasHub preset.
            revision: of a repository on the Hugging Face Hub.
            **kwargs: passed to the network: `dtype`.

        Raises:
            FileNotFoundError: there is no such source, or it is not complete.
            ValueError: it holds another task, or a checkpoint that is not supported.
        """
        directory = pathlib.Path(source)
        path = directory / CONFIG_FILE
        if not path.is_file():
            is_public = any((directory / name).is_file() for name in checkpoints.CONFIG_FILES)
            if cls is not Task and (is_public or not directory.exists()):
                return cls(*checkpoints.from_pretrained(source, revision, **kwargs))
            raise FileNotFoundError(
                f"`source` must hold a saved task ({CONFIG_FILE}). Received: {directory}"
            )
        config = json.loads(path.read_text(encoding="utf-8"))
        known = {child.__name__: child for child in subclasses(Task)}
        found = known.get(config.get("task"))
        if found is None or not issubclass(found, cls):
            raise ValueError(
                f"`source` must hold a task of class {cls.__name__}. "
                f"Received: {config.get('task')!r} in {directory}"
            )
        task = found.from_files(directory, config, **kwargs)
        load_weights(task.parts, directory / WEIGHTS_FILE)
        return task


def best_of(found: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """What `n_best` returns, as one dict a text with the best of what it has several of."""
    return [
        {name: value[0] if isinstance(value, list) else value for name, value in row.items()}
        for row in (
            dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)
        )
    ]


def subclasses(cls: type) -> list[type]:
    """Every class derived from `cls`, near and far."""
    return [leaf for child in cls.__subclasses__() for leaf in (child, *subclasses(child))]
