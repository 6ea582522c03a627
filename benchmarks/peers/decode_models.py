"""Makes the networks of `benchmarks/decode.py`: one of random weights, and SavedModels of it.

Its weights are written as a Hugging Face checkpoint, which the peers read, and ours is read from
it. They are random, but no bias is zero, which a graph optimiser would leave out, and what is
written depends on what was read. Vectors of special tokens are zero, so that their logits are the
same for all that is read, never the largest, and no library writes what another forbids.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import numpy as np  # noqa: E402
from sentencepiece import sentencepiece_model_pb2  # noqa: E402

from tflm import checkpoints  # noqa: E402
from tflm.generation import Beam, Greedy, Limits  # noqa: E402
from tflm.models import gpt2, marian  # noqa: E402
from tflm.tasks import CausalLM, Translation  # noqa: E402
from tflm.tokenizers import SentencePieceTokenizer  # noqa: E402

CONTROL, UNKNOWN, NORMAL = 3, 2, 1  # piece types of the format


def word_tokenizer(vocab_size: int, special: dict[str, int]) -> SentencePieceTokenizer:
    """A SentencePiece model in which the word "w7" is the token 7."""
    proto = sentencepiece_model_pb2.ModelProto()  # pyright: ignore[reportAttributeAccessIssue]
    kinds = {token: UNKNOWN if name == "unk" else CONTROL for name, token in special.items()}
    names = {token: name for name, token in special.items()}
    for number in range(vocab_size):
        piece = f"<{names[number]}>" if number in names else f"\u2581w{number}"
        proto.pieces.add(piece=piece, score=-float(number), type=kinds.get(number, NORMAL))
    trainer = proto.trainer_spec
    trainer.model_type, trainer.vocab_size = 1, vocab_size
    for name in ("pad", "unk", "bos", "eos"):
        setattr(trainer, f"{name}_id", special.get(name, -1))
        setattr(trainer, f"{name}_piece", f"<{name}>")
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = True
    return SentencePieceTokenizer(proto.SerializeToString())


def network_of(settings: dict) -> keras.Model:
    """A model of the zoo with random weights."""
    names = ("vocab_size", "hidden_dim", "ffn_dim", "num_heads", "activation")
    sizes, layers = {name: settings[name] for name in names}, settings["layers"]
    if settings["has_encoder"]:
        layers_of = {"num_encoder_layers": layers, "num_decoder_layers": layers}
        model = marian.Marian(marian.Config(**sizes, **layers_of))
    else:
        model = gpt2.GPT2(gpt2.Config(**sizes, num_layers=layers))
    model.build(None)
    random = np.random.default_rng(0)
    for weight in model.weights:
        shape = weight.shape
        if len(shape) < 2:  # biases, and scales around one
            value = random.normal(0.0, 0.05, shape) + weight.numpy()
        elif weight.path.endswith("embeddings"):
            value = random.normal(0.0, shape[1] ** -0.5, shape)
            if shape[0] == settings["vocab_size"]:
                value[list(settings["special"].values())] = 0.0
        else:
            # Were the mean left in, or attention as strong as what each token adds by itself, all
            # tokens would soon be the same, and one of them would be written for ever.
            gain = 2.0 if "feed_forward" in weight.path else 1.0
            value = random.normal(0.0, gain * shape[0] ** -0.5, shape)
            value -= value.mean(axis=0)
        weight.assign(value)
    return model


def main() -> None:
    """Writes what is not there: the checkpoint, and the exports: "default", "bfloat16 frozen"."""
    settings = json.loads(sys.argv[1])
    checkpoint = pathlib.Path(settings["checkpoint"])
    if not checkpoint.exists():
        checkpoints.save_pretrained(network_of(settings), checkpoint, format="huggingface")
    beams, written = settings["beams"], settings["num_written"]
    strategy = Greedy() if beams == 1 else Beam(num_beams=beams)
    limits = Limits(max_length=written, min_length=written)
    task = (Translation if settings["has_encoder"] else CausalLM)(
        checkpoints.load_model(checkpoint),
        word_tokenizer(settings["vocab_size"], settings["special"]),
        strategy=strategy,
        limits=limits,
    )
    for name, directory in settings["exports"].items():
        if (pathlib.Path(directory) / "1").exists():
            continue
        dtype, _, frozen = name.partition(" ")
        asked = {} if name == "default" else {"dtype": dtype, "freeze": bool(frozen)}
        task.export(directory, 1, **asked)


if __name__ == "__main__":
    main()
