"""Decoding speed of an exported model against KerasHub's `generate` at Marian-base sizes.

    python benchmarks/decode.py

6+6 layers, 512 wide, feed-forward 2,048, 8 heads, vocabulary 32,000, random weights; sources of 20
tokens, exactly 32 new tokens, batch 32. Our side is the SavedModel's `serving_default`, strings in
and strings out, run without XLA as a stock TF Serving runs it, exported in float32, in bfloat16 and
in bfloat16 with `freeze`. KerasHub's is `BartSeq2SeqLM.generate` on token ids, in both dtypes, with
and without XLA; it ships set to float32 without. Printed: medians over alternating rounds, and
the ratios in float32, of the best of each, and of KerasHub as it ships to our best.
"""

import argparse
import dataclasses
import os
import statistics
import sys
import tempfile
from collections.abc import Callable

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
    strategy: Beam | Greedy, directory: str, layers: int, dtype: str, freeze: bool
) -> tf.types.experimental.Callable:
    """`serving_default` of a Transformer with random weights, loaded from disk."""
    network, config = models.find("transformer/base")
    config = dataclasses.replace(
        config, vocab_size=VOCAB_SIZE, num_encoder_layers=layers, num_decoder_layers=layers
    )
    limits = Limits(max_length=NEW_TOKENS, min_length=NEW_TOKENS)
    task = Translation(network(config), word_tokenizer(), strategy=strategy, limits=limits)
    # Biases start at zero, and a graph optimiser would leave out what adds zero.
    random = np.random.default_rng(0)
    for weight in task.model.weights:
        if weight.path.endswith("bias"):
            weight.assign(random.normal(0.0, 0.02, weight.shape))
    loaded = tf.saved_model.load(str(task.export(directory, dtype=dtype, freeze=freeze)))
    serve = loaded.signatures["serving_default"]
    serve.held = loaded  # a signature of a temporary loses its variables
    return serve


def their_model(sampler: object, jit_compile: bool, layers: int, dtype: str) -> keras.Model:
    """KerasHub's BART of the same sizes."""
    backbone = keras_hub.models.BartBackbone(
        vocabulary_size=VOCAB_SIZE,
        num_layers=layers,
        num_heads=8,
        hidden_dim=512,
        intermediate_dim=2048,
        max_sequence_length=64,
        dtype=dtype,
    )
    model = keras_hub.models.BartSeq2SeqLM(backbone=backbone, preprocessor=None)
    model.compile(sampler=sampler, jit_compile=jit_compile)
    return model


def compare(beams: int, options: argparse.Namespace) -> float:
    """The median ratio of KerasHub's time, set as it ships, to our best."""
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
    ours: dict[str, Callable[[], object]] = {}
    theirs: dict[str, Callable[[], object]] = {}
    for dtype in ("float32", "bfloat16"):
        for freeze in (False, True) if dtype == "bfloat16" else (False,):
            with tempfile.TemporaryDirectory() as directory:
                serve = exported(strategy, directory, options.layers, dtype, freeze)
            name = f"tflm {dtype}{' frozen' if freeze else ''}"
            ours[name] = lambda serve=serve: serve(text=texts)["text"].numpy()
        for jit_compile in (False, True):
            sampler = "greedy" if beams == 1 else keras_hub.samplers.BeamSampler(num_beams=beams)
            model = their_model(sampler, jit_compile, options.layers, dtype)
            name = f"KerasHub {dtype}{' XLA' if jit_compile else ''}"
            theirs[name] = lambda model=model: model.generate(inputs, stop_token_ids=None)
    seconds = time_rounds({**ours, **theirs}, options.rounds)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    for name, time in median.items():
        print(f"  {name:24s} {time:7.3f} s, {time / NEW_TOKENS * 1e3:7.1f} ms a step")
    our_best, their_best = min(ours, key=median.__getitem__), min(theirs, key=median.__getitem__)
    shipped = "KerasHub float32"
    for slow, fast in ((shipped, "tflm float32"), (their_best, our_best), (shipped, our_best)):
        print(f"  {slow} / {fast}: {median_ratio(seconds[slow], seconds[fast]):.2f}", flush=True)
    return median_ratio(seconds[shipped], seconds[our_best])


def main() -> None:
    """Prints seconds per call and the ratios, greedy and beam 4."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--layers", type=int, default=6, help="of the encoder and of the decoder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--beams", type=int, nargs="+", default=(1, 4), choices=(1, 4))
    parser.add_argument(
        "--require", type=float, nargs=2, default=(0.0, 0.0), help="least of the last ratio"
    )
    options = parser.parse_args()
    print(machine())
    passed = True
    for beams, least in zip((1, 4), options.require, strict=True):
        if beams not in options.beams:
            continue
        print(f"batch {options.batch}, {'greedy' if beams == 1 else f'beam {beams}'}")
        passed &= compare(beams, options) >= least
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
