"""`generate` of KerasHub on TensorFlow, token ids in and token ids out: BART or GPT-2, of the same
sizes as ours and with weights of its own."""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import keras_hub  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from sides import serve_rounds  # noqa: E402


def network(settings: dict) -> keras.Model:
    """The model, compiled."""
    sizes = {
        "vocabulary_size": settings["vocab_size"],
        "num_layers": settings["layers"],
        "num_heads": settings["num_heads"],
        "hidden_dim": settings["hidden_dim"],
        "intermediate_dim": settings["ffn_dim"],
        "dtype": settings["dtype"],
    }
    models = keras_hub.models
    if settings["has_encoder"]:
        backbone = models.BartBackbone(**sizes, max_sequence_length=64)
        model = models.BartSeq2SeqLM(backbone=backbone, preprocessor=None)
    else:
        backbone = models.GPT2Backbone(**sizes, max_sequence_length=1024)
        model = models.GPT2CausalLM(backbone=backbone, preprocessor=None)
    beams = settings["beams"]
    sampler = "greedy" if beams == 1 else keras_hub.samplers.BeamSampler(num_beams=beams)
    model.compile(sampler=sampler, jit_compile=settings["jit_compile"])
    return model


def inputs(settings: dict, batch: int) -> dict[str, np.ndarray]:
    """What `generate` takes: zeros are what it is to write."""
    count = settings["num_written"]
    ids = np.array(settings["rows"][:batch], "int32")
    if settings["has_encoder"]:
        target = np.zeros((batch, 1 + count), "int32")
        target[:, 0] = 2
        return {
            "encoder_token_ids": ids,
            "encoder_padding_mask": np.ones(ids.shape, bool),
            "decoder_token_ids": target,
            "decoder_padding_mask": target != 0,
        }
    mask = np.zeros((batch, ids.shape[1] + count), bool)
    mask[:, : ids.shape[1]] = True
    return {"token_ids": np.pad(ids, ((0, 0), (0, count))), "padding_mask": mask}


def main() -> None:
    """Serves rounds of `batch` rows."""
    settings = json.loads(sys.argv[1])
    model = network(settings)

    def run(batch: int) -> None:
        model.generate(inputs(settings, batch), stop_token_ids=None)

    versions = {module.__name__: module.__version__ for module in (tf, keras, keras_hub)}
    serve_rounds(run, versions)


if __name__ == "__main__":
    main()
