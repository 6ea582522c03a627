"""Models as SavedModels: strings in, strings out, on stock TF Serving."""

from tflm.export.bundle import Bundle, write_bundle
from tflm.export.classification import TextClassifier
from tflm.export.int8 import Int8Weights, num_bytes
from tflm.export.keras_hub import export
from tflm.export.question_answering import QuestionAnswerer
from tflm.export.recording import WARMUP_TEXTS
from tflm.export.saved_model import new_version, next_version, save
from tflm.export.text_generation import TextGenerator
from tflm.export.text_to_text import TextToText
from tflm.export.token_ids import encode_texts, special_ids

__all__ = [
    "WARMUP_TEXTS",
    "Bundle",
    "Int8Weights",
    "QuestionAnswerer",
    "TextClassifier",
    "TextGenerator",
    "TextToText",
    "encode_texts",
    "export",
    "new_version",
    "next_version",
    "num_bytes",
    "save",
    "special_ids",
    "write_bundle",
]
