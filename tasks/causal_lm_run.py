"""A language model's training run; see `tflm.tasks.training_run` for what is in its directory."""

import pathlib
from collections.abc import Mapping
from typing import Any

from tflm.data import BadLineReport
from tflm.eval import Report
from tflm.models.base import Decoder
from tflm.tasks.causal_lm import CausalLM
from tflm.tasks.causal_lm_recipes import RECIPES, CausalLMSettings
from tflm.tasks.likelihood import likelihood_metrics, likelihood_report
from tflm.tasks.plain_text_run import PlainTextRun
from tflm.tasks.scored_data import ScoredData
from tflm.tasks.starting import chat_template_of, open_start, restarted
from tflm.tokenizers import Tokenizer


class CausalLMRun(PlainTextRun):
    """Trains a language model on plain text."""

    TASK = "causal_lm"
    TASK_CLASS = CausalLM
    NETWORKS = (Decoder,)
    Settings = CausalLMSettings
    RECIPES = RECIPES

    def network(self) -> tuple[Any, Tokenizer]:
        """Fresh, or what training starts from."""
        settings = self.settings
        if not settings.start:
            return super().network()
        found, (tokenizer, *_) = open_start(settings.start, Decoder, self.TASK)
        rates = {name: getattr(settings, name) for name in ("dropout", "attention_dropout")}
        rates["embedding_dropout"] = settings.dropout
        return restarted(found, rates, settings.dtype), tokenizer

    def task_of(self, model: Any, tokenizer: Tokenizer) -> CausalLM:
        """Of documents, or of a continuous text; with the chat template of what it starts from."""
        start = self.settings.start
        return CausalLM(
            model,
            tokenizer,
            continuous=self.settings.continuous,
            chat_template=chat_template_of(start) if start else None,
        )

    @classmethod
    def open_split(
        cls,
        path: pathlib.Path,
        split: str,
        settings: Mapping[str, Any],
        on_bad: str,
        report: BadLineReport,
    ) -> list[str]:
        """Texts of a file, or of one split.

        Raises:
            ValueError: it holds no text.
        """
        documents = settings.get("documents", "line")
        found = super().open_split(path, split, {"documents": documents}, on_bad, report)
        texts = [text for (text,) in found]
        if documents == "none":  # these are pieces of one
            texts = ["".join(texts)]
        if not any(texts):
            raise ValueError(f"`data` must hold at least one text. Received: {path}")
        return texts

    @classmethod
    def scored_data(cls, examples: Any, settings: Mapping[str, Any]) -> ScoredData:
        """Texts, of which nothing else is expected than themselves."""
        texts = [row if isinstance(row, str) else row[0] for row in examples]
        return ScoredData(cls.TASK, texts, texts, reads="likelihoods")

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
