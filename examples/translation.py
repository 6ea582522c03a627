"""Translation: English sentences into Chinese, scored by BLEU, and a SavedModel that answers."""

from tflm.eval import evaluate, metrics_for
from tflm.generation import Greedy
from tflm.tasks import Translation
from tflm.tasks.demo_corpus import demo_pairs
from tflm.tasks.sequence_to_sequence import default_optimizer

import keras
import tensorflow as tf

keras.utils.set_random_seed(1)
# Any lists of (source, target) will do; "de" instead of "zh" makes German of the same sentences.
train, valid, test = (demo_pairs(split, "zh")[:2000] for split in ("train", "valid", "test"))

task = Translation.from_pairs(train, "transformer/tiny", vocab_size=1500)
task.compile(default_optimizer(4e-3, warmup_steps=100))
task.fit(train, validation_data=valid, epochs=4, data_options={"tokens_per_batch": 1024})

sources, references = (list(side) for side in zip(*test[:50], strict=True))
report = evaluate(
    lambda texts: task.predict(texts, strategy=Greedy()),
    sources,
    references,
    metrics_for("translation", "zh"),
)
print(report["bleu"].format())

version = task.export("saved_models/translator")
model = tf.saved_model.load(str(version))  # as TF Serving does
answer = model.signatures["serving_default"](text=tf.constant(sources[:5]))
for source, text in zip(sources, answer["text"].numpy(), strict=False):
    print(source, "->", text.decode())
