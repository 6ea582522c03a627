"""KerasHub presets and backbones as checkpoints. KerasHub is imported where it is used."""

import json
import pathlib
import tempfile
from typing import Any

import numpy as np
from keras import ops

from tflm.checkpoints import families
from tflm.checkpoints.assembly import assemble, weight_shapes
from tflm.checkpoints.mapping import match
from tflm.checkpoints.tensors import Tensors
from tflm.models.base import Model
from tflm.tokenizers import Tokenizer, from_huggingface


class BackboneWeights(Tensors):
    """The weights of a KerasHub backbone by path."""

    def __init__(self, backbone: Any):
        self._weights = {
            weight.path.removeprefix(f"{backbone.name}/"): weight for weight in backbone.weights
        }
        super().__init__({path: tuple(w.shape) for path, w in self._weights.items()})

    def __getitem__(self, name: str) -> np.ndarray:
        return np.array(ops.convert_to_numpy(self._weights[name]))  # a copy: ours to keep


def is_backbone(source: Any) -> bool:
    """Whether an object is a KerasHub backbone."""
    return any(cls.__name__ == "Backbone" for cls in type(source).__mro__)


def is_preset(source: str) -> bool:
    """Whether a string names a KerasHub preset: a directory of one, a handle or a built-in name."""
    if source.startswith(("kaggle://", "hf://", "modelscope://")):
        return True
    if pathlib.Path(source).is_dir():
        config = pathlib.Path(source, "config.json")
        return config.is_file() and "registered_name" in json.loads(config.read_text("utf-8"))
    if "/" in source:
        return False
    import keras_hub

    return any(
        source in getattr(keras_hub.models, name).presets
        for family in families.FAMILIES.values()
        for name in getattr(family, "KERAS_HUB", ())
    )


def open_preset(source: str, **kwargs: Any) -> Any:
    """The backbone of a KerasHub preset, with its weights."""
    import keras_hub

    return keras_hub.models.Backbone.from_preset(source, **kwargs)


def open_tokenizer(source: str) -> Tokenizer:
    """The tokenizer of a KerasHub preset, as ours.

    Its parts are laid out as a Hugging Face directory has them, which says all that they say.

    Raises:
        ValueError: it is of a kind that is not supported.
    """
    import keras_hub

    theirs = keras_hub.models.Tokenizer.from_preset(source)
    with tempfile.TemporaryDirectory() as directory:
        for name, content in _tokenizer_files(theirs).items():
            pathlib.Path(directory, name).write_bytes(content)
        return from_huggingface(directory)


def _tokenizer_files(theirs: Any) -> dict[str, bytes]:
    """File names and contents."""
    import keras_hub

    kinds = keras_hub.tokenizers
    if isinstance(theirs, kinds.WordPieceTokenizer):
        settings = {
            "do_lower_case": theirs.lowercase,
            "strip_accents": theirs.strip_accents,
            "tokenize_chinese_chars": theirs.split_on_cjk,
        }
        pieces = "".join(f"{piece}\n" for piece in theirs.get_vocabulary())
        return {
            "vocab.txt": pieces.encode(),
            "tokenizer_config.json": json.dumps(settings).encode(),
        }
    if isinstance(theirs, kinds.BytePairTokenizer):
        vocabulary = {piece: theirs.token_to_id(piece) for piece in theirs.get_vocabulary()}
        return {
            "vocab.json": json.dumps(vocabulary).encode(),
            "merges.txt": "".join(f"{merge}\n" for merge in theirs.merges).encode(),
        }
    if isinstance(theirs, kinds.SentencePieceTokenizer):
        return {"sentencepiece.model": theirs.proto}
    raise ValueError(
        "`source` must have a WordPiece, byte-pair or SentencePiece tokenizer. "
        f"Received: {type(theirs).__name__}"
    )


def convert_backbone(backbone: Any, **kwargs: Any) -> Model:
    """Our model with the weights of a KerasHub backbone.

    Args:
        backbone: for example a `keras_hub.models.BertBackbone`.
        **kwargs: passed to our model: `dtype`, `name`.

    Raises:
        ValueError: no family of ours opens it, or it has an option that is not implemented.
    """
    family = families.of_keras_hub(type(backbone).__name__)
    # LlamaBackbone's own configuration leaves out whether it has output weights.
    tied = {"tie_word_embeddings": getattr(backbone, "tie_word_embeddings", False)}
    config = family.config_from_keras_hub({**backbone.get_config(), **tied})
    reads = match(
        family.keras_hub_weights(config),
        BackboneWeights(backbone),
        weight_shapes(family.MODEL, config),
        source=type(backbone).__name__,
    )
    return assemble(family.MODEL, config, reads, **kwargs)
