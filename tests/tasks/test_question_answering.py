import importlib.util
import json
import pathlib
import random
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import models
from tflm.data import QuestionExample, SpanAnswer, SquadFiles
from tflm.eval import Squad2ExactMatch, Squad2F1
from tflm.models.base import Encoder
from tflm.models.bert import Bert, Config
from tflm.tasks import QuestionAnswering, Task
from tflm.tasks.question_answering import default_optimizer, train_tokenizer
from tflm.training.files import load_tensors
from tflm.training.span_loss import SpanCrossEntropy

PEOPLE = {"en": "Ann Bob Cid Dora Eve Fay".split(), "zh": "安娜 李明 王芳 赵六".split()}
PLACES = {"en": "Berlin Rome Oslo Lima Cairo".split(), "zh": "北京 上海 广州 成都".split()}
FACT = {"en": "{} lives in {}. ", "zh": "{}住在{}。"}
QUESTION = {"en": "Where does {} live?", "zh": "{}住在哪里？"}
OPTIONS = {"tokens_per_batch": 2048}
SIZES = {
    "embedding_dim": 16,
    "hidden_dim": 24,
    "num_embedding_convolutions": 1,
    "embedding_kernel_size": 3,
    "num_model_blocks": 1,
    "num_readings": 1,
    "dropout": 0.0,
    "embedding_dropout": 0.0,
}
LENGTHS = {"sequence_length": 48, "overlap": 12, "max_answer_length": 6, "max_question_length": 14}
PAIRS = [
    ("Where does Bob live?", "😀 Ann lives in Rome. Bob lives in Oslo. Cafe\u0301!"),
    ("李明住在哪里？", "王芳住在北京。李明住在上海。"),
    ("Where does Bob live?", "Ann lives in Lima. " * 30 + "Bob lives in Cairo. " + "Eve? " * 90),
    ("", "Ann lives in Rome."),
    ("Where?", ""),
    ("Where?", " \n"),
    ("李明住在哪里？", "👩\u200d👩\u200d👧李明住在广州😀"),
]


def facts(count, seed, impossible=0.2):
    """Who lives where; some questions are about nobody in the text."""
    generator = random.Random(seed)
    examples = []
    for number in range(count):
        language = generator.choice(["en", "en", "zh"])
        people = generator.sample(PEOPLE[language], 3)
        homes = [generator.choice(PLACES[language]) for _ in people]
        context = "".join(FACT[language].format(*fact) for fact in zip(people, homes, strict=True))
        asked = generator.randrange(3)
        question = QUESTION[language].format(people[asked])
        if generator.random() < impossible:
            question = QUESTION[language].format({"en": "Gus", "zh": "孙七"}[language])
            examples.append(QuestionExample(question, context, (), str(number), True))
            continue
        start = context.index(people[asked])
        start = context.index(homes[asked], start)
        answers = (SpanAnswer(homes[asked], start),)
        examples.append(QuestionExample(question, context, answers, str(number)))
    return examples


TRAIN, DEV = facts(240, 1), facts(60, 2)


def as_rows(examples):
    return [
        {
            "question": each.question,
            "context": each.context,
            "is_impossible": each.is_impossible,
            "answers": {
                "text": each.texts,
                "answer_start": [answer.start for answer in each.answers],
            },
        }
        for each in examples
    ]


@pytest.fixture(scope="module")
def trained():
    """A task that has learned where people live. Do not train it further."""
    keras.utils.set_random_seed(1)
    task = QuestionAnswering.from_examples(
        TRAIN, "qanet/tiny", vocab_size=400, changes=SIZES, unanswerable=True, **LENGTHS
    )
    task.compile(default_optimizer(2e-2, 10, 120))
    task.fit(TRAIN, epochs=14, data_options=OPTIONS, verbose=0)
    return task


@pytest.fixture(scope="module")
def arrays(trained):
    return next(trained.batches(DEV, training=False).epoch(0).as_numpy_iterator())[0]


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    return trained.export(tmp_path_factory.mktemp("exported") / "homes")


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TRAIN, 400)


def bert(tokenizer, **changes):
    sizes = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1, "max_length": 40}
    return Bert(Config(tokenizer.vocab_size, **{**sizes, **changes}))


# fit


def test_it_learns_to_answer_and_to_say_that_there_is_no_answer(trained):
    history = trained.history.history
    assert history["loss"][-1] < 0.2 * history["loss"][0]
    exact_match, f1 = trained.score(DEV)
    assert exact_match.signature.startswith("squad:2.0")
    assert exact_match.components["best"] > 90
    assert f1.components["has_answer"] > 90


def test_tokens_read_are_counted_in_the_logs(trained):
    batches = trained.batches(TRAIN, training=False)
    read = sum(x["padding_mask"].sum() for x, _, _ in batches.epoch(0).as_numpy_iterator())
    assert trained.history.history["tokens"] == [read] * 14


def test_answers_are_slices_of_their_contexts_in_any_script(trained):
    found = trained.answers(PAIRS, no_answer_threshold=1.0)
    for (_, context), answer in zip(PAIRS, found, strict=True):
        assert answer["answer"] == context[answer["start"] : answer["end"]]
    texts = [answer["answer"] for answer in found]
    assert texts[:2] == ["Oslo", "上海"]
    assert texts[4:6] == ["", ""]
    assert texts[6] == "广州"


def test_every_form_of_a_question_gives_the_same_answer(trained):
    question, context = PAIRS[0]
    assert trained(question=question, context=context) == "Oslo"
    assert trained((question, context)) == "Oslo"
    assert trained([PAIRS[0], PAIRS[1]]) == ["Oslo", "上海"]
    sides = {"question": [question, PAIRS[1][0]], "context": [context, PAIRS[1][1]]}
    assert trained(**sides) == trained.predict(PAIRS[:2]) == ["Oslo", "上海"]
    contexts = [context for _, context in PAIRS[:3]]
    assert trained(question=question, context=contexts) == trained(
        [(question, context) for context in contexts]
    )
    questions = [question for question, _ in PAIRS[:4]]
    assert trained(question=questions, context=context) == trained(
        [(each, context) for each in questions]
    )
    assert trained.predict(DEV) == trained.predict([(e.question, e.context) for e in DEV])


def test_answers_do_not_depend_on_what_is_asked_beside_them(trained):
    together = trained.answers(PAIRS)
    for pair, expected in zip(PAIRS, together, strict=True):
        (alone,) = trained.answers([pair])
        for name in ("score", "no_answer_probability"):
            assert alone.pop(name) == pytest.approx(expected[name], abs=1e-4)
        assert alone == {name: expected[name] for name in alone}
    assert trained.answers([]) == []


def test_the_threshold_empties_answers(trained):
    absent = ("Where does Gus live?", "Ann lives in Rome. Bob lives in Oslo.")
    (sure,) = trained.answers([absent], no_answer_threshold=1.0)
    (refused,) = trained.answers([absent], no_answer_threshold=0.0)
    assert sure["answer"] and not refused["answer"]
    assert (refused["start"], refused["end"]) == (0, 0)
    assert refused["score"] == refused["no_answer_probability"]


def test_scores_are_those_of_the_data_sets_own_metrics(trained):
    answerable = [example for example in DEV if example.answers]
    english, chinese = (
        [score.value for score in trained.score(answerable, x)] for x in ("en", "zh")
    )
    assert len(english) == len(chinese) == 2
    names = [score.signature for score in trained.score(answerable, "zh")]
    assert all(name.startswith("cmrc:2018") for name in names)


def test_what_is_scored_is_what_is_answered(trained):
    exact_match, f1 = trained.score(DEV, "zh")
    assert exact_match.signature == "squad:2.0|cmrc:2018|case:lc|punct:no|refs:max|no_answer>0.5"
    assert f1.signature.endswith("|no_answer>0.5")
    given = trained.answer([(each.question, each.context) for each in DEV])
    references = [each.texts for each in DEV]
    assert "" in given and exact_match.components["no_answer"] > 0
    assert exact_match.value == Squad2ExactMatch(language="zh").score(given, references).value
    assert f1.value == Squad2F1(language="zh").score(given, references).value


def test_every_form_of_the_same_examples_gives_the_same_batches(trained, tmp_path):
    paragraphs = [
        {
            "context": each.context,
            "qas": [
                {
                    "id": each.id,
                    "question": each.question,
                    "is_impossible": each.is_impossible,
                    "answers": [
                        {"text": answer.text, "answer_start": answer.start}
                        for answer in each.answers
                    ],
                }
            ],
        }
        for each in DEV
    ]
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}))
    found = []
    for form in (DEV, as_rows(DEV), path, str(path), SquadFiles(path), trained.examples(DEV)):
        batches = trained.batches(form, training=True, **OPTIONS)
        found.append([x["token_ids"].tolist() for x, _, _ in batches.epoch(1).as_numpy_iterator()])
    assert all(each == found[0] for each in found)
    assert trained.evaluate(as_rows(DEV), verbose=0, return_dict=True)["loss"] == pytest.approx(
        trained.evaluate(str(path), verbose=0, return_dict=True)["loss"], rel=1e-5
    )


def test_ready_arrays_stay_as_they_are(trained):
    batches = trained.batches(DEV, training=False).epoch(0)
    x, y, _ = next(iter(batches))
    assert trained.examples(x) is x and trained.examples(batches) is batches
    assert trained.examples(None) is None and trained.examples([]) == []
    logits = trained(x)
    assert logits.shape == (*x["token_ids"].shape, 2)
    right = (np.argmax(logits, axis=1) == y.numpy()).all(axis=1)
    assert right.mean() > 0.8


def test_an_answer_needs_both_texts(trained):
    for texts in (["Where?"], ["北京"], [("Where?",)], [("Where?", 3)]):
        with pytest.raises(ValueError, match="`texts` must be pairs of a question and a context"):
            trained.answers(texts)
    with pytest.raises(ValueError, match="must be as many, .* Received: 2 questions, 3 contexts"):
        trained(question=["Where?"] * 2, context=["Here."] * 3)
    with pytest.raises(ValueError, match="`examples` must be QuestionExamples, dicts with"):
        trained.score([("Where?", "Here.")])


# Saving


def test_a_saved_task_comes_back(trained, arrays, tmp_path):
    trained.save_pretrained(tmp_path)
    again = Task.from_pretrained(tmp_path)
    assert type(again) is QuestionAnswering
    assert again.settings() == trained.settings()
    np.testing.assert_array_equal(again(arrays), trained(arrays))
    weights, _ = load_tensors(tmp_path / "model.safetensors")
    assert "head/dense/kernel" in weights


def test_a_keras_file_holds_the_whole_task(trained, arrays, tmp_path):
    trained.save(tmp_path / "task.keras")
    again = keras.saving.load_model(tmp_path / "task.keras")
    assert again.settings() == trained.settings()
    assert again.tokenizer.model == trained.tokenizer.model
    np.testing.assert_array_equal(again(arrays), trained(arrays))
    assert isinstance(again.loss, SpanCrossEntropy)


def test_a_task_in_bfloat16_scores_about_the_same(trained, arrays):
    small = trained.to_dtype("bfloat16")
    assert {str(weight.dtype) for weight in small.head.weights} == {"bfloat16"}
    found, expected = (np.asarray(task(arrays))[arrays["answer_mask"]] for task in (small, trained))
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


# Exported


@pytest.mark.slow
def test_the_exported_model_answers_like_python(trained, exported):
    loaded = tf.saved_model.load(str(exported))
    serve = loaded.signatures["serving_default"]
    pairs = [*PAIRS, *((each.question, each.context) for each in DEV)][:64]
    for size in (0, 1, 7, 64):
        sides = [[pair[i] for pair in pairs[:size]] for i in (0, 1)]
        question, context = (tf.constant(side, tf.string) for side in sides)
        found = {
            name: value.numpy() for name, value in serve(question=question, context=context).items()
        }
        expected = trained.answers(pairs[:size])
        assert [text.decode() for text in found["answer"]] == [each["answer"] for each in expected]
        for name in ("start", "end", "truncated"):
            assert found[name].tolist() == [each[name] for each in expected]
        for name in ("score", "no_answer_probability"):
            np.testing.assert_allclose(found[name], [each[name] for each in expected], atol=1e-4)


@pytest.mark.slow
def test_the_card_says_what_the_model_is(exported):
    card = json.loads((exported / "assets.extra" / "model_card.json").read_text())
    text = json.dumps(card)
    assert "QuestionAnswering" in text and "max_answer_length" in text and "qanet" in text


@pytest.mark.slow
def test_a_process_that_knows_only_tensorflow_gives_the_same(trained, exported):
    script = f"""
import json, sys
import tensorflow as tf, tensorflow_text
pairs = json.load(sys.stdin)
loaded = tf.saved_model.load({str(exported)!r})
sides = [tf.constant(side) for side in zip(*pairs)]
found = loaded.signatures["serving_default"](question=sides[0], context=sides[1])
assert "tflm" not in sys.modules
print(json.dumps([text.decode() for text in found["answer"].numpy()]))
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(PAIRS),
        capture_output=True,
        text=True,
        cwd=exported,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert json.loads(run.stdout.splitlines()[-1]) == trained.answer(PAIRS)


# Any encoder


def test_a_model_without_segments_gets_none(tokenizer):
    task = QuestionAnswering(bert(tokenizer, num_segments=1), tokenizer)
    x, _, _ = next(iter(task.batches(DEV[:3], training=False).epoch(0)))
    assert task(x).shape == (*x["token_ids"].shape, 2)
    assert not task.has_segments
    assert QuestionAnswering(bert(tokenizer), tokenizer).has_segments


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, cls in models.ARCHITECTURES.items() if issubclass(cls, Encoder)]
)
def test_any_encoder_trains_answers_and_is_exported(name, tokenizer, tmp_path):
    path = pathlib.Path(__file__).parents[1] / "models" / f"test_{name}.py"
    spec = importlib.util.spec_from_file_location(f"sizes_of_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cls = models.ARCHITECTURES[name]
    changes = {"vocab_size": tokenizer.vocab_size, "num_features": 6, "max_length": 48}
    fields = {key: changes.get(key, value) for key, value in module.CONTRACT[-1].items()}
    keras.utils.set_random_seed(1)
    task = QuestionAnswering(
        cls(cls.Config(**fields)), tokenizer, sequence_length=40, max_question_length=7
    )
    task.compile(default_optimizer(5e-3, 2))
    losses = task.fit(TRAIN, epochs=2, data_options=OPTIONS, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    task.export(tmp_path)
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    question, context = (tf.constant(side) for side in zip(*PAIRS, strict=True))
    served = loaded.signatures["serving_default"](question=question, context=context)
    assert [text.decode() for text in served["answer"].numpy()] == task.answer(PAIRS)
    assert "no_answer_probability" not in served


def test_windows_fit_the_model(tokenizer):
    task = QuestionAnswering(bert(tokenizer), tokenizer)
    assert task.settings() == {
        "sequence_length": 40,
        "overlap": 13,
        "max_question_length": 6,
        "max_answer_length": 13,
        "unanswerable": False,
        "no_answer_threshold": 0.5,
        "dropout": 0.1,
    }
    with pytest.raises(ValueError, match=r"at most the model's 40. Received: sequence_length=41"):
        QuestionAnswering(bert(tokenizer), tokenizer, sequence_length=41)
    with pytest.raises(ValueError, match=r"at most 38, what .* Received: max_question_length=39"):
        QuestionAnswering(bert(tokenizer), tokenizer, max_question_length=39)


def test_what_does_not_suit_is_refused(tokenizer):
    with pytest.raises(TypeError, match="`model` must be an Encoder. Received: "):
        QuestionAnswering(keras.Sequential(), tokenizer)
    with pytest.raises(ValueError, match="from 0 to 1. Received: no_answer_threshold=1.5"):
        QuestionAnswering(bert(tokenizer), tokenizer, no_answer_threshold=1.5)
    with pytest.raises(ValueError, match="`max_answer_length` must be from 1 to `overlap`"):
        QuestionAnswering(bert(tokenizer), tokenizer, max_answer_length=14)


def test_a_pooler_is_not_trained(tokenizer):
    task = QuestionAnswering(bert(tokenizer), tokenizer)
    assert not any("pooler" in weight.path for weight in task.trainable_variables)


def test_words_are_learned_in_lower_case_and_apart(tokenizer):
    ids = tokenizer.tokenize(["Berlin", "berlin", "京", "."]).to_list()
    assert ids[0] == ids[1]
    assert [len(row) for row in ids[1:]] == [1, 1, 1]


def test_the_default_optimizer_warms_up_and_decays_to_nothing():
    optimizer = default_optimizer(2e-3, 10, 110, weight_decay=0.03, ema=0.9)
    rate = optimizer._learning_rate
    assert float(rate(10)) == pytest.approx(2e-3)
    assert float(rate(60)) == pytest.approx(1e-3)
    assert float(rate(110)) == pytest.approx(0.0, abs=1e-9)
    config = optimizer.get_config()
    assert (config["weight_decay"], config["use_ema"], config["ema_momentum"]) == (0.03, True, 0.9)
    assert config["global_clipnorm"] == 1.0
