import json
import math
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.eval import Perplexity
from tflm.generation import Beam, Greedy, Limits, Sample
from tflm.models.gpt2 import GPT2, Config
from tflm.tasks import CausalLM, Task
from tflm.tasks.causal_lm import default_optimizer
from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer

TEXTS = [
    "the cat sat on the mat.",
    "the dog ate the bone.",
    "公园很大。\n我喝茶。",
    "one two three four five six seven",
] * 20
OPTIONS = {"sequence_length": 32, "tokens_per_batch": 256}
PROMPTS = ["the", "", "公园", "one two", "the cat sat on", "one two three four five six " * 9, "😀"]
SIZES = {"hidden_dim": 24, "ffn_dim": 40, "num_heads": 3, "num_layers": 1, "max_length": 32}
RATES = {"dropout": 0.0, "attention_dropout": 0.0, "embedding_dropout": 0.0}
SHORT = Limits(max_length=12)


def make(tokenizer, seed=1, dtype=None, **kwargs):
    keras.utils.set_random_seed(seed)
    return CausalLM(
        GPT2(Config(tokenizer.vocab_size, **SIZES, **RATES), dtype=dtype), tokenizer, **kwargs
    )


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(TEXTS, 320)


@pytest.fixture(scope="module")
def trained(tokenizer):
    """A task that has learned its texts by heart. Do not train it further."""
    task = make(tokenizer, strategy=Greedy(), limits=SHORT)
    task.compile(default_optimizer(2e-2, 10, 120))
    options = {"validation_data": TEXTS[:4], "validation_freq": 25, "data_options": OPTIONS}
    task.fit(TEXTS, epochs=25, **options, verbose=0)
    return task


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    return trained.export(tmp_path_factory.mktemp("exported") / "lines")


def log_softmax(logits):
    shifted = logits.astype("float64") - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def direct_score(task, text, context=""):
    """The sum over the tokens of a text, from the network's logits alone; and how many they are."""
    ids = [task.begin_id, *task.tokenizer.tokenize([context + text]).to_list()[0]]
    if len(ids) == 1:
        return 0.0, 0
    skipped = len(task.tokenizer.tokenize([context.rstrip()]).to_list()[0])
    inputs = {"token_ids": np.array([ids[:-1]]), "padding_mask": np.ones((1, len(ids) - 1), bool)}
    log_probs = log_softmax(np.asarray(task.model(inputs)))[0]
    picked = [log_probs[i, id_] for i, id_ in enumerate(ids[1:])][skipped:]
    return sum(picked), len(picked)


# fit


def test_the_loss_falls_and_is_the_logarithm_of_the_perplexity(trained):
    history = trained.history.history
    assert history["loss"][-1] < 0.1 * history["loss"][0]
    assert history["val_loss"][-1] < 0.3
    assert history["perplexity"][-1] == pytest.approx(math.exp(history["loss"][-1]), rel=1e-2)


@pytest.mark.parametrize(
    "context, learned, other",
    [
        ("one two", " three four five", " five three four"),
        ("the cat sat on", " the mat.", " mat the."),
        ("公园很大。", "\n我喝茶。", "\n茶喝我。"),
    ],
)
def test_texts_that_were_learned_are_likelier_than_others(trained, context, learned, other):
    scores = [direct_score(trained, context + text)[0] for text in (learned, other)]
    assert scores[0] > scores[1] + 2.0


def test_documents_of_a_row_do_not_see_each_other(tokenizer):
    task = make(tokenizer)
    (x, y, weight) = next(iter(task.batches(TEXTS[:3], training=False, **OPTIONS).epoch(0)))
    logits = np.asarray(task(x))
    segments, row = x["segment_ids"].numpy(), int(np.argmax(x["segment_ids"].numpy().max(axis=1)))
    for number in range(1, segments[row].max() + 1):
        inside = segments[row] == number
        ids = x["token_ids"].numpy()[row][inside][None]
        alone = task.model({"token_ids": ids, "padding_mask": np.ones_like(ids, bool)})
        np.testing.assert_allclose(logits[row][inside], alone[0], atol=1e-4)
    assert segments[row].max() > 1
    assert weight.shape == y.shape


@pytest.mark.slow
def test_training_in_bfloat16_keeps_float32_weights(tokenizer):
    task = make(tokenizer, dtype="mixed_bfloat16")
    task.compile()
    history = task.fit(TEXTS, epochs=3, data_options=OPTIONS, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert {weight.dtype for weight in task.model.weights} == {"float32"}


@pytest.mark.slow
def test_a_continuous_text_is_learned_without_ends():
    text = "To be,\nor not to be.\n公园很大。\n" * 30
    task = CausalLM.from_texts(
        text.splitlines(),
        "lstm_lm/small",
        vocab_size=500,
        algorithm="char",
        changes={"hidden_dim": 32, "num_layers": 1},
        continuous=True,
        strategy=Greedy(),
        limits=Limits(max_length=20),
    )
    task.compile(default_optimizer(3e-2, 10, 200))
    options = {"sequence_length": 40, "tokens_per_batch": 240}
    task.fit([text], epochs=30, data_options=options, verbose=0)
    assert task.begin_id == task.tokenizer.tokenize(["\n"]).to_list()[0][0]
    assert task("To be,\n").startswith("or not to be.\n公园")
    assert task("").startswith("To be,\nor not to be")


def test_the_default_optimizer_warms_up_and_decays_to_a_tenth():
    optimizer = default_optimizer(2e-3, warmup_steps=10, total_steps=110, beta_2=0.95)
    rate = optimizer._learning_rate
    assert float(rate(0)) == 0
    assert float(rate(10)) == pytest.approx(2e-3)
    assert float(rate(60)) == pytest.approx(1.1e-3)
    assert float(rate(110)) == float(rate(999)) == pytest.approx(2e-4)
    config = optimizer.get_config()
    assert (config["weight_decay"], config["beta_2"], config["global_clipnorm"]) == (0.1, 0.95, 1.0)


# generation


@pytest.mark.parametrize("strategy", [Greedy(), Beam(num_beams=3), Sample(top_p=0.9)], ids=str)
def test_prompts_of_all_lengths_are_continued_as_if_alone(trained, strategy):
    together = trained.n_best(PROMPTS, strategy=strategy, seed=7)
    for i, prompt in enumerate(PROMPTS):
        alone = trained.n_best([prompt], strategy=strategy, seed=7 + i)
        assert alone["text"][0] == together["text"][i]
        np.testing.assert_allclose(alone["score"][0], together["score"][i], atol=1e-4)
        assert alone["finished"][0] == together["finished"][i]
    assert together["truncated"] == [False] * 5 + [True, False]


def test_a_seed_repeats_a_sample_and_no_seed_does_not(trained):
    wild = Sample(temperature=4.0)
    texts = [trained.generate(["the"] * 3, strategy=wild, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert texts[0][1:] == texts[2][:2]  # prompt number i has seed + i
    assert trained("the", strategy=wild) != trained("the", strategy=wild)


def test_the_length_asked_for_is_kept(trained):
    (whole,), (short,) = trained.generate(["one"]), trained.generate(["one"], max_length=3)
    assert whole.startswith(short)
    assert 0 < len(short) < len(whole)
    with pytest.raises(
        ValueError, match="`max_length` must be less than the model's 32 .*max_length=32"
    ):
        trained.generate(["one"], max_length=32)


def test_several_hypotheses_come_best_first(trained):
    found = trained.n_best(PROMPTS[:5], strategy=Beam(num_beams=3, num_return=3))
    assert all(len(set(texts)) == 3 for texts in found["text"])
    assert all(scores == sorted(scores, reverse=True) for scores in found["score"])


def test_nothing_is_continued_with_nothing(trained):
    assert trained([]) == []
    names = {"text": [], "score": [], "finished": [], "truncated": []}
    assert trained.n_best([]) == names
    assert trained.score([]) == []


# scores


def test_a_score_is_the_sum_of_the_network_s_log_probabilities(trained):
    texts = ["the cat sat on the mat.", "the", "公园很大。", "", "zebra 😀"]
    expected = [direct_score(trained, text) for text in texts]
    found = trained.score_tokens(texts)
    np.testing.assert_allclose(trained.score(texts), [each[0] for each in expected], atol=1e-3)
    assert found["num_tokens"] == [each[1] for each in expected]


def test_a_context_is_read_and_not_counted(trained):
    contexts = ["the cat sat on the", "one two three ", "", "公园", "the", " "]
    texts = [" mat.", "four", "the", "很大。", "", "the"]
    expected = [direct_score(trained, *pair) for pair in zip(texts, contexts, strict=True)]
    found = trained.score_tokens(texts, contexts)
    np.testing.assert_allclose(found["log_probability"], [each[0] for each in expected], atol=1e-3)
    assert found["num_tokens"] == [each[1] for each in expected]
    assert found["is_greedy"][:2] == [True, True]


def test_a_text_longer_than_the_network_is_read_in_windows(trained):
    text = "one two three four five six seven the cat sat on the mat. " * 5
    ids = [trained.begin_id, *trained.tokenizer.tokenize([text]).to_list()[0]]
    total, size = 0.0, 32
    for first in range(0, len(ids) - 1, size):
        end = min(first + size, len(ids) - 1)
        start = max(end - size, 0)
        inputs = {"token_ids": np.array([ids[start:end]]), "padding_mask": np.ones((1, size), bool)}
        log_probs = log_softmax(np.asarray(trained.model(inputs)))[0]
        total += sum(log_probs[i - start, ids[i + 1]] for i in range(first, end))
    found = trained.score_tokens([text, "the"])
    assert found["log_probability"][0] == pytest.approx(total, abs=1e-2)
    assert found["num_tokens"][0] == len(ids) - 1 > 3 * size


def test_likelihoods_are_what_perplexity_is_made_of(trained):
    texts = TEXTS[:4]
    found = trained.likelihoods(texts)
    score = Perplexity().score(found, texts)
    tokens = sum(likelihood.num_tokens for likelihood in found)
    assert score.value == pytest.approx(math.exp(-sum(trained.score(texts)) / tokens), rel=1e-5)


# construction and saving


def test_other_tokenizers_begin_with_what_they_have(tokenizer):
    gpt2 = BytePairTokenizer.train(TEXTS, 262, roles={"bos": "<|end|>", "eos": "<|end|>"})
    task = make(gpt2, strategy=Greedy(), limits=SHORT)
    assert task.begin_id == task.end_id == gpt2.eos_id
    assert len(task(PROMPTS)) == len(PROMPTS)
    bare = make(BytePairTokenizer.train(TEXTS, 258, roles={}))
    assert bare.end_id is None
    with pytest.raises(ValueError, match="`tokenizer` must have a `bos_id` or an `eos_id`"):
        bare.score(["a"])
    open_end = make(bare.tokenizer, continuous=True, limits=Limits(max_length=3))
    assert all(text for text in open_end.generate(PROMPTS, strategy=Beam(num_beams=2)))


def test_a_model_that_is_no_decoder_is_refused(tokenizer):
    with pytest.raises(TypeError, match="`model` must be a Decoder. Received: Sequential"):
        CausalLM(keras.Sequential(), tokenizer)


def test_a_row_longer_than_the_network_is_refused(trained):
    with pytest.raises(ValueError, match="`sequence_length` must be at most the model's 32.*=33"):
        trained.batches(TEXTS, training=True, sequence_length=33)


def test_what_is_saved_is_read_again(trained, tmp_path):
    trained.save_pretrained(tmp_path / "task")
    trained.save(tmp_path / "task.keras")
    loaded = [
        Task.from_pretrained(tmp_path / "task"),
        keras.saving.load_model(tmp_path / "task.keras"),
    ]
    for task in loaded:
        assert type(task) is CausalLM
        assert task.settings() == trained.settings()
        assert task.tokenizer.model == trained.tokenizer.model
        for ours, theirs in zip(task.get_weights(), trained.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert loaded[0](PROMPTS) == trained(PROMPTS)
    np.testing.assert_array_equal(loaded[1].score(PROMPTS), trained.score(PROMPTS))


# export

SERVED = """
import json, sys
import tensorflow as tf, tensorflow_text

directory, texts = json.load(sys.stdin)
signatures = tf.saved_model.load(directory).signatures
texts = tf.constant([text.encode("utf-8", "surrogateescape") for text in texts], tf.string)
found = {name: {k: v.numpy().tolist() for k, v in signatures[name](text=texts).items()}
         for name in ("serving_default", "score")}
found["serving_default"]["text"] = [text.decode() for text in found["serving_default"]["text"]]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_a_process_that_knows_tensorflow_alone_answers_the_same(trained, exported):
    texts = [*PROMPTS, " \t", "the " * 700]
    done = subprocess.run(
        [sys.executable, "-c", SERVED],
        input=json.dumps([str(exported), texts]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    ours = trained.n_best(texts)
    assert found["serving_default"]["text"] == [each[0] for each in ours["text"]]
    np.testing.assert_allclose(
        found["serving_default"]["score"], [each[0] for each in ours["score"]], atol=1e-4
    )
    assert found["serving_default"]["truncated"] == ours["truncated"]
    np.testing.assert_allclose(found["score"]["log_probability"], trained.score(texts), atol=1e-2)


@pytest.mark.slow
def test_the_export_says_what_it_is(exported):
    card = json.loads((exported / "assets.extra" / "model_card.json").read_text())
    assert card["task"] == "CausalLM"
    assert exported.name == "1"


@pytest.mark.slow
def test_a_task_is_exported_in_another_dtype(trained, tmp_path):
    path = trained.export(tmp_path / "small", dtype="bfloat16")
    score = tf.saved_model.load(str(path)).signatures["score"]
    found = score(text=tf.constant(["the cat sat on the mat."]))["log_probability"].numpy()
    np.testing.assert_allclose(found, trained.score(["the cat sat on the mat."]), atol=0.3)
