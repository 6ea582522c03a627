import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.generation import Beam, Greedy, Limits
from tflm.models.pointer_generator import Config, PointerGenerator
from tflm.tasks import Summarization, Task
from tflm.tasks.sequence_to_sequence import default_optimizer
from tflm.tokenizers import SentencePieceTokenizer

NAMES = "Anna Bert Carla Dora Emil Fritz Greta Hans 张三 李四 王五".split()
THINGS = "tea soup bread 米饭 面条 豆腐".split()
OPTIONS = {"tokens_per_batch": 512}


def dialogues(count, seed=3):
    """Somebody asks for something, twice, between chatter; the summary says who and what."""
    generator = random.Random(seed)
    pairs = []
    for _ in range(count):
        name, thing = generator.choice(NAMES), generator.choice(THINGS)
        chatter = " ".join(
            generator.choices("well so yes no oh hm".split(), k=generator.randint(1, 6))
        )
        pairs.append((f"{name}: {chatter} {thing} {chatter} {thing}", f"{name} wants {thing}"))
    return pairs


@pytest.fixture(scope="module")
def pairs():
    return dialogues(240)


@pytest.fixture(scope="module")
def make(pairs):
    tokenizer = SentencePieceTokenizer.train((text for pair in pairs for text in pair), 320)

    def make(**options):
        keras.utils.set_random_seed(5)
        sizes = {"hidden_dim": 32, "ffn_dim": 48, "num_heads": 2, "dropout": 0.0}
        layers = {"num_encoder_layers": 1, "num_decoder_layers": 1}
        model = PointerGenerator(Config(tokenizer.vocab_size, **sizes, **layers))
        return Summarization(model, tokenizer, **options)

    return make


@pytest.fixture(scope="module")
def task(make, pairs):
    task = make(strategy=Beam(3), max_source_length=40, max_length_ratio=2.0)
    task.compile(default_optimizer(1e-2, warmup_steps=40))
    task.fit(pairs, epochs=12, data_options=OPTIONS, verbose=0)
    return task


def test_it_learns_to_say_who_and_what(task):
    pairs = dialogues(40, seed=8)
    texts, summaries = (list(side) for side in zip(*pairs, strict=True))
    found = task(texts)
    assert np.mean([ours == theirs for ours, theirs in zip(found, summaries, strict=True)]) > 0.8


@pytest.mark.slow
def test_what_is_served_is_what_the_task_answers(task, tmp_path):
    texts = [*(text for text, _ in dialogues(7, seed=9)), "", "   ", "张三: 豆腐 🙂 " * 30]
    task.export(tmp_path / "exported")
    loaded = tf.saved_model.load(str(tmp_path / "exported" / "1"))
    served = loaded.signatures["serving_default"](text=tf.constant(texts))
    expected = task.answers(texts)
    assert [text.decode() for text in served["text"].numpy()] == [each["text"] for each in expected]
    np.testing.assert_allclose(served["score"], [each["score"] for each in expected], atol=1e-4)
    assert served["truncated"].numpy().tolist() == [each["truncated"] for each in expected]
    assert expected[-1]["truncated"]


def test_a_saved_task_comes_back_with_its_options(task, tmp_path):
    task.save_pretrained(tmp_path / "saved")
    again = Task.from_pretrained(tmp_path / "saved")
    assert type(again) is Summarization
    assert (again.max_length_ratio, again.max_source_length) == (2.0, 40)
    assert (again.strategy, again.limits) == (task.strategy, task.limits)
    text = dialogues(1, seed=10)[0][0]
    assert again(text) == task(text)
    task.save(tmp_path / "task.keras")
    assert keras.saving.load_model(tmp_path / "task.keras").max_length_ratio == 2.0


def test_lengths_are_kept(make, task):
    text = dialogues(1, seed=12)[0][0]
    tokenizer = task.source_tokenizer
    shortest = Limits(max_length=60, min_length=12)
    long = task(text, strategy=Greedy(), limits=shortest)
    assert 11 <= len(tokenizer.tokenize([long]).to_list()[0]) <= 60
    short = task(text, strategy=Greedy(), limits=Limits(max_length=2))
    assert len(tokenizer.tokenize([short]).to_list()[0]) <= 2
    module = make(max_length_ratio=0.5).text_to_text()
    lengths = module._max_lengths(tf.sequence_mask([1, 8, 11])).numpy()
    assert lengths.tolist() == [0, 4, 5]


def test_no_three_tokens_are_written_twice(make):
    task = make(strategy=Greedy())  # untrained, it says one thing over and over
    assert task.limits == Limits(max_length=128, no_repeat_ngram_size=3)
    ids = task.text_to_text().target_tokenizer.tokenize([task("Anna: tea")]).to_list()[0]
    repeated = task("Anna: tea", limits=Limits(max_length=128))
    assert len(ids) > 20 and task("Anna: tea") != repeated


def test_a_coverage_penalty_changes_what_a_beam_prefers(task):
    text = dialogues(1, seed=14)[0][0]
    free, held = (
        task.n_best([text], limits=Limits(max_length=20, coverage_penalty=penalty))
        for penalty in (0.0, 5.0)
    )
    assert free["score"][0][0] > held["score"][0][0]


def test_long_texts_are_cut_in_training_and_not_dropped(task, pairs):
    long = [(f"{source} so" * 30, target) for source, target in pairs[:20]]
    batches = task.batches(long, training=True, tokens_per_batch=256)
    lengths = [x["encoder_token_ids"].shape[1] for x, _, _ in batches.epoch(0)]
    assert max(lengths) == 40
    assert (batches.report.num_cut, batches.report.num_dropped) == (20, 0)


def test_other_architectures_summarize_too(make_task):
    translation = make_task()
    task = Summarization(translation.model, translation.source_tokenizer)
    assert isinstance(task("one two three"), str)
    with pytest.raises(ValueError, match="`coverage_penalty` must be 0 for a model that does not"):
        task("one two", limits=Limits(max_length=9, coverage_penalty=1.0))


def test_it_is_made_from_pairs(pairs):
    task = Summarization.from_pairs(pairs, "pointer_generator/tiny", vocab_size=320)
    assert type(task.model) is PointerGenerator
    assert (task.model.config.vocab_size, task.max_source_length) == (320, 1024)


@pytest.mark.parametrize("ratio", [0.0, -1.0])
def test_a_ratio_that_is_not_positive_is_refused(make, ratio):
    with pytest.raises(ValueError, match=f"`max_length_ratio` must be positive. Received: {ratio}"):
        make(max_length_ratio=ratio)
