"""Question answering: the piece of a text that answers, in English and Chinese, scored by F1."""

import random

from tflm.tasks import QuestionAnswering

import keras
import tensorflow as tf

keras.utils.set_random_seed(1)
ENGLISH = ("Anna Bert Carla Dora".split(), "bread tea soup cake".split(), "Rome Paris Bern".split())
CHINESE = ("张三 李四 王五 赵六".split(), "米饭 面条 豆腐 饺子".split(), "北京 上海 广州".split())


def example() -> dict:
    """A question, its context, and the answers as SQuAD's files have them."""
    is_chinese = random.random() < 0.5
    who, what, where = map(random.choice, CHINESE if is_chinese else ENGLISH)
    context = f"{who} bought {what} in {where} and went home."
    asked = {"Who went home?": who, "What was bought?": what, "Where was that?": where}
    if is_chinese:
        context = f"昨天{who}在{where}买了{what}，然后回家了。"
        asked = {"谁回家了？": who, "买了什么？": what, "在哪里买的？": where}
    question, answer = random.choice(list(asked.items()))
    answers = {"text": [answer], "answer_start": [context.index(answer)]}
    return {"question": question, "context": context, "answers": answers}


rows = [example() for _ in range(700)]
train, test = rows[:640], rows[640:]
task = QuestionAnswering.from_examples(train, "qanet/tiny", vocab_size=420, sequence_length=64)
task.compile()
task.fit(train, validation_data=test, epochs=6, data_options={"tokens_per_batch": 1024})
print(*(score.format() for score in task.score(test, language="zh")), sep="\n")

model = tf.saved_model.load(str(task.export("saved_models/reader")))
asked = {name: tf.constant([row[name] for row in test[:5]]) for name in ("question", "context")}
answer = model.signatures["serving_default"](**asked)
print([text.decode() for text in answer["answer"].numpy()])
