"""A masked language model's training run; see `tflm.tasks.training_run` for its directory."""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tflm.data import BadLineReport, MaskedBatches
from tflm.eval import Likelihood, Perplexity, Report
from tflm.eval.evaluation import scores_with_intervals
from tflm.eval.masked_baselines import TokenCounts, TokenMatch
from tflm.eval.reports import SystemScores
from tflm.models.base import Encoder
from tflm.tasks.masked_lm import MaskedLM
from tflm.tasks.masked_lm_recipes import (
    RECIPES,
    MaskedLMRecipe,
    MaskedLMSettings,
    Passages,
    Replaced,
)
from tflm.tasks.plain_text_run import PlainTextRun
from tflm.tasks.sources import recipe_file

_BASELINES = {
    "most_frequent": "always the most frequent token",
    "left_neighbour": "the most frequent one behind the left neighbour",
    "either_neighbour": "the surer guess from the left or the right neighbour",
}


class MaskedLMRun(PlainTextRun):
    """Trains a masked language model on plain text."""

    TASK = "masked_lm"
    TASK_CLASS = MaskedLM
    NETWORKS = (Encoder,)
    Settings = MaskedLMSettings
    RECIPES = RECIPES

    @classmethod
    def recipe_data(
        cls, recipe: MaskedLMRecipe, directory: pathlib.Path, on_bad: str, report: BadLineReport
    ) -> dict[str, Any]:
        """Texts by split, with what the recipe replaces."""
        data = super().recipe_data(recipe, directory, on_bad, report)
        paths = tuple(recipe_file(directory, name, recipe.name) for name in recipe.passages)
        data["train"] = Passages(data["train"], paths)
        return {split: Replaced(rows, recipe.replace) for split, rows in data.items()}

    def data_options(self) -> dict[str, Any]:
        """Rows of the model's length, with the run's share of masked words."""
        return {**super().data_options(), "rate": self.settings.mask_rate}

    def evaluate(self, split: str) -> dict[str, Report]:
        """Scores the finished task on a split; writes `out / "report"`.

        Which words are masked is the same at every call, and the same for every system. Baselines
        count the tokens of the training text; they see what the model sees of a neighbour.

        Returns:
            Under "masked": accuracy on masked tokens, beside the baselines', and perplexity.
        """
        task = MaskedLM.from_pretrained(self.out / "model")
        size = {name: self.data_options()[name] for name in task.EVALUATION_OPTIONS}
        batches = task.batches(self.data[split], training=False, **size)
        counts = self._counts(task)
        rows = [
            row
            for x, y, weight in batches.epoch(0).as_numpy_iterator()
            for row in _rows(x, y, weight, task)
        ]
        tokens = [row["token"] for row in rows]
        metric = TokenMatch(_signature(batches))

        def scored(guesses: Any) -> Any:
            statistics = metric.statistics(guesses, tokens)
            return scores_with_intervals([metric], [statistics])

        systems = {
            "most_frequent": [np.full_like(each, counts.most_frequent) for each in tokens],
            "left_neighbour": [counts.after(row["left"])[0] for row in rows],
            "either_neighbour": [counts.between(row["left"], row["right"]) for row in rows],
        }
        likelihoods = [Likelihood(row["log_probability"].sum(), len(row["token"])) for row in rows]
        perplexity = Perplexity()
        found = perplexity.statistics(likelihoods, ["-"] * len(rows))
        report = Report(
            task=self.TASK,
            data=split,
            scores=(
                *scored([row["guess"] for row in rows]),
                *scores_with_intervals([perplexity], [found]),
            ),
            settings={},
            examples=(),
            hypotheses=(),
            baselines=tuple(
                SystemScores(name=name, label=_BASELINES[name], scores=scored(guesses))
                for name, guesses in systems.items()
            ),
        )
        report.write(self.out / "report")
        return {"masked": report}

    def _counts(self, task: MaskedLM) -> TokenCounts:
        """What stands beside what in the training text."""
        batches = task.batches(self.data["train"], training=False)
        runs = (np.concatenate(texts) for texts, _ in batches.windows())
        return TokenCounts(runs, task.tokenizer.vocab_size, ~task.pieces.special)


def _rows(
    x: dict[str, np.ndarray], y: np.ndarray, weight: np.ndarray, task: MaskedLM
) -> Iterator[dict[str, np.ndarray]]:
    """The masked tokens of each row: what they are, their neighbours, and what the model says."""
    logits = tf.cast(task.predict_on_batch(x), tf.float32)  # (B, M, V)
    log_probabilities = -tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)  # (B, M)
    positions, ids = x["masked_positions"], np.pad(x["token_ids"], ((0, 0), (0, 1)))
    columns = {
        "token": y,
        "left": np.take_along_axis(ids, np.maximum(positions - 1, 0), axis=1),
        "right": np.take_along_axis(ids, positions + 1, axis=1),
        "guess": logits.numpy().argmax(axis=-1),
        "log_probability": log_probabilities.numpy().astype(np.float64),
    }
    for row, chosen in enumerate(weight > 0):
        if chosen.any():
            yield {name: values[row][chosen] for name, values in columns.items()}


def _signature(batches: MaskedBatches) -> str:
    settings = {
        "rate": batches.rate,
        "words": "whole",
        "length": batches.sequence_length,
        "seed": batches.seed,
    }
    return "|".join(f"{name}:{value}" for name, value in settings.items())
