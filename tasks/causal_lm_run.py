"""A language model's training run; see `tflm.tasks.training_run` for what is in its directory.

RUN/report/            scores of the finished task on held-out text
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from rich.console import Console

from tflm import models, tokenizers
from tflm.eval import BitsPer, Perplexity, Score
from tflm.tasks.causal_lm import CausalLM, default_optimizer
from tflm.tasks.causal_lm_recipes import CausalLMSettings
from tflm.tasks.training_run import TrainingRun, write_json
from tflm.tokenizers import SentencePieceTokenizer, Tokenizer


class CausalLMRun(TrainingRun):
    """Trains a language model in a directory, from where it was left if it was.

    Args:
        out: the run's directory.
        data: texts by split: "train", and "valid" and "test" where there are some.
        settings: how to train.
        console: where progress goes.

    Raises:
        ValueError: `out` holds a run with other settings, a split is empty, or no model is called
            as the settings say.
    """

    def __init__(
        self,
        out: pathlib.Path,
        data: dict[str, Sequence[str]],
        settings: CausalLMSettings,
        console: Console,
    ):
        super().__init__(out, data, settings, console)

    def data_options(self) -> dict[str, int]:
        """Rows of the model's length."""
        settings = self.settings
        return {
            "sequence_length": settings.sequence_length,
            "tokens_per_batch": settings.tokens_per_batch,
            "seed": settings.seed,
        }

    def new_task(self) -> CausalLM:
        """A compiled task whose learning rate falls over all epochs."""
        settings, tokenizer = self.settings, self._tokenizer()
        network, config = models.find(settings.preset)
        fields = {field.name for field in dataclasses.fields(config)}
        changes = {
            **{name: getattr(settings, name) for name in ("hidden_dim", "num_layers", "num_heads")},
            "ffn_dim": 4 * settings.hidden_dim,
            "max_length": settings.sequence_length,
            "vocab_size": tokenizer.vocab_size,
        }
        changes = {name: value for name, value in changes.items() if value}
        changes |= {
            "dropout": settings.dropout,
            "attention_dropout": settings.attention_dropout,
            "embedding_dropout": settings.dropout,
        }
        # A recipe trains any architecture: what an architecture has no field for is not its own.
        changes = {name: value for name, value in changes.items() if name in fields}
        model = network(dataclasses.replace(config, **changes), dtype=settings.dtype)
        task = CausalLM(model, tokenizer, continuous=settings.continuous)
        batches = task.batches(self.data["train"], training=True, **self.data_options())
        task.compile(
            default_optimizer(
                settings.learning_rate,
                settings.warmup_steps,
                batches.num_batches(0) * settings.epochs,
                weight_decay=settings.weight_decay,
                beta_2=settings.beta_2,
            )
        )
        return task

    def _tokenizer(self) -> Tokenizer:
        """The run's tokenizer, learned from the training text when it has none yet."""
        settings, folder = self.settings, self.out / "tokenizer"
        if not folder.is_dir():
            self.print(f"Learning a vocabulary of {settings.vocab_size} ({settings.algorithm}).")
            # The trainer reads lines: one of several megabytes would be left out.
            lines = (
                line
                for row in self.data["train"]
                for line in (row if isinstance(row, str) else row[0]).splitlines()
            )
            learned = SentencePieceTokenizer.train(lines, settings.vocab_size, settings.algorithm)
            learned.save(folder)
        return tokenizers.load(folder)

    def evaluate(self, split: str) -> list[Score]:
        """Scores the finished task on a split; writes `out / "report" / "report.json"`.

        Returns:
            Perplexity by the token, and bits by the character and by the byte.
        """
        task = CausalLM.from_pretrained(self.out / "model")
        texts = [row if isinstance(row, str) else row[0] for row in self.data[split]]
        likelihoods = task.likelihoods(texts)
        metrics = (Perplexity(), BitsPer("character"), BitsPer("byte"))
        scores = [metric.score(likelihoods, texts) for metric in metrics]
        write_json(
            self.out / "report" / "report.json",
            {"task": "causal_lm", "data": split, "scores": [score.to_dict() for score in scores]},
        )
        return scores
