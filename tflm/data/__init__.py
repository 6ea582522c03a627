"""Text files to batches: readers, batch shapes, translation batches; word vectors."""

from tflm.data.batching import TranslationBatches, translation_batches
from tflm.data.denoising import DenoisingBatches, Infilling, SpanCorruption
from tflm.data.hugging_face import DatasetRows
from tflm.data.labelled import LabelledBatches
from tflm.data.masking import MaskedBatches
from tflm.data.packing import PackedBatches
from tflm.data.padding import Padding, measure_padding
from tflm.data.question_batches import QuestionBatches
from tflm.data.question_windows import QuestionWindows
from tflm.data.readers import BadLine, BadLineReport, JsonLines, ParallelFiles, TsvFile
from tflm.data.squad import QuestionExample, SpanAnswer, SquadFiles
from tflm.data.tables import JsonTable, LabelFolders, TableFile, open_table
from tflm.data.text_files import TextFiles
from tflm.data.word_vectors import Coverage, WordVectors, initialize_embedding

__all__ = [
    "BadLine",
    "BadLineReport",
    "Coverage",
    "DatasetRows",
    "DenoisingBatches",
    "Infilling",
    "JsonLines",
    "JsonTable",
    "LabelFolders",
    "LabelledBatches",
    "MaskedBatches",
    "PackedBatches",
    "Padding",
    "ParallelFiles",
    "QuestionBatches",
    "QuestionExample",
    "QuestionWindows",
    "SpanAnswer",
    "SpanCorruption",
    "SquadFiles",
    "TableFile",
    "TextFiles",
    "TranslationBatches",
    "TsvFile",
    "WordVectors",
    "initialize_embedding",
    "measure_padding",
    "open_table",
    "translation_batches",
]
