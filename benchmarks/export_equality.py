"""Does the exported model say what the task says? Counts equal answers over a file of sentences.

    python benchmarks/export_equality.py runs/m30k ../shared/data/multi30k/test_2016_flickr.en.gz

The SavedModel runs in a process of its own that imports `tensorflow` and `tensorflow_text` only,
in batches of 7, 64 and 1 in turn, in the order of the file; the task sorts by length and batches
as it likes. Exit status 1 where an answer differs.
"""

import argparse
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SERVED = """
import itertools, json, sys
import tensorflow as tf
import tensorflow_text
lines = json.load(sys.stdin)
model = tf.saved_model.load(sys.argv[1])
answers, sizes = [], itertools.cycle([7, 64, 1])
while len(answers) < len(lines):
    texts = lines[len(answers) : len(answers) + next(sizes)]
    found = model.signatures["serving_default"](text=tf.constant(texts))
    answers += [text.decode() for text in found["text"].numpy()]
assert not any(name.split(".")[0] == "tflm" for name in sys.modules)
json.dump(answers, open(sys.argv[2], "w"))
"""


def read_lines(path: pathlib.Path) -> list[str]:
    """The lines of a file, plain or gzip."""
    text = path.read_bytes()
    text = gzip.decompress(text) if path.suffix == ".gz" else text
    return text.decode("utf-8").rstrip("\n").split("\n")


def main() -> None:
    """Prints how many answers are equal, and the first that differ."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=pathlib.Path, help="a finished run's directory")
    parser.add_argument("file", type=pathlib.Path, help="one source sentence a line")
    options = parser.parse_args()

    from tflm.tasks import Translation
    from tflm.tasks.predictor import task_directory

    lines = read_lines(options.file)
    task = Translation.from_pretrained(task_directory(options.run))
    ours = task.predict(lines)
    with tempfile.TemporaryDirectory() as directory:
        exported = task.export(directory)
        answers = pathlib.Path(directory, "answers.json")
        command = [sys.executable, "-c", SERVED, str(exported), str(answers)]
        subprocess.run(command, input=json.dumps(lines), text=True, check=True)
        served = json.loads(answers.read_text())
    differ = [row for row in zip(lines, ours, served, strict=True) if row[1] != row[2]]
    print(f"{len(lines) - len(differ)} of {len(lines)} answers equal")
    for source, task_answer, served_answer in differ[:5]:
        print(f"  {source}\n    task    {task_answer}\n    served  {served_answer}")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
