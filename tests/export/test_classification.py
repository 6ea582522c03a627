import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import models
from tflm.data import open_table
from tflm.export import TextClassifier
from tflm.layers import ClassificationHead
from tflm.tasks import SentimentAnalysis
from tflm.tokenizers import SentencePieceTokenizer, WordPieceTokenizer

LABELS = ("negative", "positive", "中立")
LINES = ["two dogs and a cat", "公园很大。", "six seven eight"] * 3
# What people and machines send; more texts than any batch that is served at once.
TRICKY = [
    b"two dogs",
    b"",
    b" \t\n ",
    b"\xff\xfe two",
    b"a\xc3",
    "😀👩‍👩‍👧 e\u0301\u200b".encode(),
    "公园很大。".encode(),
    b"two dogs and a cat six seven eight two",
    b"two dogs " * 5556,  # 50,000 characters
    "公".encode() * 50_000,
    b"[SEP] </s> <s> [CLS]",
    b"\x00 two \x00",
    "\ufeffTwo\u3000Dogs\u00a0\u2028".encode(),
    "ＴＷＯ ｄｏｇｓ".encode(),
    "مرحبا שלום".encode(),
    b"'\"\\n{}[]<br/>&amp;",
]


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(LINES, 310)


@pytest.fixture(scope="module")
def make_classifier(tokenizer):
    """A function that gives a `TextClassifier` with weights that are all random."""

    def make(name="bert", tokenizer=tokenizer, dtype="float32", **options):
        keras.utils.set_random_seed(3)
        sizes = {"vocab_size": tokenizer.vocab_size, "hidden_dim": 12}
        if name == "bert":
            sizes |= {"ffn_dim": 20, "num_heads": 3, "num_layers": 1, "pooler": False}
        model = models.ARCHITECTURES[name](models.ARCHITECTURES[name].Config(**sizes), dtype=dtype)
        model.build(None)
        head = ClassificationHead(12, len(LABELS), "max", dtype=model.dtype_policy)
        head.build(None)
        random = np.random.default_rng(0)
        for weight in (*model.weights, *head.weights):
            weight.assign(random.normal(0.0, 0.7, weight.shape))

        def hidden(inputs):
            return model.call(inputs, training=False)

        def logits(hidden, inputs):
            return head(hidden, inputs["padding_mask"], training=False)

        options = {"max_length": 16, **options}
        weights = [*model.weights, *head.weights]
        return TextClassifier(hidden, logits, weights, tokenizer, LABELS, **options)

    return make


def columns(found):
    return {name: value.numpy() for name, value in found.items()}


def assert_equal(found, expected, atol=1e-5):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if value.dtype == object or value.dtype == bool:
            assert found[name].tolist() == value.tolist(), name
        else:
            np.testing.assert_allclose(found[name], value, atol=atol, err_msg=name)


def test_the_label_is_the_likeliest_and_probabilities_are_in_the_labels_order(make_classifier):
    found = columns(make_classifier().classify(tf.constant(TRICKY)))
    assert sorted(found) == ["label", "probabilities", "score", "truncated"]
    assert found["probabilities"].shape == (len(TRICKY), 3)
    assert found["probabilities"].dtype == found["score"].dtype == np.float32
    np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1.0, atol=1e-5)
    best = found["probabilities"].argmax(axis=1)
    assert [label.decode() for label in found["label"]] == [LABELS[i] for i in best]
    np.testing.assert_array_equal(found["score"], found["probabilities"].max(axis=1))
    assert len(set(best)) > 1


@pytest.mark.parametrize("name", ["bert", "text_cnn", "lstm_encoder"])
def test_a_text_is_answered_in_any_batch_as_alone(make_classifier, name):
    serve = make_classifier(name).signatures()["serving_default"]
    texts = (TRICKY * 5)[:64]
    whole = columns(serve(tf.constant(texts)))
    for size in (0, 1, 7):
        part = columns(serve(tf.constant(texts[3 : 3 + size], tf.string)))
        assert {value.shape[0] for value in part.values()} == {size}
        assert_equal(part, {key: value[3 : 3 + size] for key, value in whole.items()})


def test_a_saved_model_answers_the_same(make_classifier, tmp_path):
    module = make_classifier()
    tf.saved_model.save(module, str(tmp_path), signatures=module.signatures())
    loaded = tf.saved_model.load(str(tmp_path))
    found = columns(loaded.signatures["serving_default"](text=tf.constant(TRICKY)))
    assert_equal(found, columns(module.classify(tf.constant(TRICKY))))


def test_frozen_weights_give_the_same(make_classifier):
    texts = tf.constant(TRICKY)
    frozen = make_classifier(freeze=True)
    serve = frozen.signatures()["serving_default"]
    assert_equal(columns(serve(texts)), columns(make_classifier().classify(texts)))
    assert {variable.name.rpartition("/")[2] for variable in frozen._variables} == {"embeddings:0"}


def test_a_text_that_is_too_long_is_cut_and_says_so(make_classifier, tokenizer):
    found = columns(make_classifier(max_length=6).classify(tf.constant(TRICKY)))
    lengths = tokenizer.tokenize(tf.constant(TRICKY)).row_lengths().numpy()
    assert found["truncated"].tolist() == (lengths > 4).tolist()
    assert 0 < found["truncated"].sum() < len(TRICKY)
    ids = tokenizer.tokenize([TRICKY[7]]).to_list()[0][:4]
    (inputs, _) = make_classifier(max_length=6)._inputs(tf.constant([TRICKY[7]]), None)
    assert inputs["token_ids"].numpy().tolist() == [[tokenizer.bos_id, *ids, tokenizer.eos_id]]


def test_several_labels_are_those_above_the_threshold_likeliest_first(make_classifier):
    single = make_classifier().classify(tf.constant(TRICKY))
    module = make_classifier(threshold=0.6)
    serve = module.signatures()["serving_default"]
    found = columns(serve(tf.constant(TRICKY)))
    assert found["labels"].shape == found["probabilities"].shape == (len(TRICKY), 3)
    counts = set()
    for label, score, probabilities, labels in zip(
        found["label"], found["score"], found["probabilities"], found["labels"], strict=True
    ):
        order = np.argsort(-probabilities, kind="stable")
        chosen = [LABELS[i] for i in order if probabilities[i] >= 0.6]
        assert [each.decode() for each in labels] == [*chosen, *[""] * (3 - len(chosen))]
        assert label.decode() == (chosen[0] if chosen else "")
        assert score == probabilities.max()
        counts.add(len(chosen))
    assert len(counts) > 1
    logits = np.log(single["probabilities"].numpy())
    sigmoids = np.log(found["probabilities"] / (1 - found["probabilities"]))
    np.testing.assert_allclose(logits - logits[:, :1], sigmoids - sigmoids[:, :1], atol=1e-3)


def test_pairs_are_two_strings_and_two_segments(make_classifier):
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "two", "dogs", "a", "cat"]
    wordpiece = WordPieceTokenizer(vocabulary)
    module = make_classifier(tokenizer=wordpiece, pairs=True, segments=True, max_length=9)
    serve = module.signatures()["serving_default"]
    texts, others = tf.constant(["two dogs", "", "a cat"]), tf.constant(["a cat", "two", ""])
    found = columns(serve(text=texts, text_pair=others))
    turned = columns(serve(text=others, text_pair=texts))
    assert np.abs(found["probabilities"] - turned["probabilities"]).max() > 1e-3
    inputs, _ = module._inputs(texts, others)
    assert inputs["token_ids"][0].numpy().tolist() == [2, 4, 5, 3, 6, 7, 3]
    assert inputs["segment_ids"][0].numpy().tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert {value.shape[0] for value in serve(text=texts[:0], text_pair=others[:0]).values()} == {0}


def test_half_precision_answers_in_float32(make_classifier):
    texts = tf.constant(TRICKY)
    found = columns(make_classifier(dtype="bfloat16").classify(texts))
    assert {found[name].dtype for name in ("score", "probabilities")} == {np.dtype("float32")}
    expected = columns(make_classifier().classify(texts))
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=0.1)


def test_tokens_and_vectors_are_those_that_the_network_has(make_classifier, tokenizer):
    module = make_classifier()
    functions = module.signatures()
    assert sorted(functions) == ["embed", "serving_default", "tokenize"]
    texts = tf.constant(TRICKY[:6])
    found = columns(functions["tokenize"](texts))
    lengths = tokenizer.tokenize(texts).row_lengths().numpy()
    assert found["length"].tolist() == lengths.tolist()
    vectors = functions["embed"](texts)["embedding"].numpy()
    inputs, _ = module._inputs(texts[:2], None)
    hidden = module._hidden(inputs).numpy()
    for row, mask in enumerate(inputs["padding_mask"].numpy()):
        np.testing.assert_allclose(vectors[row], hidden[row][mask].mean(axis=0), atol=1e-4)


@pytest.mark.parametrize("threshold", [None, 0.6])
def test_an_explanation_is_what_the_labels_log_odds_lose_without_a_token(
    make_classifier, threshold
):
    module = make_classifier(threshold=threshold, max_length=9)
    texts = tf.constant(["two dogs and", "公园很大。", ""])
    found = columns(module.explanation(texts))
    probabilities = columns(module.classify(texts))["probabilities"]
    best = probabilities.argmax(axis=1)
    assert [label.decode() for label in found["label"]] == [LABELS[i] for i in best]
    inputs, _ = module._inputs(texts, None)
    pieces = [[piece.decode() for piece in row if piece] for row in found["pieces"]]
    for row, (mask, label) in enumerate(zip(inputs["padding_mask"].numpy(), best, strict=True)):
        assert len(pieces[row]) == mask.sum()
        assert (pieces[row][0], pieces[row][-1]) == ("<s>", "</s>")
        assert not found["attribution"][row][[0, *np.flatnonzero(~mask), mask.sum() - 1]].any()
        for place in range(1, mask.sum() - 1):
            seen = np.arange(len(mask)) != place
            hidden = {**inputs, "padding_mask": inputs["padding_mask"] & seen}
            _, logits = module._network(hidden)
            odds = [
                np.log(p[label] / (1 - p[label]))
                for p in (
                    probabilities[row],
                    columns(module._labelled(logits))["probabilities"][row],
                )
            ]
            assert found["attribution"][row][place] == pytest.approx(odds[0] - odds[1], abs=2e-3)
    alone = columns(module.explanation(texts[1:2]))
    size = alone["attribution"].shape[1]
    np.testing.assert_allclose(alone["attribution"][0], found["attribution"][1, :size], atol=1e-3)


@pytest.mark.slow
def test_five_hundred_real_texts_are_answered_as_the_task_answers_them(shared_data, tmp_path):
    names = ("sst2/dev.tsv", "chnsenticorp/dev.tsv")
    texts = [text for name in names for text, _ in list(open_table(shared_data / name))[:250]]
    keras.utils.set_random_seed(4)
    rows = [(text, LABELS[i % 3]) for i, text in enumerate(texts)]
    sizes = {"embedding_dim": 24, "hidden_dim": 36}
    task = SentimentAnalysis.from_texts(
        rows, "text_cnn/base", algorithm="char", vocab_size=4000, changes=sizes, max_length=256
    )
    for weight in (*task.model.weights, *task.head.weights):
        weight.assign(1.5 * weight)
    expected = task.classify(texts)
    assert len({answer["label"] for answer in expected}) > 1
    assert 0 < sum(answer["truncated"] for answer in expected) < 100
    loaded = tf.saved_model.load(str(task.export(tmp_path / "real")))
    serve = loaded.signatures["serving_default"]
    for size in (0, 1, 7, 64):
        for start in range(0, 500 if size == 64 else 3 * size + 1, max(size, 1)):
            found = columns(serve(text=tf.constant(texts[start : start + size], tf.string)))
            ours = expected[start : start + size]
            assert [label.decode() for label in found["label"]] == [each["label"] for each in ours]
            assert found["truncated"].tolist() == [each["truncated"] for each in ours]
            for name in ("score", "probabilities"):
                wanted = np.array([each[name] for each in ours]).reshape(found[name].shape)
                np.testing.assert_allclose(found[name], wanted, atol=1e-4)
