import importlib.util
import math
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm import models
from tflm.models.base import Encoder
from tflm.models.bert import Bert, Config
from tflm.tasks import MaskedLM, Task
from tflm.tasks.causal_lm import default_optimizer
from tflm.tasks.masked_lm import Candidate
from tflm.tokenizers import BytePairTokenizer, WordPieceTokenizer
from tflm.training.files import load_tensors

TEXTS = [
    "the cat sat on the mat.",
    "the dog ate the bone.",
    "公园很大，我喝茶。",
    "one two three four five six seven",
] * 20
OPTIONS = {"sequence_length": 32, "tokens_per_batch": 128}
QUESTIONS = [
    "the cat [MASK] on the mat.",
    "One two [MASK] four [MASK] six",
    "公园很[MASK]，我[MASK]茶。",
]
SMALL = {"hidden_dim": 24, "ffn_dim": 40, "num_heads": 3, "num_layers": 1, "max_length": 33}
# A network that sees its neighbours alone learns them in no time.
WINDOW = {"embedding_dim": 24, "hidden_dim": 72, "dropout": 0.0}


@pytest.fixture(scope="module")
def wordpiece():
    words = "the cat sat on mat . dog ate bone 公 园 很 大 ， 我 喝 茶 。 walk ##ing".split()
    words += "one two three four five six seven".split()
    return WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])


@pytest.fixture(scope="module")
def trained(wordpiece):
    """A task that has learned its texts by heart. Do not train it further."""
    keras.utils.set_random_seed(1)
    network = models.ARCHITECTURES["text_cnn"]
    task = MaskedLM(network(network.Config(wordpiece.vocab_size, **WINDOW)), wordpiece)
    task.compile(default_optimizer(1e-2, 20, 400))
    options = {"validation_data": TEXTS[:8], "validation_freq": 20, "data_options": OPTIONS}
    task.fit(TEXTS, epochs=20, **options, verbose=0)
    return task


@pytest.fixture(scope="module")
def bert(wordpiece):
    keras.utils.set_random_seed(2)
    return MaskedLM(Bert(Config(wordpiece.vocab_size, **SMALL, dropout=0.0)), wordpiece)


# fit


def test_the_loss_falls_and_is_the_logarithm_of_the_perplexity(trained):
    history = trained.history.history
    assert history["loss"][-1] < 0.2 * history["loss"][0]
    assert history["val_masked_accuracy"][-1] > 0.8
    assert history["perplexity"][-1] == pytest.approx(math.exp(history["loss"][-1]), rel=1e-2)


def test_scores_are_of_the_masked_tokens_alone_and_always_the_same(trained):
    found = [
        trained.evaluate(TEXTS, data_options=OPTIONS, return_dict=True, verbose=0) for _ in "ab"
    ]
    assert found[0] == found[1]
    batches = trained.batches(TEXTS, training=False, **OPTIONS)
    chosen = sum(weight.sum() for *_, weight in batches.epoch(0).as_numpy_iterator())
    assert found[0]["tokens"] == chosen
    assert found[0]["masked_accuracy"] > 0.8


def test_every_form_of_the_same_texts_gives_the_same_batches(bert, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"{text}\n" for text in TEXTS))
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS)
    found = []
    for form in (TEXTS, str(path), tmp_path, dataset.batch(5)):
        batches = bert.batches(form, training=True, **OPTIONS)
        found.append(np.concatenate([y for _, y, _ in batches.epoch(1).as_numpy_iterator()]))
    assert all(np.array_equal(found[0], other) for other in found)


def test_logits_are_those_of_the_positions_asked_for(bert):
    x, _, _ = next(bert.batches(TEXTS, training=False, **OPTIONS).epoch(0).as_numpy_iterator())
    logits = np.array(bert(x))
    hidden = bert.model({name: x[name] for name in ("token_ids", "padding_mask")})
    every = np.array(bert.head(hidden, embedding=bert.model.embedding))
    expected = np.take_along_axis(every, x["masked_positions"][..., None], axis=1)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert logits.shape == (*x["masked_positions"].shape, bert.model.config.vocab_size)


def test_compile_has_defaults(trained, bert):
    bert.compile()
    assert not bert.model.pooler.trainable_variables  # nothing teaches it
    assert (bert.optimizer.beta_2, bert.optimizer.weight_decay) == (0.98, 0.01)
    expected = {"loss", "masked_accuracy", "perplexity", "tokens"}
    assert expected <= trained.history.history.keys()


@pytest.mark.slow
def test_real_lines_are_learned_from(shared_data):
    lines = shared_data / "wikitext2" / "valid.txt.gz"
    if not lines.is_file():
        pytest.skip(f"no {lines}")
    changes = {**SMALL, "num_layers": 2, "max_length": 64}
    task = MaskedLM.from_texts(
        lines, "bert/tiny", vocab_size=700, algorithm="bpe", dtype="mixed_bfloat16", changes=changes
    )
    task.compile(default_optimizer(5e-3, 20, 100))
    options = {"sequence_length": 64, "tokens_per_batch": 2048}
    history = task.fit(lines, epochs=3, steps_per_epoch=30, data_options=options, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] - 0.5
    assert {weight.dtype for weight in task.weights} == {"float32"}


ENCODERS = [name for name, cls in models.ARCHITECTURES.items() if issubclass(cls, Encoder)]


def small_config(name, **changes):
    """The last config of the architecture's contract tests, the one nearest to its defaults."""
    path = pathlib.Path(__file__).parents[1] / "models" / f"test_{name}.py"
    spec = importlib.util.spec_from_file_location(f"sizes_of_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return models.ARCHITECTURES[name].Config(**module.CONTRACT[-1] | changes)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENCODERS)
def test_any_encoder_is_trained_and_saved_with_its_head(name, wordpiece, tmp_path):
    keras.utils.set_random_seed(3)
    config = small_config(name, vocab_size=wordpiece.vocab_size)
    task = MaskedLM(models.ARCHITECTURES[name](config), wordpiece)
    task.compile(default_optimizer(1e-2, 2, 40))
    length = min(16, task.longest or 16)
    options = {"sequence_length": length, "tokens_per_batch": 10 * length}

    def loss():  # of the same masks at every call, where an epoch of training draws its own
        return task.evaluate(TEXTS, data_options=options, return_dict=True, verbose=0)["loss"]

    before = loss()
    task.fit(TEXTS, epochs=2, data_options=options, verbose=0)
    assert loss() < 0.99 * before
    task.save_pretrained(tmp_path)
    texts = ["公园[MASK]大。"]
    assert Task.from_pretrained(tmp_path).fill(texts) == task.fill(texts)


# answers


def test_a_text_is_filled_where_it_has_masks_and_else_left_as_it_is(trained):
    assert trained(QUESTIONS) == [
        "the cat sat on the mat.",
        "One two three four five six",
        "公园很大，我喝茶。",
    ]
    assert trained(QUESTIONS[1]) == "One two three four five six"
    assert trained([]) == []


def test_candidates_come_with_probabilities_the_best_first(trained):
    found = trained.fill(QUESTIONS, top=4)
    assert [len(masks) for masks in found] == [1, 2, 2]
    for masks in found:
        for candidates in masks:
            chances = [candidate.probability for candidate in candidates]
            assert len(chances) == 4 and chances == sorted(chances, reverse=True)
            assert 0.5 < sum(chances) <= 1.0 + 1e-5
            assert all(candidate.id > 4 for candidate in candidates)
    best = found[2][1][0]
    assert best.token == "喝" and trained.tokenizer.vocabulary[best.id] == "喝"
    assert isinstance(best, Candidate)
    scores = [answer["score"] for answer in trained.answers(QUESTIONS)]
    assert scores[2] == pytest.approx(sum(math.log(mask[0].probability) for mask in found[2]))


def test_texts_are_filled_together_as_if_alone(bert):
    together = bert.fill([*QUESTIONS, "[MASK]"], top=3)
    for text, expected in zip([*QUESTIONS, "[MASK]"], together, strict=True):
        (alone,) = bert.fill([text], top=3)
        for mask, other in zip(alone, expected, strict=True):
            np.testing.assert_allclose(
                [found.probability for found in mask],
                [found.probability for found in other],
                atol=1e-5,
            )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no mask", r"`texts` must hold \[MASK\] once or more each. Received: 'no mask'"),
        ("[MASK]" + " the" * 31, "`texts` must have at most the model's 33 tokens.*34 tokens"),
    ],
)
def test_texts_that_cannot_be_filled_are_refused(bert, text, message):
    with pytest.raises(ValueError, match=message):
        bert.fill(["[MASK]", text])


# construction and saving


def test_what_is_saved_is_read_again(trained, tmp_path):
    trained.save_pretrained(tmp_path / "task")
    trained.save(tmp_path / "task.keras")
    weights, _ = load_tensors(tmp_path / "task" / "model.safetensors")
    assert {"head/bias", "head/dense/kernel", "head/norm/scale"} <= weights.keys()
    loaded = [
        Task.from_pretrained(tmp_path / "task"),
        keras.saving.load_model(tmp_path / "task.keras"),
        trained.to_dtype("float32"),
    ]
    for task in loaded:
        assert type(task) is MaskedLM
        assert task.fill(QUESTIONS, top=2) == trained.fill(QUESTIONS, top=2)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["wordpiece", "bpe", "char"])
def test_a_task_is_made_of_texts(algorithm):
    task = MaskedLM.from_texts(
        TEXTS, "bert/tiny", vocab_size=330, algorithm=algorithm, changes=SMALL
    )
    assert task.mask_token == "[MASK]"
    assert task.model.config.vocab_size == task.tokenizer.vocab_size
    (masks,) = task.fill(["公园[MASK]大"])
    assert len(masks[0]) == 5


def test_the_mask_is_spelled_as_the_tokenizer_spells_it():
    roles = {"pad": "<pad>", "cls": "<s>", "sep": "</s>", "mask": "<mask>"}
    tokenizer = BytePairTokenizer.train(TEXTS, 270, roles=roles)
    task = MaskedLM(Bert(Config(tokenizer.vocab_size, **SMALL)), tokenizer)
    assert task.mask_token == "<mask>"
    assert "<mask>" not in task("the cat <mask> on")


def test_a_head_takes_hidden_states_to_the_width_of_the_token_vectors(trained):
    assert trained.head.dense.units == WINDOW["embedding_dim"]
    assert trained.model.config.hidden_dim == WINDOW["hidden_dim"]


def test_what_does_not_suit_is_refused(bert):
    with pytest.raises(TypeError, match="`model` must be an Encoder. Received: Sequential"):
        MaskedLM(keras.Sequential(), bert.tokenizer)
    with pytest.raises(ValueError, match="`sequence_length` must be at most the model's 33.*=34"):
        bert.batches(TEXTS, training=True, sequence_length=34)
    bare = MaskedLM.train_tokenizer(TEXTS, 330, "bpe")
    assert bare.mask_id == 4
