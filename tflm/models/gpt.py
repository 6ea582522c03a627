"""GPT: the first Transformer decoder pretrained to be fine-tuned. Radford et al. 2018.

https://cdn.openai.com/research-covers/language-unsupervised/language_understanding_paper.pdf

The Transformer's decoder as published, post-norm, with learned positions and without anything to
attend to but the text itself; 40 000 byte-pair merges on 478 characters.
"""

import dataclasses
from typing import Any

from tflm.models.gpt2 import CausalTransformer


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates of a GPT; the defaults are the paper's (section 4.1)."""

    vocab_size: int = 40478
    hidden_dim: int = 768
    ffn_dim: int = 3072
    num_heads: int = 12
    num_layers: int = 12
    max_length: int = 512
    dropout: float = 0.1
    attention_dropout: float = 0.1
    embedding_dropout: float = 0.1
    activation: str = "gelu_tanh"
    norm_epsilon: float = 1e-5
    tie_output: bool = True


class GPT(CausalTransformer):
    """GPT.

    Args:
        config: a `Config`.

    Example:
        >>> model = GPT(Config(vocab_size=8000, hidden_dim=256, ffn_dim=1024, num_heads=4))
    """

    Config = Config
    PRESETS = {
        # Section 4.1: 12 layers, 768 wide, 12 heads, 3072 in the feed-forward networks, 512 tokens.
        "base": Config(),
    }

    def block_options(self) -> dict[str, Any]:
        """Post-norm."""
        return {"pre_norm": False}
