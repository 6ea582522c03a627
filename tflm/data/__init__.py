"""Text files to batches: readers, batch shapes, translation batches; word vectors."""

from tflm.data.batching import TranslationBatches, translation_batches
from tflm.data.packing import PackedBatches
from tflm.data.padding import Padding, measure_padding
from tflm.data.readers import BadLine, BadLineReport, JsonLines, ParallelFiles, TsvFile
from tflm.data.text_files import TextFiles
from tflm.data.word_vectors import Coverage, WordVectors, initialize_embedding

__all__ = [
    "BadLine",
    "BadLineReport",
    "Coverage",
    "JsonLines",
    "PackedBatches",
    "Padding",
    "ParallelFiles",
    "TextFiles",
    "TranslationBatches",
    "TsvFile",
    "WordVectors",
    "initialize_embedding",
    "measure_padding",
    "translation_batches",
]
