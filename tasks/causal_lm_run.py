"""A language model's training run; see `tflm.tasks.training_run` for what is in its directory."""

from tflm import models
from tflm.eval import Report
from tflm.tasks.causal_lm import CausalLM, default_optimizer
from tflm.tasks.causal_lm_recipes import RECIPES, CausalLMSettings
from tflm.tasks.likelihood import likelihood_metrics, likelihood_report
from tflm.tasks.network_sizes import sized
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
        model = network(sized(config, settings, tokenizer.vocab_size), dtype=settings.dtype)
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
        metrics = likelihood_metrics()
        report = likelihood_report(task.likelihoods(texts), texts, metrics, data=split)
        report.write(self.out / "report")
        return {"likelihood": report}
