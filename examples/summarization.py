"""Summarization: who wants what in a dialogue, in English and Chinese, scored by ROUGE."""

import random

from tflm.eval import evaluate, metrics_for
from tflm.tasks import Summarization
from tflm.tasks.sequence_to_sequence import default_optimizer

import keras
import tensorflow as tf

keras.utils.set_random_seed(1)
NAMES, THINGS = "Anna Bert Carla Dora Emil".split(), "tea soup bread rice cake".split()
PEOPLE, DISHES = "张三 李四 王五 赵六".split(), "米饭 面条 豆腐 饺子".split()


def dialogue() -> tuple[str, str]:
    """A text and its summary."""
    chatter = " ".join(random.choices(["Well.", "Oh, I see.", "Let me think.", "Hm."], k=3))
    who, what = random.choice(NAMES), random.choice(THINGS)
    if random.random() < 0.5:
        return f"Waiter: Yes? {who}: {chatter} Some {what}, please.", f"{who} wants {what}"
    who, what = random.choice(PEOPLE), random.choice(DISHES)
    return f"服务员：您好！{who}：嗯，我要一份{what}，谢谢。", f"{who}想吃{what}"


pairs = [dialogue() for _ in range(900)]
train, test = pairs[:840], pairs[840:]
# A decoder summarizes too: "gpt2/tiny", and prompt="{text}\n\nTL;DR:\n" if it is pretrained.
task = Summarization.from_pairs(train, "pointer_generator/tiny", vocab_size=420)
task.compile(default_optimizer(2e-3, warmup_steps=50))
task.fit(train, validation_data=test, epochs=6, data_options={"tokens_per_batch": 1024})

texts, summaries = (list(side) for side in zip(*test, strict=True))
report = evaluate(task.predict, texts, summaries, metrics_for("summarization", "zh"))
print(report["rouge1"].format())
model = tf.saved_model.load(str(task.export("saved_models/summarizer")))
answer = model.signatures["serving_default"](text=tf.constant(texts[:5]))
print([text.decode() for text in answer["text"].numpy()])
