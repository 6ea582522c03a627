"""Models as SavedModels: strings in, strings out, on stock TF Serving."""

from tflm.export.saved_model import next_version, save
from tflm.export.text_to_text import TextToText, encode_texts

__all__ = ["TextToText", "encode_texts", "next_version", "save"]
