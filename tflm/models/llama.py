"""Llama, and the decoders like it: Mistral, Qwen2, Qwen3, SmolLM.

Touvron et al. 2023, https://arxiv.org/abs/2302.13971, section 2.2: GPT-2 with root-mean-square
normalisation, a gated feed-forward network with SiLU, and rotary positions; no biases. Later ones
group the heads of keys and values (Ainslie et al. 2023, https://arxiv.org/abs/2305.13245), look
back through a window (Mistral), normalise queries and keys (Qwen3) or have three biases (Qwen2).
"""

import dataclasses
import math
from typing import Any

import numpy as np

from tflm.layers.positions import rotary_tables
from tflm.models.gpt2 import CausalTransformer

ROTARY_SCALINGS = ("none", "linear", "llama3")


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes, parts and rates; the defaults are those of Llama 2 7B.

    Attributes:
        num_kv_heads: heads of keys and values, `num_heads` where it is `None`.
        head_dim: `hidden_dim / num_heads` where it is `None`.
        rotary_base: the slowest rotation takes about this many times 2 pi tokens.
        rotary_scaling: how positions beyond those of pretraining are reached. "linear" divides all
            frequencies by `rotary_factor` (Chen et al. 2023, https://arxiv.org/abs/2306.15595);
            "llama3" divides those that turn less than `rotary_low` times in
            `rotary_original_length` tokens, leaves those that turn more than `rotary_high` times,
            and goes from the one to the other between.
        window: how many tokens, itself included, a token sees; `None` for all.
        window_from: the first layer that has the window.
        query_key_norm: whether queries and keys are normalised.
        query_key_value_bias: whether their projections have biases; nothing else has any.
    """

    vocab_size: int = 32000
    hidden_dim: int = 4096
    ffn_dim: int = 11008
    num_heads: int = 32
    num_kv_heads: int | None = None
    head_dim: int | None = None
    num_layers: int = 32
    max_length: int = 4096
    rotary_base: float = 10000.0
    rotary_scaling: str = "none"
    rotary_factor: float = 8.0
    rotary_low: float = 1.0
    rotary_high: float = 4.0
    rotary_original_length: int | None = None
    window: int | None = None
    window_from: int = 0
    query_key_norm: bool = False
    query_key_value_bias: bool = False
    dropout: float = 0.0
    attention_dropout: float = 0.0
    embedding_dropout: float = 0.0
    activation: str = "silu"
    norm_epsilon: float = 1e-5
    tie_output: bool = False

    def __post_init__(self) -> None:
        if self.rotary_scaling not in ROTARY_SCALINGS:
            raise ValueError(
                f"`rotary_scaling` must be one of {list(ROTARY_SCALINGS)}. "
                f"Received: rotary_scaling={self.rotary_scaling!r}"
            )
        if self.rotary_scaling == "llama3" and self.rotary_original_length is None:
            raise ValueError(
                "`rotary_original_length` must be given where `rotary_scaling` is 'llama3'. "
                "Received: rotary_original_length=None"
            )


def rotary_frequencies(config: Config) -> np.ndarray:
    """Radians per token of each pair of a head's dimensions, float32 `(K / 2,)`.

    Su et al. 2021, https://arxiv.org/abs/2104.09864, section 3.2.2, scaled as the config says.
    """
    width = config.head_dim or config.hidden_dim // config.num_heads
    frequencies = config.rotary_base ** -(np.arange(0, width, 2) / width)
    frequencies = np.asarray(frequencies)
    scaled = frequencies / config.rotary_factor
    if config.rotary_scaling == "llama3":
        # Dubey et al. 2024, https://arxiv.org/abs/2407.21783, section 3.2, as
        # https://github.com/meta-llama/llama-models has it, llama3/model.py, apply_scaling.
        turns = (config.rotary_original_length or 0) * frequencies / (2 * math.pi)
        share = (turns - config.rotary_low) / (config.rotary_high - config.rotary_low)
        share = np.clip(share, 0.0, 1.0)  # of what stays as it is
        scaled = (1.0 - share) * scaled + share * frequencies
    return (frequencies if config.rotary_scaling == "none" else scaled).astype("float32")


def _llama3(num_layers: int, hidden_dim: int, ffn_dim: int, num_heads: int, **other: Any) -> Config:
    return Config(
        vocab_size=128256,
        hidden_dim=hidden_dim,
        ffn_dim=ffn_dim,
        num_heads=num_heads,
        num_kv_heads=8,
        num_layers=num_layers,
        rotary_base=500000.0,
        **{"max_length": 8192, **other},
    )


def _qwen2(
    hidden_dim: int, ffn_dim: int, heads: tuple[int, int], num_layers: int, **other: Any
) -> Config:
    return Config(
        hidden_dim=hidden_dim,
        ffn_dim=ffn_dim,
        num_heads=heads[0],
        num_kv_heads=heads[1],
        num_layers=num_layers,
        max_length=32768,
        rotary_base=1e6,
        query_key_value_bias=True,
        norm_epsilon=1e-6,
        **{"vocab_size": 151936, "tie_output": True, **other},
    )


def _qwen3(
    hidden_dim: int, ffn_dim: int, num_heads: int, num_layers: int, tie_output: bool = True
) -> Config:
    return Config(
        vocab_size=151936,
        hidden_dim=hidden_dim,
        ffn_dim=ffn_dim,
        num_heads=num_heads,
        num_kv_heads=8,
        head_dim=128,
        num_layers=num_layers,
        max_length=40960,
        rotary_base=1e6,
        query_key_norm=True,
        norm_epsilon=1e-6,
        tie_output=tie_output,
    )


def _smollm(hidden_dim: int, ffn_dim: int, heads: tuple[int, int], num_layers: int) -> Config:
    return Config(
        vocab_size=49152,
        hidden_dim=hidden_dim,
        ffn_dim=ffn_dim,
        num_heads=heads[0],
        num_kv_heads=heads[1],
        num_layers=num_layers,
        max_length=2048,
        tie_output=True,
    )


class Llama(CausalTransformer):
    """Llama, Mistral, Qwen2, Qwen3 and SmolLM.

    Args:
        config: a `Config`.

    Example:
        >>> model = Llama(Config(vocab_size=8000, hidden_dim=256, ffn_dim=704, num_heads=4))
    """

    Config = Config
    PRESETS = {
        # Touvron et al. 2023, https://arxiv.org/abs/2307.09288, table 1, the widths of the first
        # Llama's table 2.
        "llama2_7b": Config(),
        "llama2_13b": Config(hidden_dim=5120, ffn_dim=13824, num_heads=40, num_layers=40),
        "llama2_70b": Config(
            hidden_dim=8192, ffn_dim=28672, num_heads=64, num_kv_heads=8, num_layers=80
        ),
        # Dubey et al. 2024, https://arxiv.org/abs/2407.21783, table 3.
        "llama3_8b": _llama3(32, 4096, 14336, 32),
        "llama3_70b": _llama3(80, 8192, 28672, 64),
        # https://github.com/meta-llama/llama-models, models/llama3_2/MODEL_CARD.md, and the
        # checkpoints' own configurations.
        "llama3.2_1b": _llama3(
            16,
            2048,
            8192,
            32,
            max_length=131072,
            rotary_scaling="llama3",
            rotary_factor=32.0,
            rotary_original_length=8192,
            tie_output=True,
        ),
        "llama3.2_3b": _llama3(
            28,
            3072,
            8192,
            24,
            max_length=131072,
            rotary_scaling="llama3",
            rotary_factor=32.0,
            rotary_original_length=8192,
            tie_output=True,
        ),
        # Jiang et al. 2023, https://arxiv.org/abs/2310.06825, table 1.
        "mistral_7b": Config(ffn_dim=14336, num_kv_heads=8, max_length=32768, window=4096),
        # Yang et al. 2024, https://arxiv.org/abs/2407.10671, table 1.
        "qwen2_0.5b": _qwen2(896, 4864, (14, 2), 24),
        "qwen2_1.5b": _qwen2(1536, 8960, (12, 2), 28),
        "qwen2_7b": _qwen2(3584, 18944, (28, 4), 28, vocab_size=152064, tie_output=False),
        # Yang et al. 2025, https://arxiv.org/abs/2505.09388, table 1.
        "qwen3_0.6b": _qwen3(1024, 3072, 16, 28),
        "qwen3_1.7b": _qwen3(2048, 6144, 16, 28),
        "qwen3_8b": _qwen3(4096, 12288, 32, 36, tie_output=False),
        # Allal et al. 2024, https://huggingface.co/blog/smollm, "Hyperparameters choice".
        "smollm_135m": _smollm(576, 1536, (9, 3), 30),
        "smollm_360m": _smollm(960, 2560, (15, 5), 32),
        "smollm_1.7b": _smollm(2048, 8192, (32, 32), 24),
    }

    def block_options(self) -> dict[str, Any]:
        """Pre-norm by root mean squares, a gate, no biases, and what the config says of heads."""
        config = self.config
        return {
            "norm": "rms",
            "gated": True,
            "use_bias": False,
            "num_kv_heads": config.num_kv_heads,
            "head_dim": config.head_dim,
            "query_key_value_bias": config.query_key_value_bias,
            "query_key_norm": config.norm_epsilon if config.query_key_norm else None,
        }

    def has_position_table(self) -> bool:
        """Rotations say where a token stands."""
        return False

    def windows(self) -> list[int | None]:
        """The window from layer `window_from` on."""
        first, count = self.config.window_from, self.config.num_layers
        return [self.config.window if i >= first else None for i in range(count)]

    def rotary(self, positions: Any) -> tuple[Any, Any]:
        """Cosines and sines of the positions `(N or 1, T)`, each `(N or 1, 1, T, K)`."""
        return rotary_tables(positions, rotary_frequencies(self.config))
