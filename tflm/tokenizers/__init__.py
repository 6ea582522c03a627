"""Tokenizers: text to ids and back, the same ids in training, in a graph and after export."""

from tflm.tokenizers.sentencepiece import SentencePieceTokenizer

__all__ = ["SentencePieceTokenizer"]
