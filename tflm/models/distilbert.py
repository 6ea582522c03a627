"""DistilBERT: BERT with half the layers, no segments and no pooler, distilled from BERT.

https://arxiv.org/abs/1910.01108
"""

import dataclasses
from typing import ClassVar

from tflm.models.bert import BertEncoder


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates of a DistilBERT; the defaults are the paper's."""

    num_segments: ClassVar[int] = 0
    pooler: ClassVar[bool] = False

    vocab_size: int = 30522
    hidden_dim: int = 768
    ffn_dim: int = 3072
    num_heads: int = 12
    num_layers: int = 6
    max_length: int = 512
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: str = "gelu"
    norm_epsilon: float = 1e-12


class DistilBert(BertEncoder):
    """DistilBERT.

    Args:
        config: a `Config`.

    Example:
        >>> model = DistilBert(Config(hidden_dim=128, ffn_dim=512, num_heads=2, num_layers=2))
    """

    Config = Config
    PRESETS = {
        # Section 3 and table 3: 66 million parameters.
        "base": Config(),
        # https://huggingface.co/distilbert/distilbert-base-multilingual-cased: the 104 languages
        # of multilingual BERT, 134 million parameters.
        "base_multilingual": Config(vocab_size=119547),
    }
