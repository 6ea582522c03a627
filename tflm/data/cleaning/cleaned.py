"""Rows of a reader, cleaned as they are read, and what became of them."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tflm.data.cleaning.steps import Apply, Row, Step, TextStep, parse_steps


@dataclasses.dataclass
class _Count:
    """What one step did in a pass."""

    step: Step
    changed: int = 0
    dropped: int = 0


class Cleaned:
    """A reader's rows after some steps, one after the other; re-iterable as the reader is.

        rows = Cleaned(TsvFile("train.tsv"), ["unicode", "script", "duplicates"], languages="en-zh")
        print(rows.summary())

    Rows come one at a time and in their order, the same at every iteration. What is remembered
    between rows is what a step says it does. A row is dropped where nothing is left of a text.
    After a whole pass it is known which rows are dropped, a byte a row, and later ones only change
    texts.

    Args:
        rows: Re-iterable: rows of strings, or strings, which are rows of one.
        steps: Names with their parameters as `parse_step` reads them, or steps.
        num_texts: How many of a row's strings are texts, from the first on; the others, labels say,
            stay as they are. By default all are.
        languages: Of the texts, for steps that depend on them: "en-zh".

    Raises:
        ValueError: A step is unknown or its parameters do not suit, or (from iteration) a row has
            another number of texts, or a later pass has more rows than the first.
        TypeError: `rows` is an iterator, which has no second pass.
    """

    def __init__(
        self,
        rows: Iterable[Any],
        steps: Sequence[str | Step],
        *,
        num_texts: int | None = None,
        languages: str = "",
    ):
        if isinstance(rows, Iterator):
            raise TypeError(
                "`rows` must be re-iterable (a list, or a reader of `tflm.data`). "
                f"Received: {type(rows).__name__}"
            )
        self.rows = rows
        self.steps = parse_steps(steps, languages)
        self.num_texts = num_texts
        self._counts: dict[str, Any] | None = None
        self._is_kept = b""  # of each row, after a whole pass

    def __iter__(self) -> Iterator[Row]:
        return self._first_pass() if self._counts is None else self._later_pass()

    def _first_pass(self) -> Iterator[Row]:
        is_kept = bytearray()
        counts = [_Count(step) for step in self.steps]
        passes: list[tuple[Apply, _Count]] = []
        num_texts = seen = kept = 0
        for row in self.rows:
            row = _as_row(row)
            seen += 1
            if seen == 1:
                num_texts = self.num_texts or len(row)
                passes = [(count.step.begin(num_texts), count) for count in counts]
            if len(row) < num_texts or (self.num_texts is None and len(row) > num_texts):
                raise ValueError(f"`rows` must have {num_texts} texts each. Received: {row!r:.200}")
            texts = _through(passes, row[:num_texts])
            is_kept.append(texts is not None)
            if texts is not None:
                kept += 1
                yield (*texts, *row[num_texts:])
        # Only a whole pass counts, whatever else is read at the same time.
        steps = [
            {"step": count.step.spec, "changed": count.changed, "dropped": count.dropped}
            for count in counts
        ]
        self._counts = {"seen": seen, "kept": kept, "steps": steps}
        self._is_kept = bytes(is_kept)

    def _later_pass(self) -> Iterator[Row]:
        applies: list[Apply] | None = None
        num_texts = 0
        for number, row in enumerate(self.rows):
            if number == len(self._is_kept):
                raise ValueError(
                    "`rows` must be the same at every pass. "
                    f"Received: more than the {number} of the first"
                )
            if not self._is_kept[number]:
                continue
            row = _as_row(row)
            if applies is None:
                num_texts = self.num_texts or len(row)
                changing = [step for step in self.steps if isinstance(step, TextStep)]
                applies = [step.begin(num_texts) for step in changing]
            texts = row[:num_texts]
            for apply in applies:
                texts = apply(texts) or texts  # none drops what the first pass has kept
            yield (*texts, *row[num_texts:])

    def counts(self) -> dict[str, Any]:
        """What the latest whole pass did, as JSON holds it; before there was one, it is made.

        Returns:
            `seen` and `kept`, examples; and `steps`, a list in their order of `step`, its name with
            its parameters; `changed`, how many examples it changed; and `dropped`, how many it
            dropped. What was kept and what was dropped is what was seen.
        """
        while self._counts is None:
            for _ in self:
                pass
        return self._counts

    def summary(self) -> str:
        """The counts in lines to print."""
        counts = self.counts()
        lines = [f"Cleaning kept {counts['kept']:,} of {counts['seen']:,} examples."]
        lines += [
            f"  {step['step']}: {step['changed']:,} changed, {step['dropped']:,} dropped"
            for step in counts["steps"]
        ]
        return "\n".join(lines)


def _as_row(row: Any) -> Row:
    return (row,) if isinstance(row, str) else tuple(row)


def _through(passes: Iterable[tuple[Apply, _Count]], texts: Row) -> Row | None:
    """The texts after every step, `None` once one drops them."""
    for apply, count in passes:
        after = apply(texts)
        if after is None:
            count.dropped += 1
            return None
        if after != texts:
            count.changed += 1
        texts = after
    return texts
