"""A language model's training run; see `tflm.tasks.training_run` for what is in its directory."""

import dataclasses

from tflm import models
from tflm.eval import BitsPer, Perplexity, Report, evaluate
from tflm.tasks.causal_lm import CausalLM, default_optimizer
from tflm.tasks.causal_lm_recipes import RECIPES, CausalLMSettings
from tflm.tasks.plain_text_run import PlainTextRun


class CausalLMRun(PlainTextRun):
    """Trains a language model on plain text."""

    TASK = "causal_lm"
    Settings = CausalLMSettings
    RECIPES = RECIPES

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
        settings, tokenizer = self.settings, self.tokenizer()
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

    def evaluate(self, split: str) -> dict[str, Report]:
        """Scores the finished task on a split; writes `out / "report"`.

        Returns:
            Under "likelihood": perplexity by the token, and bits by the character and by the byte.
        """
        task = CausalLM.from_pretrained(self.out / "model")
        texts = self.texts(split)
        scored = evaluate(
            task.likelihoods(texts),
            None,
            texts,
            [Perplexity(), BitsPer("character"), BitsPer("byte")],
            task="causal_lm",
            data=split,
            num_resamples=1000 if len(texts) > 1 else 0,  # one text has no spread
            num_shown=0,
        )
        # The texts are not examples of anything that was written.
        report = dataclasses.replace(scored, hypotheses=(), references=())
        report.write(self.out / "report")
        return {"likelihood": report}
