"""RoBERTa and XLM-RoBERTa checkpoints, Hugging Face and KerasHub."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from tflm.checkpoints import backbone_parts
from tflm.checkpoints.families import bert
from tflm.checkpoints.mapping import Rule, same
from tflm.checkpoints.options import check_options
from tflm.models.roberta import Config, Roberta

MODEL = Roberta
MODEL_TYPES = ("roberta", "xlm-roberta", "camembert")
PREFIX = "roberta."
HEADS = ("lm_head.*", "classifier.*", "qa_outputs.*")
IGNORED = ("embeddings.position_ids",)
KERAS_HUB = ("RobertaBackbone", "XLMRobertaBackbone")

PADDING_ROWS = Roberta.FIRST_POSITION  # of the position table, before the first token's
DEFAULTS = {"vocab_size": 50265, "pad_token_id": PADDING_ROWS - 1}


def config_from_huggingface(config: Mapping[str, Any], names: Collection[str]) -> Config:
    """`config.json` -> `Config`; there is a pooler where its weights are stored."""
    config = {**DEFAULTS, **config}
    check_options(config, {"pad_token_id": (PADDING_ROWS - 1,)})  # positions begin after it
    fields = bert.fields_from_huggingface(config, names)
    return Config(**{**fields, "max_length": fields["max_length"] - PADDING_ROWS})


def config_to_huggingface(config: Config) -> dict[str, Any]:
    """`Config` -> `config.json`."""
    rows = config.max_length + PADDING_ROWS
    return {
        "architectures": ["RobertaModel"],
        "model_type": "roberta",
        **bert.fields_to_huggingface(dataclasses.replace(config, max_length=rows)),
        "pad_token_id": PADDING_ROWS - 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }


weights = bert.weights


def config_from_keras_hub(config: Mapping[str, Any]) -> Config:
    """A KerasHub backbone's constructor arguments -> `Config`; it has no token types."""
    return Config(
        **backbone_parts.sizes(config),
        num_layers=config["num_layers"],
        num_segments=0,
        activation="gelu",
        norm_epsilon=1e-5,
        pooler=False,
    )


def keras_hub_weights(config: Config) -> Iterator[Rule]:
    """Where a KerasHub backbone holds every weight; its position table has no rows for padding."""
    yield same("embedding/embeddings", "embeddings/token_embedding/embeddings")
    yield Rule(
        "positions/embeddings",
        ("embeddings/position_embedding/embeddings",),
        lambda table: np.pad(table, ((PADDING_ROWS, 0), (0, 0))),
        lambda table: [table[PADDING_ROWS:]],
    )
    yield from bert.keras_hub_blocks(config)
