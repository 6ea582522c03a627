"""RoBERTa: BERT trained longer on more text, without next-sentence prediction.

https://arxiv.org/abs/1907.11692. One token type, byte-level tokens, and a position table whose
first two rows are for padding: the first token stands in the third.
"""

import dataclasses
from typing import ClassVar

from tflm.models.bert import BertEncoder


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates of a RoBERTa; the defaults are RoBERTa-base's.

    Without next-sentence prediction no pooler is trained; a checkpoint may have one nevertheless.
    """

    vocab_size: int = 50265
    hidden_dim: int = 768
    ffn_dim: int = 3072
    num_heads: int = 12
    num_layers: int = 12
    max_length: int = 512
    num_segments: int = 1
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: str = "gelu"
    norm_epsilon: float = 1e-5
    pooler: bool = False


class Roberta(BertEncoder):
    """RoBERTa; XLM-RoBERTa is the same network with another vocabulary.

    Args:
        config: a `Config`.

    Example:
        >>> model = Roberta(Config(hidden_dim=128, ffn_dim=512, num_heads=2, num_layers=2))
    """

    FIRST_POSITION: ClassVar[int] = 2

    Config = Config
    PRESETS = {
        # Appendix A, table 9, and section 4.2: 125 and 355 million parameters.
        "base": Config(),
        "large": Config(hidden_dim=1024, ffn_dim=4096, num_heads=16, num_layers=24),
        # Conneau et al. 2020, https://arxiv.org/abs/1911.02116, appendix B, table 5: XLM-R,
        # 270 and 550 million parameters.
        "xlm_base": Config(vocab_size=250002),
        "xlm_large": Config(
            vocab_size=250002, hidden_dim=1024, ffn_dim=4096, num_heads=16, num_layers=24
        ),
    }
