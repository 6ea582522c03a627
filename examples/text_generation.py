"""Text generation: a language model of English and Chinese sentences, perplexity, a stream."""

from tflm.generation import Greedy, Limits
from tflm.tasks import TextGeneration
from tflm.tasks.demo_corpus import demo_pairs

import keras
import tensorflow as tf

keras.utils.set_random_seed(1)
train, test = ([text for pair in demo_pairs(split, "zh") for text in pair]  # any list of texts
               for split in ("train", "test"))  # fmt: skip

sizes = {"hidden_dim": 128, "ffn_dim": 512, "num_heads": 4, "num_layers": 2, "max_length": 64}
task = TextGeneration.from_texts(
    train[:4000], "gpt2/tiny", vocab_size=1500, changes=sizes, limits=Limits(max_length=24)
)
task.compile()
task.fit(train[:4000], validation_data=test, epochs=6, data_options={"tokens_per_batch": 1024})
print("perplexity", task.evaluate(test, return_dict=True, verbose=0)["perplexity"])

task.save_pretrained("saved_models/writer_task")
task = TextGeneration.from_pretrained("saved_models/writer_task", strategy=Greedy())
for prompt in ("The farmer", "我的邻居"):
    print(prompt, *task.stream(prompt, max_length=12), sep="|")

model = tf.saved_model.load(str(task.export("saved_models/writer")))
prompts = ["The cat is", "这只猫"]
answer = model.signatures["serving_default"](text=tf.constant(prompts))
for prompt, text in zip(prompts, answer["text"].numpy(), strict=True):
    print(prompt + text.decode())
