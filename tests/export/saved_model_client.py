"""Answers from SavedModels in a process of its own, which knows TensorFlow and TF Text alone.

A request is a line of JSON on standard input: the model's directory, a signature, and batches, each
a list for every input: of strings in base64, or of numbers. The line on standard output that
answers it has, for each batch, lists by the name of the output; and the modules of ours that were
imported, which must be none.
"""

import base64
import json
import sys

import tensorflow as tf
import tensorflow_text  # noqa: F401  registers its ops


def tensor(values, spec):
    """An input of the type that the signature says."""
    if spec.dtype == tf.string:
        values = [base64.b64decode(text) for text in values]
    return tf.constant(values, spec.dtype)


def plain(tensor):
    """An output as JSON holds it."""
    found = tensor.numpy().tolist()
    if tensor.dtype != tf.string:
        return found
    return [
        [text.decode() for text in row] if isinstance(row, list) else row.decode() for row in found
    ]


def main():
    for line in sys.stdin:
        directory, signature, batches = json.loads(line)
        loaded = tf.saved_model.load(directory)
        serve = loaded.signatures[signature]
        specs = serve.structured_input_signature[1]
        answers = []
        for batch in batches:
            found = serve(**{name: tensor(batch[name], spec) for name, spec in specs.items()})
            answers.append({name: plain(value) for name, value in found.items()})
        ours = [name for name in sys.modules if name.partition(".")[0] in ("tflm", "tasks", "eval")]
        print(json.dumps({"answers": answers, "ours": ours}), flush=True)


if __name__ == "__main__":
    main()
