"""Decoding speed of an exported model against KerasHub's `generate` at Marian-base sizes.

    python benchmarks/decode.py

6+6 layers, 512 wide, feed-forward 2,048, 8 heads, vocabulary 32,000, random weights; sources of 20
tokens, exactly 32 new tokens, batch 32, float32. Our side is the SavedModel's `serving_default`,
strings in and strings out, run without XLA as a stock TF Serving runs it; KerasHub's is
`BartSeq2SeqLM.generate` on token ids, with and without XLA, and its best counts. Printed: medians
over alternating rounds.
"""

import argparse
import dataclasses
import os
import statistics
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import keras_hub  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from rounds import machine, median_ratio, time_rounds  # noqa: E402
from sentencepiece import sentencepiece_model_pb2  # noqa: E402

from tflm import models  # noqa: E402
from tflm.generation import Beam, Greedy, Limits  # noqa: E402
from tflm.tasks import Translation  # noqa: E402
from tflm.tokenizers import SentencePieceTokenizer  # noqa: E402

VOCAB_SIZE, NEW_TOKENS, SOURCE_TOKENS = 32000, 32, 20


def word_tokenizer() -> SentencePieceTokenizer:
    """A SentencePiece model with a piece for each of the words "w4" … "w31999"."""
    proto = sentencepiece_model_pb2.ModelProto()
    special = {"<pad>": 3, "<unk>": 2, "<s>": 3, "</s>": 3}  # piece types of the format
    for name, kind in special.items():
        proto.pieces.add(piece=name, score=0.0, type=kind)
    for number in range(len(special), VOCAB_SIZE):
        proto.pieces.add(piece=f"\u2581w{number}", score=-float(number), type=1)
    trainer = proto.trainer_spec
    trainer.model_type, trainer.vocab_size = 1, VOCAB_SIZE
    trainer.pad_id, trainer.unk_id, trainer.bos_id, trainer.eos_id = 0, 1, 2, 3
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = True
    return SentencePieceTokenizer(proto.SerializeToString())


def exported(
    strategy: Beam | Greedy, directory: str, layers: int
) -> tf.types.experimental.Callable:
    """`serving_default` of a Transformer with random weights, loaded from disk."""
    network, config = models.find("transformer/base")
    config = dataclasses.replace(
        config, vocab_size=VOCAB_SIZE, num_encoder_layers=layers, num_decoder_layers=layers
    )
    limits = Limits(max_length=NEW_TOKENS, min_length=NEW_TOKENS)
    task = Translation(network(config), word_tokenizer(), strategy=strategy, limits=limits)
    loaded = tf.saved_model.load(str(task.export(directory)))
    serve = loaded.signatures["serving_default"]
    serve.held = loaded  # a signature of a temporary loses its variables
    return serve


def their_model(sampler: object, jit_compile: bool, layers: int) -> keras.Model:
    """KerasHub's BART of the same sizes."""
    backbone = keras_hub.models.BartBackbone(
        vocabulary_size=VOCAB_SIZE,
        num_layers=layers,
        num_heads=8,
        hidden_dim=512,
        intermediate_dim=2048,
        max_sequence_length=64,
    )
    model = keras_hub.models.BartSeq2SeqLM(backbone=backbone, preprocessor=None)
    model.compile(sampler=sampler, jit_compile=jit_compile)
    return model


def compare(beams: int, options: argparse.Namespace) -> float:
    """The median ratio of KerasHub's best time to ours."""
    random = np.random.default_rng(0)
    ids = random.integers(4, VOCAB_SIZE, (options.batch, SOURCE_TOKENS - 1))
    texts = tf.constant([" ".join(f"w{number}" for number in row) for row in ids])
    ends = np.full((options.batch, 1), 3)
    prompt = np.zeros((options.batch, NEW_TOKENS + 1), "int32")
    prompt[:, 0] = 2
    inputs = {
        "encoder_token_ids": np.concatenate([ids, ends], axis=1).astype("int32"),
        "encoder_padding_mask": np.ones((options.batch, SOURCE_TOKENS), bool),
        "decoder_token_ids": prompt,
        "decoder_padding_mask": prompt != 0,
    }
    strategy = Greedy() if beams == 1 else Beam(num_beams=beams)
    with tempfile.TemporaryDirectory() as directory:
        serve = exported(strategy, directory, options.layers)
    sides = {"tflm SavedModel": lambda: serve(text=texts)["text"].numpy()}
    for jit_compile in (False, True):
        sampler = "greedy" if beams == 1 else keras_hub.samplers.BeamSampler(num_beams=beams)
        model = their_model(sampler, jit_compile, options.layers)
        sides[f"KerasHub{' XLA' if jit_compile else ''}"] = lambda model=model: model.generate(
            inputs, stop_token_ids=None
        )
    seconds = time_rounds(sides, options.rounds)
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"  {name:20s} {median:7.3f} s, {median / NEW_TOKENS * 1e3:7.1f} ms a step")
    theirs = min(list(seconds)[1:], key=lambda name: statistics.median(seconds[name]))
    ratio = median_ratio(seconds[theirs], seconds["tflm SavedModel"])
    print(f"  {theirs} (its best) / tflm: {ratio:.2f}", flush=True)
    return ratio


def main() -> None:
    """Prints seconds per call and the ratios, greedy and beam 4."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--layers", type=int, default=6, help="of the encoder and of the decoder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--require", type=float, nargs=2, default=(0.0, 0.0), help="greedy, beam")
    options = parser.parse_args()
    print(machine())
    passed = True
    for beams, least in zip((1, 4), options.require, strict=True):
        print(f"batch {options.batch}, {'greedy' if beams == 1 else f'beam {beams}'}")
        passed &= compare(beams, options) >= least
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
