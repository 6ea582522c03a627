"""A preset's configuration with the sizes and rates that a run's settings say."""

import dataclasses
from typing import Any


def sized(config: Any, settings: Any, vocab_size: int) -> Any:
    """A network's configuration for a run on plain text.

    A run trains any architecture: what an architecture has no field for is not its own.

    Args:
        config: a preset's.
        settings: a dataclass with `hidden_dim`, `num_layers` and `num_heads`, of which 0 leaves the
            preset's; `sequence_length`, `dropout` and `attention_dropout`.
        vocab_size: pieces of the tokenizer.
    """
    sizes = {
        "hidden_dim": settings.hidden_dim,
        "num_layers": settings.num_layers,
        "num_heads": settings.num_heads,
        "ffn_dim": 4 * settings.hidden_dim,
        "max_length": settings.sequence_length,
        "vocab_size": vocab_size,
    }
    changes = {name: value for name, value in sizes.items() if value}
    changes |= {
        "dropout": settings.dropout,
        "attention_dropout": settings.attention_dropout,
        "embedding_dropout": settings.dropout,
    }
    fields = {field.name for field in dataclasses.fields(config)}
    return dataclasses.replace(
        config, **{name: value for name, value in changes.items() if name in fields}
    )


def configured(
    config: Any, vocab_size: int, target_vocab_size: int | None = None, **changes: Any
) -> Any:
    """A preset's configuration for vocabularies of these sizes.

    Args:
        config: a preset's.
        vocab_size: pieces of the tokenizer, of the source's where the target has its own.
        target_vocab_size: pieces of the target's own tokenizer.
        **changes: fields to change.

    Raises:
        ValueError: the architecture has no such field, or only one vocabulary.
    """
    changes["vocab_size"] = vocab_size
    if target_vocab_size is not None or hasattr(config, "target_vocab_size"):
        changes["target_vocab_size"] = target_vocab_size
    known = [field.name for field in dataclasses.fields(config)]
    for name, value in changes.items():
        if name not in known:
            raise ValueError(
                f"`{name}` must be a field of the architecture's config, one of {known}. "
                f"Received: {name}={value!r}"
            )
    return dataclasses.replace(config, **changes)
