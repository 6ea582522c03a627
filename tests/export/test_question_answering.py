import math
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.export import QuestionAnswerer, save
from tflm.export.question_answering import best_spans
from tflm.tokenizers import SentencePieceTokenizer
from tflm.tokenizers.passages import PassageReader

LINES = ["who wrote it in berlin ?", "ann and bob did .", "安 娜 在 北 京 写 了 它 。"] * 4
MOST = 7  # tokens of an answer
PAIRS = [
    ("Who?", "Ann and Bob wrote it in Berlin, 1990."),
    ("谁在北京?", "安娜在北京写了它。"),
    ("", "Bob did."),
    ("Who?", ""),
    ("Who?", " \n\t "),
    ("😀?", "😀 Ann\u0301 👩\u200d👩\u200d👧 wrote 它 ❤\ufe0f"),
    ("who wrote " * 20, "x\x00y z"),
]


@pytest.fixture(scope="module")
def reader():
    return PassageReader(SentencePieceTokenizer.train(LINES, 320), 60, 11, 9)


@pytest.fixture(scope="module")
def encoder(reader):
    """Logits that depend on a token and its place, and the weights they come from."""
    keras.utils.set_random_seed(3)
    initializer = keras.initializers.RandomNormal(stddev=2.0)
    embed = keras.layers.Embedding(reader.tokenizer.vocab_size, 5, initializer)
    dense = keras.layers.Dense(2)
    embed.build(None)
    dense.build((None, None, 5))

    def logits(inputs):
        places = tf.cast(tf.range(tf.shape(inputs["token_ids"])[1]), tf.float32)
        return dense(embed(inputs["token_ids"])) + tf.sin(places * places)[None, :, None]

    return logits, [*embed.weights, *dense.weights]


@pytest.fixture(scope="module")
def make(reader, encoder):
    def answerer(**options):
        return QuestionAnswerer(*encoder, reader, **{"max_answer_length": MOST, **options})

    return answerer


def answers(function, pairs, **kwargs):
    """Answers as rows, strings decoded."""
    sides = [[pair[i] for pair in pairs] for i in (0, 1)]
    found = function(*(tf.constant(side, tf.string) for side in sides), **kwargs)
    columns = {name: value.numpy().tolist() for name, value in found.items()}
    columns["answer"] = [text.decode() for text in columns["answer"]]
    assert {len(column) for column in columns.values()} == {len(pairs)}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def exhaustive(module, question, context):
    """Every span of every window: the best one, its log-odds, and the odds of all."""
    passages = module.reader.read([question], [context])
    logits = np.asarray(module._logits(passages.inputs), "float64")
    mask = passages.inputs["answer_mask"].numpy()
    starts, ends = passages.starts.numpy(), passages.ends.numpy()
    best, odds = (-math.inf, 0, 0), []
    for row in range(len(logits)):
        relative = logits[row] - logits[row, 0]
        places = [place for place in np.flatnonzero(mask[row]) if place]
        for first in places:
            for last in (place for place in places if first <= place < first + MOST):
                score = relative[first, 0] + relative[last, 1]
                odds.append(score)
                if score > best[0]:
                    best = score, int(starts[row, first]), int(ends[row, last])
    return best, math.fsum(math.exp(score) for score in odds)


def long_context(length, seed):
    generator = random.Random(seed)
    words = ["Ann", "bob", "wrote", "Berlin", "in", "安娜", "在北京", "。", "1990", "😀", "e\u0301"]
    text = ""
    while len(text) < length:
        text += generator.choice(words) + generator.choice(["", " ", " ", "\n"])
    return text[:length]


@pytest.mark.parametrize("length", [0, 1, 9, 130, 700, 3000, 20_000])
def test_the_answer_is_that_of_exhaustive_search_over_all_windows(make, length):
    module = make()
    context = long_context(length, length)
    (found,) = answers(module.answer, [("who wrote it?", context)])
    (score, start, end), total = exhaustive(module, "who wrote it?", context)
    assert (found["start"], found["end"]) == (start, end)
    assert found["answer"] == context[start:end]
    expected = math.exp(score) / total if total else 0.0
    assert found["score"] == pytest.approx(expected, abs=1e-4)


def test_windows_are_read_in_groups_with_the_same_result(make, monkeypatch):
    pairs = [("who?", long_context(length, length)) for length in (2000, 40, 900)]
    whole = answers(make().answer, pairs)
    monkeypatch.setattr("tflm.export.question_answering._TOKENS_AT_ONCE", 200)
    apart = answers(make().answer, pairs)
    for one, other in zip(whole, apart, strict=True):
        assert one.pop("score") == pytest.approx(other.pop("score"), abs=1e-5)
        assert one == other


def test_an_answer_is_a_slice_of_its_context(make):
    found = answers(make().answer, PAIRS)
    for (_, context), answer in zip(PAIRS, found, strict=True):
        assert answer["answer"] == context[answer["start"] : answer["end"]]
        assert bool(answer["answer"]) == bool(context.strip())
        assert 0.0 <= answer["score"] <= 1.0001
    assert [answer["truncated"] for answer in found] == [False] * 6 + [True]


def test_bytes_that_are_no_text_are_read_as_replacement_characters(make):
    context = b"Ann \xff\xfe wrote \xe4\xbd it"
    found = make().answer(tf.constant([b"\xff?"]), tf.constant([context]))
    start, end = int(found["start"][0]), int(found["end"][0])
    assert found["answer"].numpy()[0].decode() == context.decode(errors="replace")[start:end]


def test_no_answer_competes_with_all_spans_where_there_may_be_none(make):
    module = make(unanswerable=True, no_answer_threshold=1.0)
    for pair, found in zip(PAIRS, answers(module.answer, PAIRS), strict=True):
        (score, start, end), total = exhaustive(module, *pair)
        none = 1.0 / (1.0 + total)
        assert found["no_answer_probability"] == pytest.approx(none, abs=1e-4)
        if total:
            assert (found["start"], found["end"]) == (start, end)
            assert found["score"] == pytest.approx(math.exp(score) * none, abs=1e-4)
        else:
            assert (found["answer"], found["start"], found["end"]) == ("", 0, 0)
            assert found["score"] == found["no_answer_probability"] == 1.0


def test_the_threshold_decides_when_there_is_no_answer(make):
    module = make(unanswerable=True)
    probability = answers(module.answer, PAIRS)[0]["no_answer_probability"]
    for threshold, refused in ((probability + 1e-3, False), (probability - 1e-3, True)):
        answer = answers(module.answer, PAIRS[:1], threshold=threshold)[0]
        assert (answer["answer"] == "") == refused
        assert (answer["score"] == answer["no_answer_probability"]) == refused
        assert not refused or (answer["start"], answer["end"]) == (0, 0)


def test_the_best_span_is_the_first_of_equals_and_no_longer_than_allowed():
    logits = np.zeros((2, 9, 2), "float32")
    logits[0, 2, 0] = logits[0, 8, 1] = 5.0  # seven places apart
    logits[1, 3] = 1.0
    mask = np.ones((2, 9), bool)
    mask[1, 3] = False
    best, spans, totals = best_spans(tf.constant(logits), tf.constant(mask), 6)
    assert spans.numpy().tolist() == [[2, 2], [1, 1]]
    assert best.numpy().tolist() == [5.0, 0.0]
    # Seven places at most allow 6 + 5 + ... of the places 1 to 8, but for the hidden one.
    counts = sum(1 for i in range(1, 9) for j in range(i, min(i + 6, 9)) if 3 not in (i, j))
    assert float(totals[1]) == pytest.approx(math.log(counts), rel=1e-5)
    best, spans, _ = best_spans(tf.constant(logits), tf.constant(mask), 7)
    assert (spans.numpy()[0].tolist(), float(best[0])) == ([2, 8], 10.0)


def test_what_is_exported_answers_like_python(make, tmp_path):
    module = make(unanswerable=True)
    save(module, module.signatures(), tmp_path)
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    serve = loaded.signatures["serving_default"]
    assert sorted(serve.structured_input_signature[1]) == ["context", "question"]

    def served(question, context):
        return serve(question=question, context=context)

    pairs = [*PAIRS, *((q, long_context(50 * n, n)) for n in range(57) for q in ["who?"])]
    pairs.append(("who?", long_context(50_000, 1)))
    expected = answers(module.answer, pairs)
    for size in (0, 1, 7, len(pairs)):
        for one, other in zip(
            answers(served, pairs[-size:] if size else []), expected[-size:], strict=False
        ):
            for name in ("score", "no_answer_probability"):
                assert one.pop(name) == pytest.approx(other[name], abs=1e-4)
            assert one == {name: value for name, value in other.items() if name in one}


def test_frozen_weights_give_the_same(make):
    variables, constants = (
        make(freeze=freeze).signatures()["serving_default"] for freeze in (False, True)
    )
    assert answers(variables, PAIRS) == answers(constants, PAIRS)


def test_an_explanation_is_what_the_answers_log_odds_lose_without_a_token(make, reader):
    module = make()
    pairs = [*PAIRS[:5], ("who?", long_context(130, 3))]
    sides = [tf.constant([pair[i] for pair in pairs]) for i in (0, 1)]
    found = module.explanation(*sides)
    plain = module.answer(*sides)
    for name in ("answer", "start", "end", "score", "truncated"):
        np.testing.assert_array_equal(found[name], plain[name])
    pieces, context = found["pieces"].numpy(), found["in_context"].numpy()
    # The logits of this encoder depend on a token and its place alone: hiding one changes nothing.
    np.testing.assert_allclose(found["attribution"], 0.0, atol=1e-4)
    assert pieces.shape == context.shape == found["attribution"].shape
    spelled = b"".join(pieces[0][context[0]]).decode()
    assert spelled.replace(" ", "") == PAIRS[0][1].replace(" ", "")
    assert context[3].sum() == 0
    functions = module.offer("all").signatures()
    assert sorted(functions) == ["explain", "serving_default", "tokenize"]
    tokens = functions["tokenize"](text=tf.constant(["Ann, 安娜", ""]))
    assert b"".join(tokens["pieces"].numpy()[0]).decode().replace(" ", "") == "Ann,安娜"
    assert tokens["length"].numpy()[1] == 0
    assert functions["explain"](sides[0][:0], sides[1][:0])["attribution"].shape[0] == 0


def test_answers_longer_than_the_overlap_are_refused(make):
    with pytest.raises(ValueError, match=r"from 1 to `overlap`.*max_answer_length=12, overlap=11"):
        make(max_answer_length=12)
