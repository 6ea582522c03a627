"""Layers of `keras.ops`: attention, masks, positions, feed-forward, blocks, embeddings."""

from tflm.layers.attention import CrossAttention, SelfAttention, attend
from tflm.layers.blocks import DecoderBlock, EncoderBlock
from tflm.layers.embeddings import TokenEmbedding
from tflm.layers.feed_forward import FeedForward
from tflm.layers.masks import attention_bias, causal_mask, combine_masks, key_padding_mask
from tflm.layers.normalization import LayerNormalization
from tflm.layers.positions import LearnedPositions, sinusoidal_positions

__all__ = [
    "CrossAttention",
    "DecoderBlock",
    "EncoderBlock",
    "FeedForward",
    "LayerNormalization",
    "LearnedPositions",
    "SelfAttention",
    "TokenEmbedding",
    "attend",
    "attention_bias",
    "causal_mask",
    "combine_masks",
    "key_padding_mask",
    "sinusoidal_positions",
]
