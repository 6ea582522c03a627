"""GPT-3: GPT-2 with every second layer attending locally. https://arxiv.org/abs/2005.14165

"Alternating dense and locally banded sparse attention patterns in the layers of the transformer,
similar to the Sparse Transformer" (section 2.1; Child et al. 2019,
https://arxiv.org/abs/1904.10509). The width of the band is not published: it is an option here.
"""

import dataclasses

from tflm.models.gpt2 import CausalTransformer


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes and rates of a GPT-3; the defaults are the smallest published one's.

    `window` is how many tokens, itself included, a token sees in the second, fourth, ... layer;
    `None` for all.
    """

    vocab_size: int = 50257
    hidden_dim: int = 768
    ffn_dim: int = 3072
    num_heads: int = 12
    num_layers: int = 12
    max_length: int = 2048
    window: int | None = 256
    dropout: float = 0.0
    attention_dropout: float = 0.0
    embedding_dropout: float = 0.0
    activation: str = "gelu_tanh"
    norm_epsilon: float = 1e-5
    tie_output: bool = True


def _sizes(num_layers: int, hidden_dim: int, num_heads: int) -> Config:
    """A row of the table; the feed-forward network is four times the width."""
    return Config(
        hidden_dim=hidden_dim, ffn_dim=4 * hidden_dim, num_heads=num_heads, num_layers=num_layers
    )


class GPT3(CausalTransformer):
    """GPT-3.

    Args:
        config: a `Config`.

    Example:
        >>> model = GPT3(Config(vocab_size=8000, hidden_dim=256, ffn_dim=1024, num_heads=4))
    """

    Config = Config
    PRESETS = {
        # Table 2.1, without two misprints that the counts of table D.1 show: "xl" has 16 heads (24
        # printed, of 128 dimensions in a width of 2048), "13b" is 5120 wide (5140 printed).
        "small": _sizes(12, 768, 12),
        "medium": _sizes(24, 1024, 16),
        "large": _sizes(24, 1536, 16),
        "xl": _sizes(24, 2048, 16),
        "2.7b": _sizes(32, 2560, 32),
        "6.7b": _sizes(32, 4096, 32),
        "13b": _sizes(40, 5120, 40),
        "175b": _sizes(96, 12288, 96),
    }

    def windows(self) -> list[int | None]:
        """All, the window, all, the window, ..."""
        return [self.config.window if i % 2 else None for i in range(self.config.num_layers)]
