"""Decoding with the client in the loop: `prefill` reads a text, `decode_step` one more token.

    state = prefill(text)                       send state["text"]
    until all of state["finished"]:
        state |= decode_step(**state)           send state["text"]

What `decode_step` takes are outputs of `prefill`; what it gives replaces those of the same name,
and the others stay. The texts of a row joined are what a greedy search writes: `serving_default`,
where the model's strategy is that, or `options` with a temperature of 1 and a `top_k` of 1; a
beam's best text is not known before its end. A text is whole characters, and no part of a stop
string.

    text          string   what is sure to follow what was sent
    finished      bool     the text has ended: later steps leave such a row as it is
    token_id      int32    the token chosen last, which the next step reads; or a client's own
    num_written   int32    tokens chosen so far
    max_length    int32    most of them; a client may put less
    length        int32    tokens read so far
    history       int32    which, (B, W)
    source_length int32    tokens of the source, of a model that has an encoder
    step_*, memory_*       the model's cache, float32; what begins with memory_ is not given again

Of `history` a row has `length` columns, of the caches `length` positions, and of the memory
`source_length`. What stands behind is not read: requests of different lengths can be put into one
batch, as a server does that is told `pad_variable_length_inputs`. Rows that have read the same
number of tokens are decoded together, others one group after another.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tflm.export.flat_cache import (
    carried,
    grows,
    moved_left,
    named,
    packed,
    sent,
    source_length,
    source_mask,
    widened,
)
from tflm.export.sendable import Ends
from tflm.export.served_module import signature
from tflm.generation import Greedy, Limits
from tflm.generation.loop import Steps
from tflm.generation.protocol import Request

STATE = ("token_id", "finished", "num_written", "max_length", "length")


class Stream:
    """The two functions, for one module.

    Args:
        decode: the model's step.
        without_rows: gives what a cache holds that has no rows, its weights say.
        cache: specs of the cache before the first token, `"step"` and perhaps `"memory"`.
        text: gives what ids say, strings `(B,)`, from ragged ids read and written.
        limits: of what is written.
        max_read: most tokens that are read in all.
        end_id: the id that ends a text.
        pad_id: the id of no token.
        blocked_ids: ids that are never chosen.
        stop: strings that end a text.
    """

    def __init__(
        self,
        decode: Any,
        without_rows: Callable[[], dict[str, Any]],
        cache: Mapping[str, Any],
        text: Callable[[Any, Any], Any],
        *,
        limits: Limits,
        max_read: int,
        end_id: int,
        pad_id: int,
        blocked_ids: Sequence[int] = (),
        stop: Sequence[str] = (),
    ):
        self._decode = decode
        self._without_rows = without_rows
        self._cache = {name: cache[name] for name in ("step", "memory") if name in cache}
        self._text = text
        self._limits = limits
        self._max_read = max_read
        self._end_id, self._pad_id = end_id, pad_id
        self._blocked_ids = blocked_ids
        self._ends = Ends(stop)

    def signature(self) -> Any:
        """The `tf.function` of `decode_step`."""
        specs = self.inputs()

        def decode_step(*tensors: Any) -> dict[str, Any]:
            return self.decode_step(dict(zip(specs, tensors, strict=True)))

        return signature(decode_step, **specs)

    def inputs(self) -> dict[str, tf.TensorSpec]:
        """Specs of what `decode_step` takes, by name."""
        numbers = {name: tf.TensorSpec([None], tf.int32) for name in STATE}
        numbers["finished"] = tf.TensorSpec([None], tf.bool)
        numbers["history"] = tf.TensorSpec([None, None], tf.int32)
        if "memory" in self._cache:
            numbers["source_length"] = tf.TensorSpec([None], tf.int32)
        return numbers | {name: carried(spec) for name, spec in named(self._kept()).items()}

    def prefill(
        self, cache: dict[str, Any], prompt_ids: Any, lengths: Any, max_length: Any, found: Any
    ) -> dict[str, Any]:
        """Reads prompts.

        Args:
            cache: before the first token, of rows `(B,)`.
            prompt_ids: int32 `(B, P)`, with the padding on the left.
            lengths: tokens of each, int32 `(B,)`.
            max_length: tokens that each may be followed by, int32 `(B,)`.
            found: which texts something can be written for, boolean `(B,)`.
        """
        missing = tf.shape(prompt_ids)[1] - lengths  # (B,)
        is_token = tf.range(tf.shape(prompt_ids)[1])[None] >= missing[:, None]  # (B, P)
        request = self._request(prompt_ids, max_length, is_token)
        steps = Steps(self._decode, cache, Greedy(), self._limits, request, self._blocked_ids)
        history, step, state = steps.first(Greedy().start(request))
        step = tf.nest.map_structure(
            lambda each: moved_left(each, missing) if grows(each) else each, step
        )
        if isinstance(step, dict) and "left_padding" in step:
            step["left_padding"] = tf.zeros_like(missing)
        after = {
            "token_id": history[:, -1],
            "finished": state["done"] | ~found,
            "num_written": state["lengths"],
            "max_length": max_length,
            "length": lengths,
            "history": moved_left(prompt_ids, missing),
        }
        if "memory" in cache:
            after["source_length"] = source_length(cache["memory"])
        text, over = self._written(after, tf.zeros_like(lengths))
        ended = after["finished"] | over
        kept = {**{name: cache[name] for name in self._cache}, "step": step}
        return {
            **after,
            "finished": ended,
            "text": tf.where(found, text, ""),
            **{name: sent(each) for name, each in named(self._hidden(kept)).items()},
        }

    def decode_step(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Reads a token of each row, and chooses the next."""
        length = tf.clip_by_value(inputs["length"], 1, self._max_read)
        history = inputs["history"][:, : tf.reduce_max(length)]
        written = tf.minimum(tf.maximum(inputs["num_written"], 1), length + 1)
        max_length = tf.clip_by_value(inputs["max_length"], 1, self._limits.max_length)
        finished = inputs["finished"] | (written >= max_length) | (length >= self._max_read)
        width = tf.shape(history)[1] + 1
        flat = {name: inputs[name] for name in named(self._kept())}
        kept = packed(self._kept(), flat)
        if "memory" in kept:
            kept["memory"]["padding_mask"] = source_mask(kept["memory"], inputs["source_length"])
        step = tf.nest.map_structure(lambda each: widened(each, width), kept["step"])
        rows = {
            "token_id": inputs["token_id"],
            "length": length,
            "written": written,
            "max_length": max_length,
            "history": history,
            "memory": kept.get("memory", {}),
        }
        chosen, grown, ended, step = self._in_groups(rows, step, finished)
        places = tf.range(width)[None] == length[:, None]  # (B, W)
        history = tf.pad(history, [[0, 0], [0, 1]], constant_values=self._pad_id)
        after = {
            "token_id": chosen,
            "finished": finished | ended,
            "num_written": written + grown,
            "max_length": max_length,
            "length": length + tf.cast(~finished, tf.int32),
            "history": tf.where(places, inputs["token_id"][:, None], history),
        }
        text, over = self._written(after, written)
        return {
            **after,
            "finished": after["finished"] | over,
            "text": tf.where(finished, "", text),
            **{name: sent(each) for name, each in named({"step": step}).items()},
        }

    def _in_groups(
        self, rows: dict[str, Any], step: Any, finished: Any
    ) -> tuple[Any, Any, Any, Any]:
        """The next tokens, how many there are, which texts end, `(B,)` each; and the caches."""
        open_rows = tf.cast(tf.where(~finished)[:, 0], tf.int32)  # (R,)
        key = rows["length"] * (self._limits.max_length + 1) + rows["written"]
        distinct, group = tf.unique(tf.gather(key, open_rows))  # (G,), (R,)
        width = tf.shape(rows["history"])[1] + 1

        def one_group(i: Any, found: list[Any]) -> tuple[Any, list[Any]]:
            which = tf.boolean_mask(open_rows, group == i)  # (n,)
            part, flat = tf.nest.map_structure(
                lambda each: tf.gather(each, which), (rows, found[3:])
            )
            new = self._one_step(part, flat, part["length"][0], part["written"][0])
            places = which[:, None]  # (n, 1)
            return i + 1, [
                tf.ensure_shape(
                    tf.tensor_scatter_nd_update(old, places, widened(each, width)), old.shape
                )
                for old, each in zip(found, new, strict=True)
            ]

        none = tf.zeros_like(rows["length"])
        start = [none + self._pad_id, none, tf.zeros_like(finished), *tf.nest.flatten(step)]
        _, (tokens, grown, ended, *flat) = tf.while_loop(
            lambda i, _: i < tf.size(distinct), one_group, (tf.constant(0), start)
        )
        return tokens, grown, ended, tf.nest.pack_sequence_as(step, flat)

    def _one_step(
        self, rows: dict[str, Any], flat: list[Any], size: Any, written: Any
    ) -> list[Any]:
        """As a step of the loop, for rows that have read `size` tokens and written `written`."""
        step = tf.nest.pack_sequence_as(
            self._cache["step"], [each[:, :, :size] if grows(each) else each for each in flat]
        )
        history = tf.concat([rows["history"][:, :size], rows["token_id"][:, None]], axis=1)
        request = self._request(history, rows["max_length"])
        cache = {**self._without_rows(), "rows_per_source": 1, "last_only": True}
        if "memory" in self._cache:
            cache["memory"] = rows["memory"]
        steps = Steps(self._decode, cache, Greedy(), self._limits, request, self._blocked_ids)
        history, step, state = steps.next(written + 1, history, step, Greedy().start(request))
        return [history[:, -1], state["lengths"], state["done"], *tf.nest.flatten(step)]

    def _request(self, prompt_ids: Any, max_length: Any, is_token: Any = None) -> Request:
        return Request(
            prompt_ids,
            max_length,
            self._limits.max_length,
            self._end_id,
            self._pad_id,
            seed=None,
            prompt_mask=is_token,
        )

    def _written(self, state: dict[str, Any], before: Any) -> tuple[Any, Any]:
        """What can be sent now, of `before` tokens having been seen to; and where a stop string is.

        Args:
            state: what is given back, of which `token_id` has not been read yet.
            before: how many tokens were written when something was sent last, int32 `(B,)`.
        """
        ids = tf.pad(state["history"], [[0, 0], [0, 1]])  # (B, W + 1)
        places = tf.range(tf.shape(ids)[1])[None]
        length, written = state["length"][:, None], state["num_written"][:, None]
        ids = tf.where(places == length, state["token_id"][:, None], ids)
        # The prompt, what was written before, and the newest token, if that is no end.
        start = length + tf.cast(written > before[:, None], tf.int32) - written
        ragged: Any = tf.RaggedTensor  # its constructors are unknown to type checkers

        def between(first: Any, last: Any) -> Any:
            mask = (places >= first) & (places < last)
            lengths = tf.reduce_sum(tf.cast(mask, tf.int64), axis=1)
            return ragged.from_row_lengths(tf.boolean_mask(ids, mask), lengths, validate=False)

        read = between(0, start)
        known = self._ends.settled(self._text(read, between(start, start + before[:, None])))
        whole = self._text(read, between(start, start + written))
        text, over = self._ends.cut(whole)
        text = tf.where(state["finished"] | over, text, self._ends.settled(whole))
        size = tf.minimum(tf.strings.length(known), tf.strings.length(text))
        return tf.strings.substr(text, size, tf.strings.length(text) - size), over

    def _kept(self) -> dict[str, Any]:
        """Specs of what goes to the client and back."""
        return self._hidden(self._cache)

    def _hidden(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        """Without the source's mask, which `source_length` says."""
        if "memory" not in kept:
            return dict(kept)
        memory = {n: value for n, value in kept["memory"].items() if n != "padding_mask"}
        return {**kept, "memory": memory}
