"""Models as SavedModels: strings in, strings out, on stock TF Serving."""

from tflm.export.classification import TextClassifier
from tflm.export.question_answering import QuestionAnswerer
from tflm.export.recording import WARMUP_TEXTS
from tflm.export.saved_model import new_version, next_version, save
from tflm.export.text_generation import TextGenerator
from tflm.export.text_to_text import TextToText, encode_texts, special_ids

__all__ = [
    "WARMUP_TEXTS",
    "QuestionAnswerer",
    "TextClassifier",
    "TextGenerator",
    "TextToText",
    "encode_texts",
    "new_version",
    "next_version",
    "save",
    "special_ids",
]
