"""Tasks: networks with the text on both sides of them."""

import tflm

if not hasattr(tflm, "__version__"):
    # A checkout of this project beside the script. Half of it would work: training, not export.
    raise ImportError(
        "`tflm` must be the installed package: run the script from another folder, or rename the "
        f"one of that name. Received: the folder {next(iter(tflm.__path__))}"
    )

from tflm.tasks.base import Task
from tflm.tasks.causal_lm import CausalLM
from tflm.tasks.masked_lm import MaskedLM
from tflm.tasks.question_answering import QuestionAnswering
from tflm.tasks.sentiment import SentimentAnalysis
from tflm.tasks.span_denoising import SpanDenoising
from tflm.tasks.summarization import Summarization
from tflm.tasks.text_generation import TextGeneration
from tflm.tasks.text_infilling import TextInfilling
from tflm.tasks.translation import Translation

__all__ = [
    "CausalLM",
    "MaskedLM",
    "QuestionAnswering",
    "SentimentAnalysis",
    "SpanDenoising",
    "Summarization",
    "Task",
    "TextGeneration",
    "TextInfilling",
    "Translation",
]
