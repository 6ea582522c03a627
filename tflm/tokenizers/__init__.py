"""Tokenizers: text to ids and back, the same ids in training, in a graph and after export."""

from tflm.tokenizers.byte_pair import BytePairTokenizer
from tflm.tokenizers.huggingface import from_huggingface
from tflm.tokenizers.loading import Tokenizer, load
from tflm.tokenizers.marian import MarianTokenizer
from tflm.tokenizers.sentencepiece import SentencePieceTokenizer
from tflm.tokenizers.special_tokens import SpecialToken
from tflm.tokenizers.wordpiece import WordPieceTokenizer

__all__ = [
    "BytePairTokenizer",
    "MarianTokenizer",
    "SentencePieceTokenizer",
    "SpecialToken",
    "Tokenizer",
    "WordPieceTokenizer",
    "from_huggingface",
    "load",
]
