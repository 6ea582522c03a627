import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.eval.requirements import RequirementsNotMet
from tflm.layers import AttentionPooling
from tflm.models.bert import Bert
from tflm.models.bert import Config as BertConfig
from tflm.models.gpt2 import GPT2
from tflm.models.gpt2 import Config as GPT2Config
from tflm.models.text_cnn import Config, TextCNN
from tflm.tasks import SentimentAnalysis, Task
from tflm.tasks.sentiment import default_optimizer
from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer
from tflm.training.fine_tuning import LayerwiseAdamW, depths
from tflm.training.losses import SmoothedCrossEntropy

ROWS = [
    ("a fine film", "positive"),
    ("a fine, warm and funny film", "positive"),
    ("a dull film", "negative"),
    ("dull, cold and too long", "negative"),
    ("这部电影很好。", "positive"),
    ("这部电影很差。", "negative"),
] * 6
TRICKY = [
    "a fine film",
    "",
    " \t",
    "😀",
    "这部电影",
    "a dull film " * 4000,
    "</s><s>",
    "电影" * 25_000,
]
UNLIKE = ["a film and a dog", "电影", "", "dull, cold"]
OPTIONS = {"tokens_per_batch": 256}
SIZES = {"embedding_dim": 16, "hidden_dim": 24}


def make(tokenizer, labels=("negative", "positive"), seed=1, dtype=None, **kwargs):
    keras.utils.set_random_seed(seed)
    model = TextCNN(Config(tokenizer.vocab_size, **SIZES), dtype=dtype)
    return SentimentAnalysis(model, tokenizer, labels, **{"max_length": 40, **kwargs})


def make_bert(tokenizer, labels=("negative", "positive"), **kwargs):
    keras.utils.set_random_seed(2)
    sizes = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1, "max_length": 32}
    model = Bert(BertConfig(tokenizer.vocab_size, **sizes, dropout=0.0))
    return SentimentAnalysis(model, tokenizer, labels, **kwargs)


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train((text for text, _ in ROWS), 320, "char")


@pytest.fixture(scope="module")
def trained(tokenizer):
    """A task that knows its few texts by heart. Do not train it further."""
    task = make(tokenizer, dropout=0.1, naive_bayes=1.5)
    task.compile(default_optimizer(1e-2, 5, 120))
    options = {"validation_data": ROWS[:6], "validation_freq": 20, "data_options": OPTIONS}
    task.fit(ROWS, epochs=20, **options, verbose=0)
    return task


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    return trained.export(
        tmp_path_factory.mktemp("exported") / "films", evaluate_on=tuple(zip(*ROWS, strict=True))
    )


# fit


def test_labels_are_learned_and_accuracy_is_counted_by_the_text(trained):
    history = trained.history.history
    assert history["loss"][-1] < 0.1 < history["loss"][0]
    assert history["val_accuracy"][-1] == 1.0
    found = trained.evaluate(ROWS, data_options=OPTIONS, return_dict=True, verbose=0)
    assert found["accuracy"] == 1.0
    wrong = [(text, "positive") for text, _ in ROWS[:6]]
    assert trained.evaluate(wrong, return_dict=True, verbose=0)["accuracy"] == 0.5
    tokens = sum(len(text) + 2 for text, _ in ROWS)
    assert found["tokens"] == history["tokens"][-1] == tokens


def test_ngrams_of_raw_examples_are_counted_and_answer_too(trained):
    good = trained.tokenizer.tokenize(["好"])[0, -1]
    assert trained.head.counts.ratios[good, 1] > 1.0  # a third of the positive texts have it
    text = "a dull film 好"
    batches = trained.batches([(text, "positive")], training=False)
    ((inputs, _, *_),) = batches.epoch().as_numpy_iterator()
    vector = trained.head.pooling(trained.model(inputs), inputs["padding_mask"])
    counted = trained.head.counts(inputs["token_ids"], inputs["padding_mask"])
    logits = np.asarray(trained.head.dense(vector)) + 1.5 * np.asarray(counted)
    expected = np.exp(logits) / np.exp(logits).sum()
    (found,) = trained.classify([text])
    np.testing.assert_allclose(found["probabilities"], expected[0], atol=1e-5)


def test_batches_are_not_counted_and_an_uncounted_task_says_so(tokenizer):
    task = make(tokenizer, naive_bayes=1.5)
    task.compile()
    batches = task.batches(ROWS, training=False)
    endless = batches.epoch().repeat()
    with pytest.raises(ValueError, match="must be raw examples with `naive_bayes`.*Dataset"):
        task.fit(endless, steps_per_epoch=1, verbose=0)
    task.head.counts.adapt(batches.epoch().as_numpy_iterator())
    counted = np.asarray(task.head.counts.ratios)
    task.fit(endless, steps_per_epoch=1, verbose=0)
    np.testing.assert_array_equal(task.head.counts.ratios, counted)


def test_every_form_of_the_same_examples_is_the_same(trained, tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text("".join(f"{text}\t{label}\n" for text, label in ROWS))
    numbers = [(text, ("negative", "positive").index(label)) for text, label in ROWS]
    dataset = tf.data.Dataset.from_tensor_slices(tuple(map(list, zip(*numbers, strict=True))))
    forms = [ROWS, str(path), path, numbers, dataset.batch(7)]
    forms += [[{"text": text, "label": label} for text, label in ROWS]]
    found = []
    for form in forms:
        batches = trained.batches(form, training=True, **OPTIONS)
        found.append([y.tolist() for _, y, _ in batches.epoch(1).as_numpy_iterator()])
    assert all(each == found[0] for each in found)


def test_classes_are_weighted(tokenizer):
    task = make(tokenizer)
    rows = [("a", "positive")] * 3 + [("b", "negative")]

    def weights(given):
        batches = task.batches(rows, training=True, class_weight=given)
        ((_, y, weight),) = batches.epoch(0).as_numpy_iterator()
        return dict(zip(y.tolist(), weight.tolist(), strict=True))

    assert weights({"negative": 3.0}) == weights({0: 3.0}) == {0: 3.0, 1: 1.0}
    assert weights("balanced") == pytest.approx({0: 2.0, 1: 2 / 3})
    several = make(tokenizer, multi_label=True)
    batches = several.batches(rows, training=True, class_weight="balanced")
    assert batches.weights.tolist() == pytest.approx([3.0, 1 / 3])


def fitted_eagerly(task):
    """Which weights of encoder and head an epoch has changed."""
    task.compile(default_optimizer(1e-2, 1, 10), run_eagerly=True)
    weights = [*task.model.weights, *task.head.weights]
    before = [np.array(weight) for weight in weights]
    task.fit(ROWS[:6], epochs=1, data_options=OPTIONS, verbose=0)
    return {
        weight.path
        for weight, value in zip(weights, before, strict=True)
        if np.abs(np.array(weight) - value).max() > 0
    }


def test_a_frozen_encoder_stays_as_it_is(tokenizer):
    task = make_bert(tokenizer)
    task.model.trainable = False
    assert fitted_eagerly(task) == {weight.path for weight in task.head.weights}


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_pooler_is_read_by_the_pooling_it_was_made_for_and_else_left_alone(tokenizer, pooling):
    task = make_bert(tokenizer, pooling=pooling)
    assert (task.model.pooler.kernel.path in fitted_eagerly(task)) == (pooling == "first")
    (x, _, _) = next(iter(task.batches(ROWS, training=False).epoch(0)))
    hidden = task.model(x)
    pooled = task.model.pooled(hidden) if pooling == "first" else None
    expected = task.head(hidden, x["padding_mask"], pooled=pooled)
    np.testing.assert_allclose(task(x), expected, atol=1e-6)


@pytest.mark.slow
def test_training_in_bfloat16_keeps_float32_weights(tokenizer):
    task = make(tokenizer, dtype="mixed_bfloat16", pooling="attention", dropout=0.0)
    task.compile(default_optimizer(1e-2, 1, 60), label_smoothing=0.1)
    history = task.fit(ROWS, epochs=6, data_options=OPTIONS, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert isinstance(task.head.pooling, AttentionPooling)
    assert {weight.dtype for weight in task.weights if "seed" not in weight.path} == {"float32"}


def test_defaults_of_compile_can_be_changed(tokenizer):
    task = make(tokenizer)
    task.compile(label_smoothing=0.2)
    assert isinstance(task.loss, SmoothedCrossEntropy)
    assert task.loss.label_smoothing == 0.2
    rate = default_optimizer(2e-3, 10, 110)._learning_rate
    assert [float(rate(step)) for step in (0, 10, 60, 110)] == pytest.approx([0, 2e-3, 1e-3, 0])
    averaged = default_optimizer(ema=0.99, weight_decay=0.3).get_config()
    assert (averaged["use_ema"], averaged["ema_momentum"]) == (True, 0.99)
    assert averaged["weight_decay"] == 0.3
    slower = default_optimizer(depths=depths(task.parts), layer_decay=0.8, ema=0.9)
    assert isinstance(slower, LayerwiseAdamW)
    assert (slower.layer_decay, slower.top, slower.use_ema) == (0.8, 1, True)


# answers


def test_a_text_is_answered_with_its_label(trained):
    assert trained("a fine film") == "positive"
    assert trained(["这部电影很差。", "a fine film"]) == ["negative", "positive"]
    rows = [(text, "nothing") for text, _ in ROWS[:6]]
    expected = [label for _, label in ROWS[:6]]
    assert trained(rows) == trained.predict(rows) == expected
    assert trained.predict([{"text": text} for text, _ in ROWS[:6]]) == expected
    assert trained.predict([text for text, _ in ROWS[:6]]) == expected
    assert trained([]) == trained.classify([]) == []
    for text in ("一部好片", b"a fine film"):
        with pytest.raises(ValueError, match="`texts` must be a list of texts. Received: "):
            trained.classify(text)


def test_an_answer_says_how_sure_it_is(trained):
    found = trained.classify(TRICKY)
    assert trained.answers(TRICKY) == found
    for answer in found:
        assert sorted(answer) == ["label", "probabilities", "score", "truncated"]
        assert answer["score"] == max(answer["probabilities"])
        assert answer["label"] == trained.labels[np.argmax(answer["probabilities"])]
    assert [answer["truncated"] for answer in found] == [len(text) > 38 for text in TRICKY]
    alone = [trained.classify([text])[0]["score"] for text in TRICKY]
    np.testing.assert_allclose(alone, [answer["score"] for answer in found], atol=1e-5)


def test_logits_of_arrays_are_predicted_as_keras_does(trained):
    (x, y, _) = next(iter(trained.batches(ROWS[:6], training=False).epoch(0)))
    logits = trained.predict({name: value.numpy() for name, value in x.items()}, verbose=0)
    np.testing.assert_array_equal(logits.argmax(axis=1), y)
    np.testing.assert_allclose(trained(x), logits, atol=1e-5)


# several labels, pairs


@pytest.mark.slow
def test_several_labels_are_learned(tokenizer):
    rows = [
        ("a film", ["film"]),
        ("a film and a dog", ["dog", "film"]),
        ("a dog", ["dog"]),
        ("电影", {"film"}),
        ("nothing", []),
    ] * 8
    task = make(tokenizer, ("dog", "film"), multi_label=True, dropout=0.0)
    task.compile(default_optimizer(1e-2, 5, 150))
    history = task.fit(rows, epochs=25, class_weight="balanced", data_options=OPTIONS, verbose=0)
    assert history.history["accuracy"][-1] == 1.0
    assert sorted(task("a film and a dog")) == ["dog", "film"]
    assert task(["a dog", "电影", "nothing"]) == [["dog"], ["film"], []]


@pytest.fixture(scope="module")
def several(tokenizer):
    """A task of any number of labels, which are above the threshold in about every other case."""
    task = make(tokenizer, list("xyz"), multi_label=True)
    scores = [score for answer in task.classify(UNLIKE) for score in answer["probabilities"]]
    return make(tokenizer, list("xyz"), multi_label=True, threshold=float(np.median(scores)))


def test_several_labels_are_answered_and_saved(several, tmp_path):
    task, found = several, several.classify(UNLIKE)
    for answer, labels in zip(found, task(UNLIKE), strict=True):
        above = [label for label in answer["labels"] if label]
        assert labels == above and answer["label"] == (above or [""])[0]
        assert sorted(above) == [
            label
            for label, score in zip("xyz", answer["probabilities"], strict=True)
            if score >= task.threshold
        ]
    task.save_pretrained(tmp_path / "task")
    assert Task.from_pretrained(tmp_path / "task").classify(UNLIKE) == found


@pytest.mark.slow
def test_several_labels_are_served(several, tmp_path):
    loaded = tf.saved_model.load(str(several.export(tmp_path / "topics")))
    served = loaded.signatures["serving_default"](text=tf.constant(UNLIKE))["labels"].numpy()
    assert [[label.decode() for label in row] for row in served] == [
        answer["labels"] for answer in several.classify(UNLIKE)
    ]


PAIRS = [(a, b) for a in "xyz" for b in ("x", "电影", "")]


@pytest.fixture(scope="module")
def matcher(tokenizer):
    """A task of pairs with segments, untrained."""
    return make_bert(tokenizer, ("other", "same"), pairs=True)


def test_pairs_are_classified_and_saved(matcher, tmp_path):
    task, pairs, found = matcher, PAIRS, matcher.classify(PAIRS)
    rows = [(a, b, "same" if a == b else "other") for a, b in PAIRS]
    assert "segment_ids" in next(iter(task.batches(rows, training=True).epoch(0)))[0]
    turned = task.classify([pair[::-1] for pair in pairs])
    assert [answer["score"] for answer in found] != [answer["score"] for answer in turned]
    answers = [answer["label"] for answer in found]
    assert task(pairs) == task.predict(rows) == answers
    assert task(pairs[0]) == answers[0]
    assert task([{"text": a, "text_pair": b} for a, b in pairs]) == answers
    task.save_pretrained(tmp_path / "task")
    assert SentimentAnalysis.from_pretrained(tmp_path / "task").classify(pairs) == found
    with pytest.raises(ValueError, match="`examples` must have text and text_pair. Received: fine"):
        task("fine")


@pytest.mark.slow
def test_pairs_are_served(matcher, tmp_path):
    found = matcher.classify(PAIRS)
    loaded = tf.saved_model.load(str(matcher.export(tmp_path / "pairs")))
    texts, others = (tf.constant(side) for side in zip(*PAIRS, strict=True))
    served = loaded.signatures["serving_default"](text=texts, text_pair=others)
    assert [label.decode() for label in served["label"].numpy()] == [
        answer["label"] for answer in found
    ]
    np.testing.assert_allclose(served["score"], [each["score"] for each in found], atol=1e-5)


@pytest.mark.slow
def test_pairs_are_learned(tokenizer):
    words = ["fine", "dull", "电影"]
    rows = [(a, b, "same" if a == b else "other") for a in words for b in words] * 6
    task = make_bert(tokenizer, ("other", "same"), pairs=True)
    task.compile(default_optimizer(1e-2, 5, 400))
    task.fit(rows, epochs=60, data_options=OPTIONS, class_weight="balanced", verbose=0)
    assert task.predict(rows[:9]) == [label for *_, label in rows[:9]]


# construction and saving


def test_a_task_is_made_from_texts(tokenizer):
    task = SentimentAnalysis.from_texts(
        ROWS, vocab_size=320, algorithm="char", changes=SIZES, max_length=30
    )
    assert task.labels == ("negative", "positive")
    assert (task.pooling, task.dropout, task.max_length) == ("max", 0.5, 30)
    assert task.model.config.vocab_size == task.tokenizer.vocab_size
    pairs = [("a", "b", "no"), ("c", "d", "maybe"), ("e", "f", "yes")]
    other = SentimentAnalysis.from_texts(
        pairs,
        "transformer_encoder/tiny",
        labels=["yes", "maybe", "no"],
        pairs=True,
        vocab_size=300,
        algorithm="char",
        changes={"hidden_dim": 12, "ffn_dim": 20, "num_layers": 1},
    )
    assert (other.labels, other.pooling) == (("yes", "maybe", "no"), "mean")
    assert other(("a", "b")) in other.labels


def test_arguments_that_fit_nothing_are_refused(tokenizer):
    with pytest.raises(TypeError, match="`model` must be an Encoder. Received: GPT2"):
        SentimentAnalysis(GPT2(GPT2Config()), tokenizer)
    for labels in (["a"], ["a", "a"], ["a", ""], "ab"):
        with pytest.raises(ValueError, match="`labels` must be at least 2 different names"):
            make(tokenizer, labels)
    assert make(tokenizer, ["a"], multi_label=True).labels == ("a",)
    with pytest.raises(ValueError, match="`threshold` must be between 0 and 1.*threshold=1.0"):
        make(tokenizer, threshold=1.0)
    with pytest.raises(ValueError, match="`naive_bayes` must not be negative. Received: -1.0"):
        make(tokenizer, naive_bayes=-1.0)
    with pytest.raises(ValueError, match="`max_length` must be at least 3.*max_length=2"):
        make(tokenizer, max_length=2)
    with pytest.raises(ValueError, match="`max_length` must be from 3 to the model's 32.*=33"):
        make_bert(tokenizer, max_length=33)
    assert make_bert(tokenizer).max_length == 32
    bare = BytePairTokenizer.train(["a b"], 258, roles={})
    with pytest.raises(ValueError, match="`tokenizer` must have one of cls, bos, sep and eos"):
        make(bare)


def test_what_is_saved_is_read_again(trained, tmp_path):
    trained.save_pretrained(tmp_path / "task")
    trained.save(tmp_path / "task.keras")
    loaded = [
        Task.from_pretrained(tmp_path / "task"),
        keras.saving.load_model(tmp_path / "task.keras"),
    ]
    expected = trained.classify(TRICKY)
    for task in loaded:
        assert type(task) is SentimentAnalysis
        assert task.settings() == trained.settings()
        assert task.classify(TRICKY) == expected
    assert json.loads((tmp_path / "task" / "task.json").read_text())["settings"]["labels"] == [
        "negative",
        "positive",
    ]


def test_any_saved_encoder_is_a_beginning(tokenizer, tmp_path):
    first = make_bert(tokenizer)
    first.save_pretrained(tmp_path / "task")
    encoder = Task.from_pretrained(tmp_path / "task").model
    task = SentimentAnalysis(encoder, tokenizer, ["good", "bad", "neither"])
    assert task("a film") in task.labels
    np.testing.assert_array_equal(task.model.get_weights()[0], first.model.get_weights()[0])


# export

SERVED = """
import json, sys
import tensorflow as tf, tensorflow_text

directory, texts = json.load(sys.stdin)
serve = tf.saved_model.load(directory).signatures["serving_default"]
found = {k: v.numpy().tolist() for k, v in serve(text=tf.constant(texts)).items()}
found["label"] = [label.decode() for label in found["label"]]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_a_process_that_knows_tensorflow_alone_answers_the_same(trained, exported):
    done = subprocess.run(
        [sys.executable, "-c", SERVED],
        input=json.dumps([str(exported), TRICKY]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found, ours = json.loads(done.stdout), trained.classify(TRICKY)
    for name in ("label", "truncated"):
        assert found[name] == [answer[name] for answer in ours]
    for name in ("score", "probabilities"):
        np.testing.assert_allclose(found[name], [answer[name] for answer in ours], atol=1e-4)


def test_the_card_says_what_it_is_and_how_good(exported):
    card = json.loads((exported / "assets.extra" / "model_card.json").read_text())
    assert card["task"] == "SentimentAnalysis"
    assert card["model"]["labels"] == ["negative", "positive"]
    assert card["limits"] == {"max_length": 40}
    scores = {score["name"]: score["value"] for score in card["evaluation"]["scores"]}
    assert scores["accuracy"] == 1.0


def test_a_task_that_falls_short_is_not_exported(trained, tmp_path):
    wrong = ([text for text, _ in ROWS[:6]], ["positive", "negative"] * 3)
    with pytest.raises(RequirementsNotMet, match="accuracy"):
        trained.export(tmp_path / "films", evaluate_on=wrong, require=["accuracy>=0.9"])
    assert not (tmp_path / "films").exists()


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"freeze": True}], ids=str)
def test_a_task_is_exported_in_other_forms(trained, tmp_path, options):
    path = trained.export(tmp_path / "films", **options)
    loaded = tf.saved_model.load(str(path))
    found = loaded.signatures["serving_default"](text=tf.constant(TRICKY[:5]))
    ours = [answer["score"] for answer in trained.classify(TRICKY[:5])]
    atol = 0.1 if "dtype" in options else 1e-4
    np.testing.assert_allclose(found["score"], ours, atol=atol)
