"""Layers of `keras.ops`: attention, masks, positions, feed-forward, blocks, embeddings."""

from tflm.layers.activations import activation
from tflm.layers.attention import CrossAttention, SelfAttention, attend
from tflm.layers.blocks import TransformerBlock
from tflm.layers.classification_head import ClassificationHead
from tflm.layers.dropout import Dropout
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.feed_forward import FeedForward
from tflm.layers.masked_lm_head import MaskedLMHead
from tflm.layers.masks import (
    attention_bias,
    causal_mask,
    combine_masks,
    key_padding_mask,
    left_padding_mask,
    segment_mask,
)
from tflm.layers.normalization import LayerNormalization, RMSNormalization
from tflm.layers.pooling import AttentionPooling, FirstPooling, MaxPooling, MeanPooling
from tflm.layers.positions import (
    LearnedPositions,
    rotary_tables,
    rotate,
    sinusoidal_positions,
    token_positions,
)
from tflm.layers.relative_bias import RelativeBias
from tflm.layers.span_head import SpanHead

__all__ = [
    "AttentionPooling",
    "ClassificationHead",
    "CrossAttention",
    "Dropout",
    "FeedForward",
    "FirstPooling",
    "LayerNormalization",
    "LearnedPositions",
    "MaskedLMHead",
    "MaxPooling",
    "MeanPooling",
    "RMSNormalization",
    "RelativeBias",
    "SelfAttention",
    "SpanHead",
    "TokenEmbedding",
    "TransformerBlock",
    "activation",
    "attend",
    "attention_bias",
    "causal_mask",
    "combine_masks",
    "key_padding_mask",
    "left_padding_mask",
    "rotary_tables",
    "rotate",
    "segment_mask",
    "sinusoidal_positions",
    "token_positions",
]
