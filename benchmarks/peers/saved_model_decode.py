"""A SavedModel, strings in and strings out, as a stock TF Serving runs it: without our code, and
with XLA turned off as `main.cc` of the server turns it off."""

import ctypes
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf  # noqa: E402
import tensorflow_text as tf_text  # noqa: E402  registers the ops of the tokenizers
from sides import serve_rounds  # noqa: E402

DISABLE_XLA = "_ZN10tensorflow21DisableXlaCompilationEv"


def main() -> None:
    """Serves rounds: `batch` rows, whose new token ids are given where `answers` is true."""
    settings = json.loads(sys.argv[1])
    getattr(
        ctypes.CDLL(str(pathlib.Path(tf.__file__).parent / "libtensorflow_cc.so.2")), DISABLE_XLA
    )()
    # The tokenizer puts the special token there, at one end or the other.
    special = settings["special"]["eos"]
    texts = [" ".join(f"w{token}" for token in row if token != special) for row in settings["rows"]]
    loaded = tf.saved_model.load(settings["saved_model"])
    assert not any(name.partition(".")[0] in ("tflm", "keras_hub") for name in sys.modules)
    serve = loaded.signatures["serving_default"]

    def run(batch: int, answers: bool = False) -> list[list[int]] | None:
        written = serve(text=tf.constant(texts[:batch]))["text"].numpy()
        if not answers:
            return None
        return [[int(word[1:]) for word in text.decode().split()] for text in written]

    versions = {"tensorflow": tf.__version__, "tensorflow-text": tf_text.__version__}
    serve_rounds(run, versions)


if __name__ == "__main__":
    main()
