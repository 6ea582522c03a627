"""Tasks: networks with the text on both sides of them."""

from tflm.tasks.base import Task
from tflm.tasks.causal_lm import CausalLM
from tflm.tasks.translation import Translation

__all__ = ["CausalLM", "Task", "Translation"]
