import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.generation import Beam, Greedy, Limits
from tflm.models import gpt2, transformer
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
def tokenizer(pairs):
    return SentencePieceTokenizer.train((text for pair in pairs for text in pair), 320)


@pytest.fixture(scope="module")
def make(tokenizer):
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
    module = task.text_to_text()

    def written(limits):
        module.limits = limits
        source = module._read(tf.constant(["Anna: tea"]))
        cache = module._begin(source.token_ids, source.padding_mask)
        return module._generate(source, cache, Greedy()).token_ids[0, 0].numpy().tolist()

    def trigrams(ids):
        return list(zip(ids, ids[1:], ids[2:], strict=False))

    free, held = trigrams(written(Limits(max_length=128))), trigrams(written(task.limits))
    assert len(held) > 20
    assert len(set(free)) < len(free) and len(set(held)) == len(held)


def test_a_coverage_penalty_changes_what_a_beam_prefers(make):
    task = make(strategy=Beam(3), max_source_length=40)  # untrained, it attends again and again
    texts = [text for text, _ in dialogues(4, seed=14)]
    free, held = (
        task.n_best(texts, limits=Limits(max_length=12, coverage_penalty=penalty))
        for penalty in (0.0, 5.0)
    )
    for (before, *_), (after, *_) in zip(free["score"], held["score"], strict=True):
        assert before > after
    assert [best[0] for best in free["text"]] != [best[0] for best in held["text"]]


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


# A decoder, which goes on writing after a prompt.

PROMPT = "对话：{text} 摘要："


@pytest.fixture(scope="module")
def make_prompted(tokenizer):
    def make(max_length=80, **options):
        keras.utils.set_random_seed(6)
        sizes = {"hidden_dim": 36, "ffn_dim": 48, "num_heads": 3, "num_layers": 2}
        rates = {"dropout": 0.0, "attention_dropout": 0.0, "embedding_dropout": 0.0}
        config = gpt2.Config(tokenizer.vocab_size, max_length=max_length, **sizes, **rates)
        return Summarization(gpt2.GPT2(config), tokenizer, **options)

    return make


@pytest.fixture(scope="module")
def untrained(make_prompted):
    options = {"max_source_length": 31, "limits": Limits(max_length=9)}
    return make_prompted(prompt=PROMPT, strategy=Greedy(), **options)


def test_a_decoder_has_the_lengths_that_its_positions_leave(make_prompted):
    task = make_prompted()
    assert (task.limits.max_length, task.max_source_length) == (40, 40)
    assert task.prompt == Summarization.PROMPT == "{text}\n\nTL;DR:\n"
    task = make_prompted(limits=Limits(max_length=22), prompt=PROMPT)
    assert (task.max_source_length, task.prompt) == (58, PROMPT)


def test_the_summary_and_its_end_alone_are_learned(untrained, tokenizer):
    text, summary = "张三: 米饭", "张三 wants 米饭"
    ((x, y, weight),) = untrained.batches([(text, summary)], training=True).epoch(0)
    before, inside, after, learned = tokenizer.tokenize(
        ["对话：", text, " 摘要：", summary]
    ).to_list()
    source = x["encoder_token_ids"][x["encoder_padding_mask"]].numpy().tolist()
    assert source == [tokenizer.bos_id, *before, *inside, *after[:-1]]
    assert y[weight > 0].numpy().tolist() == [*learned, tokenizer.eos_id]
    read = x["decoder_token_ids"][x["decoder_padding_mask"]].numpy().tolist()
    assert read == [after[-1], *learned]


def test_a_long_text_is_cut_before_the_prompts_end(untrained, tokenizer):
    pairs = [("豆腐 so " * 40, "a"), ("Anna: tea", "tea")]
    batches = untrained.batches(pairs, training=False)
    rows = [row for x, _, _ in batches.epoch(0) for row in x["encoder_token_ids"].numpy()]
    assert batches.report.num_cut == 1
    cut = next(row for row in rows if (row != tokenizer.pad_id).sum() == 31)
    end = untrained.prompted.SOURCE_END
    assert cut[31 - len(end) : 31].tolist() == list(end)
    first, second = untrained.answers(["豆腐 so " * 40, "豆腐 so " * 50])
    assert first == second and first["truncated"]


def test_a_decoder_is_evaluated_within_its_positions(make_prompted, pairs):
    task = make_prompted(46, max_source_length=29, limits=Limits(max_length=17))
    task.compile()
    long = [("豆腐 " * 50, "Anna wants tea " * 30), *pairs[:9]]
    shapes = [
        (x["encoder_token_ids"].shape[1], y.shape[1])
        for x, y, _ in task.batches(long, training=False).epoch(0)
    ]
    assert max(shapes) == (29, 17)
    assert np.isfinite(task.evaluate(long, verbose=0)).all()


def test_an_encoder_decoder_is_evaluated_within_its_positions(tokenizer, pairs):
    sizes = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "learned_positions": True}
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 1, "max_length": 37}
    model = transformer.Transformer(transformer.Config(tokenizer.vocab_size, **sizes, **layers))
    task = Summarization(model, tokenizer, max_source_length=29, limits=Limits(max_length=17))
    task.compile()
    long = [("豆腐 " * 50, "Anna wants tea " * 30), *pairs[:9]]
    batches = task.batches(long, training=False)
    shapes = [(x["encoder_token_ids"].shape[1], y.shape[1]) for x, y, _ in batches.epoch(0)]
    assert max(shapes) == (29, 37)
    assert batches.report.num_cut == 1
    assert np.isfinite(task.evaluate(long, verbose=0)).all()


def test_a_decoders_answers_do_not_depend_on_who_stands_beside_them(untrained):
    texts = ["Anna: tea", "", "张三: well well so 豆腐 well"]
    together = untrained(texts)
    assert together == [untrained(text) for text in texts]
    assert together[1] == ""


def test_a_decoder_without_room_is_refused(make_prompted):
    match = "`max_length` and `max_source_length`, .* model's 80 positions together. Received: "
    with pytest.raises(ValueError, match=f"{match}max_length=40, max_source_length=41"):
        make_prompted(max_source_length=41)
    with pytest.raises(ValueError, match=match):
        make_prompted(limits=Limits(max_length=90))
    task = make_prompted()
    with pytest.raises(ValueError, match=f"{match}max_length=70, max_source_length=40"):
        task("tea", limits=Limits(max_length=70))
    with pytest.raises(ValueError, match=f"{match}max_length=64"):
        task.batches([("tea", "tea")], training=True, max_length=64)
    with pytest.raises(ValueError, match=r"`max_source_length` must be at least \d+: a token and"):
        make_prompted(max_source_length=7)


def test_what_a_kind_of_network_does_not_have_is_refused(make, make_prompted, tokenizer):
    with pytest.raises(ValueError, match="`prompt` must be left out for an encoder-decoder"):
        make(prompt=PROMPT)
    other = SentencePieceTokenizer(tokenizer.model)
    with pytest.raises(ValueError, match="`target_tokenizer` must be left out for a decoder"):
        Summarization(make_prompted().model, tokenizer, other)
    with pytest.raises(TypeError, match="`model` must be an EncoderDecoder or a Decoder. Received"):
        Summarization(tokenizer, tokenizer)
    with pytest.raises(ValueError, match="`model` must be a decoder to be streamed. .*: PointerG"):
        make().stream("Anna: tea")


def test_a_saved_decoder_comes_back_with_its_prompt(untrained, tmp_path):
    untrained.save_pretrained(tmp_path / "saved")
    again = Task.from_pretrained(tmp_path / "saved")
    assert (again.prompt, again.max_source_length, again.limits.max_length) == (PROMPT, 31, 9)
    pairs = dialogues(3, seed=15)
    np.testing.assert_allclose(again.score(pairs), untrained.score(pairs), atol=1e-4)


def test_a_task_saved_before_there_were_prompts_is_read(make, tmp_path):
    task = make(max_source_length=33)
    config = task.to_files(tmp_path)
    del config["prompt"]
    again = Summarization.from_files(tmp_path, config)
    assert (again.prompt, again.max_source_length) == (None, 33)


@pytest.fixture(scope="module")
def prompted_task(make_prompted, pairs):
    task = make_prompted(prompt=PROMPT, strategy=Beam(3), limits=Limits(16, no_repeat_ngram_size=3))
    task.compile(default_optimizer(1e-2, warmup_steps=40))
    task.fit(
        dialogues(1200, seed=4), epochs=12, validation_data=pairs, data_options=OPTIONS, verbose=0
    )
    return task


@pytest.mark.slow
def test_a_decoder_learns_to_say_who_and_what(prompted_task):
    texts, summaries = (list(side) for side in zip(*dialogues(40, seed=8), strict=True))
    found = prompted_task(texts)
    assert np.mean([ours == theirs for ours, theirs in zip(found, summaries, strict=True)]) > 0.8
    # What is blocked is what has been written, not what has been read.
    blocked = prompted_task(texts, limits=Limits(16, no_repeat_ngram_size=2))
    assert np.mean([ours == theirs for ours, theirs in zip(blocked, found, strict=True)]) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("freeze", [False, True])
def test_what_a_decoder_serves_is_what_the_task_answers(prompted_task, freeze, tmp_path):
    texts = [*(text for text, _ in dialogues(7, seed=9)), "", "   ", "张三: 豆腐 🙂 " * 30]
    prompted_task.export(tmp_path / "exported", freeze=freeze)
    loaded = tf.saved_model.load(str(tmp_path / "exported" / "1"))
    served = loaded.signatures["serving_default"](text=tf.constant(texts))
    expected = prompted_task.answers(texts)
    assert [text.decode() for text in served["text"].numpy()] == [each["text"] for each in expected]
    np.testing.assert_allclose(served["score"], [each["score"] for each in expected], atol=1e-4)
    assert served["truncated"].numpy().tolist() == [each["truncated"] for each in expected]
    assert expected[-1]["truncated"]
    source, target = (list(side) for side in zip(*dialogues(3, seed=16), strict=True))
    found = loaded.signatures["score"](source=tf.constant(source), target=tf.constant(target))
    own = prompted_task.score(list(zip(source, target, strict=True)))
    np.testing.assert_allclose(found["log_probability"], own, atol=1e-4)
    prompted_task.save(tmp_path / "task.keras")
    assert keras.saving.load_model(tmp_path / "task.keras")(texts[0]) == expected[0]["text"]
