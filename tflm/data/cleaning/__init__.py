"""Cleaning of rows of texts by named steps, each of which counts what it changed and dropped.

    rows = Cleaned(TsvFile("train.tsv"), ["unicode", "control", "length:max=300", "duplicates"])

Steps change each text (unicode, control, markup, whitespace, simplified_chinese,
traditional_chinese, stop_words) or drop rows (length, length_ratio, script, untranslated,
duplicates, near_duplicates); they are applied in the order given.
"""

from tflm.data.cleaning.cleaned import Cleaned
from tflm.data.cleaning.steps import Step, known_steps, parse_step, parse_steps

__all__ = ["Cleaned", "Step", "known_steps", "parse_step", "parse_steps"]
