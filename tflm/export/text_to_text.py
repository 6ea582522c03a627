"""The graph from text to text: tokenize, encode, decode with a cache, detokenize.

One module serves the task in Python and the exported SavedModel, so both give the same strings.
`B` batch, `S` source length, `T` target length, `n` hypotheses of a text.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import tensorflow as tf

from tflm.export.encoder_decoder import EncoderDecoderModule, Source
from tflm.export.options import OPTIONS, write_by_options
from tflm.export.served_module import mean_of_tokens, one_at_least, signature
from tflm.export.sharing import Shared
from tflm.export.streaming import Stream
from tflm.export.token_ids import encode_texts, padding_id, repeated
from tflm.generation import Beam


class TextToText(EncoderDecoderModule):
    """An encoder-decoder and its tokenizers as functions of strings.

    Its arguments are those of `EncoderDecoderModule`.
    """

    OFFERED: ClassVar[tuple[str, ...]] = ("serving_default", "n_best", "score", "tokenize", "embed")

    def hypotheses(self, texts: Any, strategy: Any = None, seed: Any = None) -> dict[str, Any]:
        """Strings `(B,)` -> the best hypotheses of each.

        Args:
            texts: strings `(B,)`.
            strategy: instead of the module's own.
            seed: for `Sample`, integers `(B,)`, one for each text; by default the module's.

        Returns:
            `text` string `(B, n)` and `score` float32 `(B, n)`, best first; `truncated` boolean
            `(B,)`: the text was longer than `max_source_length` or the best hypothesis reached
            the maximum length without ending.
        """
        count, texts = one_at_least(texts)
        if seed is not None:
            seed = one_at_least(seed)[1]
        source = self._read(texts)
        cache = self._begin(source.token_ids, source.padding_mask)
        generated = self._generate(source, cache, strategy or self.strategy, seed=seed)
        found = self._texts(source, generated)
        return {name: value[:count] for name, value in found.items()}

    def log_probability(self, sources: Any, targets: Any) -> dict[str, Any]:
        """Scores given targets: strings `(B,)`, strings `(B,)`.

        Returns:
            `log_probability` float32 `(B,)`, the sum over the target's tokens and its end token;
            `num_tokens` int32 `(B,)`; `truncated` boolean `(B,)`: source or target was cut.
        """
        count, sources = one_at_least(sources)
        _, targets = one_at_least(targets)
        source = self._read(sources)
        labels, label_mask, target_cut = encode_texts(
            self.target_tokenizer, targets, self.limits.max_length
        )
        begin = repeated(self._target_start, tf.shape(labels)[0])  # (B, P)
        inputs = tf.concat([begin, labels[:, :-1]], axis=1)  # (B, P - 1 + T)
        logits, _ = self._forced(inputs, self._begin(source.token_ids, source.padding_mask))
        log_probabilities = -tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels, tf.cast(logits, tf.float32)
        )  # (B, T)
        log_probabilities = tf.where(label_mask, log_probabilities, 0.0)
        return {
            "log_probability": tf.reduce_sum(log_probabilities, axis=1)[:count],
            "num_tokens": tf.reduce_sum(tf.cast(label_mask, tf.int32), axis=1)[:count],
            "truncated": tf.logical_or(source.cut, target_cut)[:count],
        }

    def embedding(self, texts: Any) -> Any:
        """Strings `(B,)` -> the mean of what the encoder gives for each, float32 `(B, D)`."""
        count, texts = one_at_least(texts)
        source = self._read(texts)
        memory = self._encode(source.token_ids, source.padding_mask)
        return mean_of_tokens(memory, source.padding_mask)[:count]

    def explanation(self, texts: Any) -> dict[str, Any]:
        """Strings `(B,)` -> the best hypothesis of each, and where it comes from.

        Returns:
            `text` `(B,)` and `truncated` as `hypotheses`; string `source_pieces` `(B, S)`, special
            tokens included, and `target_pieces` `(B, T)`, "" after the last; float32 `attention`
            `(B, T, S)`: which of the source each piece was written after looking at, 1 in all.
        """
        count, texts = one_at_least(texts)
        source = self._read(texts)
        cache = self._begin(source.token_ids, source.padding_mask)
        strategy = self.strategy
        if isinstance(strategy, Beam):
            strategy = dataclasses.replace(strategy, num_return=1)
        generated = self._generate(source, cache, strategy)
        found = self._texts(source, generated)
        ids = generated.token_ids[:, 0]  # (B, T)
        begin = repeated(self._target_start, tf.shape(ids)[0])  # (B, P)
        _, attention = self._forced(tf.concat([begin, ids[:, :-1]], axis=1), cache)
        size = tf.shape(ids)[1]
        lengths = tf.where(source.has_text, generated.lengths[:, 0], 0)
        mask = tf.sequence_mask(lengths, size)  # (B, T)
        real = tf.cast(mask[..., None] & source.padding_mask[:, None], tf.float32)  # (B, T, S)
        read, written = map(self._strings_of, (self.source_tokenizer, self.target_tokenizer))
        explained = {
            "text": found["text"][:, 0],
            "truncated": found["truncated"],
            "source_pieces": read.of(source.token_ids, source.padding_mask),
            "target_pieces": written.of(ids, mask),
            "attention": tf.cast(attention[:, :size], tf.float32) * real,
        }
        return {name: value[:count] for name, value in explained.items()}

    def by_options(self, texts: Any, options: dict[str, Any]) -> dict[str, Any]:
        """Strings `(B,)` and what `tflm.export.options` says -> the best hypothesis of each."""
        count, texts = one_at_least(texts)
        options = {name: one_at_least(value)[1] for name, value in options.items()}
        source = self._read(texts)
        cache = self._begin(source.token_ids, source.padding_mask)

        def write(rows: Any, strategy: Any, max_lengths: Any, seed: Any) -> dict[str, Any]:
            def take(each: Any) -> Any:
                return tf.gather(each, rows)

            with_rows = {name: value for name, value in cache.items() if name != "weights"}
            chosen = {**cache, **tf.nest.map_structure(take, with_rows)}
            part = Source(*map(take, source))
            found = self._texts(part, self._generate(part, chosen, strategy, max_lengths, seed))
            return {n: value[:, 0] if n != "truncated" else value for n, value in found.items()}

        found = write_by_options(write, options, self.strategy, self.limits.max_length)
        return {name: value[:count] for name, value in found.items()}

    def stream(self) -> Stream:
        """What `prefill` and `decode_step` are made of."""
        two = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None], tf.bool)
        begin = self._begin if isinstance(self._begin, Shared) else Shared(self._begin, two)
        cache = begin.shared.get_concrete_function().structured_outputs

        def without_rows() -> dict[str, Any]:
            # They do not depend on what is read; a graph optimiser leaves out all else.
            token = tf.zeros([1, 1], tf.int32)
            return {"weights": self._begin(token, tf.cast(token + 1, tf.bool))["weights"]}

        return Stream(
            self._decode,
            without_rows,
            cache,
            lambda _, written: self._detokenize(written),
            limits=self.limits,
            max_read=len(self._target_start) + self.limits.max_length - 1,
            end_id=self.target_tokenizer.eos_id,
            pad_id=padding_id(self.target_tokenizer),
            blocked_ids=self._never_written,
        )

    def prefill(self, texts: Any, stream: Stream) -> dict[str, Any]:
        """Strings `(B,)` -> what `tflm.export.streaming` says, and `truncated`: it was cut."""
        count, texts = one_at_least(texts)
        source = self._read(texts)
        prompt = repeated(self._target_start, tf.shape(source.token_ids)[0])  # (B, P)
        none = tf.zeros_like(source.token_ids[:, 0])  # (B,)
        most = self._max_lengths(source.padding_mask, none + self.limits.max_length)
        found = stream.prefill(
            self._begin(source.token_ids, source.padding_mask),
            prompt,
            none + len(self._target_start),
            tf.clip_by_value(most, 1, self.limits.max_length),
            source.has_text,
        )
        found["truncated"] = source.cut
        return {name: value[:count] for name, value in found.items()}

    def _builders(self) -> dict[str, Callable[[], Any]]:
        # A search for the best hypothesis alone stops sooner than one for all of them.
        every = self.strategy
        if isinstance(every, Beam):
            every = dataclasses.replace(every, num_return=every.num_beams)

        def serving_default(text: Any) -> dict[str, Any]:
            best = self.hypotheses(text)
            return {
                "text": best["text"][:, 0],
                "score": best["score"][:, 0],
                "truncated": best["truncated"],
            }

        def tokenize(text: Any) -> dict[str, Any]:
            texts = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8")
            strings = self._strings_of(self.source_tokenizer)
            return strings.tokenized(self.source_tokenizer.tokenize(texts))

        def options(text: Any, *values: Any) -> dict[str, Any]:
            return self.by_options(text, dict(zip(OPTIONS, values, strict=True)))

        builders: dict[str, Callable[[], Any]] = {
            "serving_default": lambda: signature(serving_default, text=tf.string),
            "n_best": lambda: signature(lambda text: self.hypotheses(text, every), text=tf.string),
            "score": lambda: signature(self.log_probability, source=tf.string, target=tf.string),
            "tokenize": lambda: signature(tokenize, text=tf.string),
            "options": lambda: signature(options, text=tf.string, **OPTIONS),
        }
        if self._encodes:
            builders["embed"] = lambda: signature(
                lambda text: {"embedding": self.embedding(text)}, text=tf.string
            )
            stream = functools.cache(self.stream)
            builders["prefill"] = lambda: signature(
                lambda text: self.prefill(text, stream()), text=tf.string
            )
            builders["decode_step"] = lambda: stream().signature()
        if self._explains:
            builders["explain"] = lambda: signature(self.explanation, text=tf.string)
        return builders
