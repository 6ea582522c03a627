"""What numbers the settings of a training run may be, so that a wrong one is told before any work.

The same name means the same in every task. Rules between settings, and those of a data set or of an
architecture, stand where both are known.
"""

import math
from collections.abc import Callable
from typing import Any

_Rule = tuple[str, Callable[[Any], bool]]

_COUNT: _Rule = ("at least 1", lambda value: value >= 1)
_SIZE: _Rule = ("at least 0", lambda value: value >= 0)
_POSITIVE: _Rule = ("positive", lambda value: value > 0)
_RATE: _Rule = ("in [0, 1)", lambda value: 0 <= value < 1)
_SHARE: _Rule = ("from 0 to 1", lambda value: 0 <= value <= 1)
_OPEN: _Rule = ("between 0 and 1, neither included", lambda value: 0 < value < 1)
_SEED: _Rule = ("from 0 to 4294967295", lambda value: 0 <= value < 2**32)  # as NumPy takes it
_FINITE: _Rule = ("a finite number", math.isfinite)

RULES: dict[str, _Rule] = {
    **dict.fromkeys(
        (
            "accumulate",
            "average_last",
            "beam",
            "epochs",
            "max_answer_length",
            "max_length",
            "max_question_length",
            "max_source_length",
            "sequence_length",
            "tokens_per_batch",
            "vocab_size",
            "warmup_steps",
        ),
        _COUNT,
    ),
    # Of most of these, 0 is the preset's, or none.
    **dict.fromkeys(
        (
            "coverage_penalty",
            "embedding_dim",
            "hidden_dim",
            "lora_alpha",
            "lora_rank",
            "max_length_ratio",
            "max_width",
            "min_length",
            "min_width",
            "naive_bayes",
            "no_repeat_ngram_size",
            "num_embedding_convolutions",
            "num_heads",
            "num_layers",
            "num_model_blocks",
            "num_readings",
            "overlap",
            "patience",
            "score_every",
            "weight_decay",
        ),
        _SIZE,
    ),
    **dict.fromkeys(
        (
            "attention_dropout",
            "beta_2",
            "dropout",
            "ema",
            "embedding_dropout",
            "label_smoothing",
            "word_dropout",
        ),
        _RATE,
    ),
    **dict.fromkeys(("sampling_alpha", "unrelated"), _SHARE),
    "layer_decay": ("above 0 and at most 1", lambda value: 0 < value <= 1),
    "learning_rate": _POSITIVE,
    "mask_rate": _OPEN,
    "seed": _SEED,
}


def check_ranges(settings: Any) -> None:
    """Refuses a number that its setting cannot have; one that has no rule may be any finite one.

    Args:
        settings: an instance of a run's `Settings`.

    Raises:
        ValueError: a number is out of its range; the message names the setting.
    """
    for name, value in vars(settings).items():
        if isinstance(value, bool | str):
            continue
        for rule, holds in (_FINITE, RULES.get(name, _FINITE)):
            if not holds(value):
                raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")
