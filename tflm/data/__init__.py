"""Text files to batches: readers, batch shapes, translation batches."""

from tflm.data.batching import TranslationBatches, translation_batches
from tflm.data.padding import Padding, measure_padding
from tflm.data.readers import BadLine, BadLineReport, JsonLines, ParallelFiles, TsvFile

__all__ = [
    "BadLine",
    "BadLineReport",
    "JsonLines",
    "Padding",
    "ParallelFiles",
    "TranslationBatches",
    "TsvFile",
    "measure_padding",
    "translation_batches",
]
