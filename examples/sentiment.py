"""Sentiment of reviews in English and Chinese: accuracy, probabilities, a SavedModel."""

import random

from tflm.tasks import SentimentAnalysis

import keras
import tensorflow as tf

keras.utils.set_random_seed(1)
THINGS = {"en": "film book meal hotel song".split(), "zh": "电影 书 菜 酒店 歌".split()}
WORDS = {
    "positive": {"en": "fine great lovely".split(), "zh": "好 精彩 不错".split()},
    "negative": {"en": "dull awful boring".split(), "zh": "差 无聊 糟糕".split()},
}
FORMS = {"en": "The {} was {}, and I stayed to the end.", "zh": "这{}真{}，我从头看到尾。"}


def review() -> tuple[str, str]:
    """A text and its label."""
    language, label = random.choice(["en", "zh"]), random.choice(list(WORDS))
    thing = random.choice(THINGS[language])
    return FORMS[language].format(thing, random.choice(WORDS[label][language])), label


rows = [review() for _ in range(500)]
train, test = rows[:400], rows[400:]
task = SentimentAnalysis.from_texts(train, "text_cnn/base", vocab_size=320)
task.compile()
task.fit(train, validation_data=test, epochs=5)
print(task.evaluate(test, return_dict=True, verbose=0)["accuracy"])

texts = ["The meal was awful, and I stayed to the end.", "这书真精彩，我从头看到尾。"]
print(task.classify(texts))
model = tf.saved_model.load(str(task.export("saved_models/sentiment")))
answer = model.signatures["serving_default"](text=tf.constant(texts))
print([label.decode() for label in answer["label"].numpy()])
