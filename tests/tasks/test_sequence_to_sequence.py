import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.data import DatasetRows, TsvFile
from tflm.eval import BLEU, GenerateAndScore
from tflm.generation import Beam, Greedy, Limits, Sample
from tflm.models.bart import Bart, Config
from tflm.tasks import Task, Translation
from tflm.tasks.sequence_to_sequence import StringPairs, default_optimizer
from tflm.tokenizers import SentencePieceTokenizer
from tflm.training.losses import SmoothedCrossEntropy

OPTIONS = {"tokens_per_batch": 256, "max_length": 48}
THREE_BEST = Beam(num_beams=3, num_return=3, length_penalty="power", alpha=1.0)
SENTENCES = ["three one", "", "nine", "seven seven eight two", "four one five one two six", "ten"]
CHINESE = [
    ("How are you?", "你好吗？"),
    ("The park is big.", "公园很大。"),
    ("I drink tea.", "我喝茶。"),
    ("It rains today.", "今天下雨。"),
]


def log_softmax(logits):
    shifted = logits.astype("float64") - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


@pytest.fixture(scope="module")
def fresh(make_task):
    """A compiled task, and a function that takes it back to where it started."""
    task = make_task(config={"dropout": 0.1})
    task.compile(default_optimizer(5e-3, warmup_steps=10))
    task.optimizer.build(task.trainable_variables)
    start = [np.array(variable) for variable in [*task.variables, *task.optimizer.variables]]

    def again():
        for variable, value in zip(
            [*task.variables, *task.optimizer.variables], start, strict=True
        ):
            variable.assign(value)
        return task

    return again


@pytest.fixture(scope="module")
def chinese_task(make_task):
    """English to Chinese with two vocabularies, untrained."""
    source, target = (
        SentencePieceTokenizer.train([pair[i] for pair in CHINESE], size)
        for i, size in enumerate((290, 283))
    )
    limits = Limits(max_length=9, min_length=2, no_repeat_ngram_size=2)
    strategy = Sample(temperature=0.7, top_k=5)
    return make_task(source, target, seed=8, strategy=strategy, limits=limits, max_source_length=33)


# fit


def test_the_loss_falls_and_the_answers_are_words_of_the_language(trained_task, toy_pairs):
    first, last = (trained_task.history.history["loss"][i] for i in (0, -1))
    assert last < 0.6 * first
    words = {word for _, target in toy_pairs for word in target.split()}
    answers = trained_task([source for source, _ in toy_pairs[:20]])
    assert len(set(answers)) > 10
    written = [word for answer in answers for word in answer.split()]
    assert sum(word in words for word in written) > 0.9 * len(written)


def test_every_form_of_the_same_pairs_trains_the_same(fresh, toy_pairs, tmp_path):
    toy_pairs = toy_pairs[:90]
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in toy_pairs))
    sources, targets = (list(side) for side in zip(*toy_pairs, strict=True))
    dataset = tf.data.Dataset.from_tensor_slices((sources, targets))
    forms = {
        "list": toy_pairs,
        "reader": TsvFile(path),
        "dataset": dataset,
        "batched dataset": dataset.batch(32),
    }
    losses = {}
    for name, pairs in forms.items():
        task = fresh()
        history = task.fit(pairs, epochs=2, data_options=OPTIONS, verbose=0).history
        losses[name] = history["loss"]
        assert history["tokens"][0] == history["tokens"][1] > len(toy_pairs)
    task = fresh()
    batches = task.batches(toy_pairs, training=True, **OPTIONS)
    stream = batches.epoch(0).concatenate(batches.epoch(1))
    ready = task.fit(stream, epochs=2, steps_per_epoch=batches.num_batches(), verbose=0)
    losses["ready batches"] = ready.history["loss"]
    assert losses["list"][1] < losses["list"][0]
    for name, values in losses.items():
        np.testing.assert_allclose(values, losses["list"], rtol=1e-4, err_msg=name)


def test_the_seed_decides_the_order(fresh, toy_pairs):
    losses = [
        fresh().fit(toy_pairs, data_options={**OPTIONS, "seed": seed}, verbose=0).history["loss"]
        for seed in (1, 2, 1)
    ]
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses[0], losses[2], rtol=1e-5)


def test_validation_pairs_are_scored_after_every_epoch(fresh, toy_pairs):
    task = fresh()
    held_out = toy_pairs[:30]
    history = task.fit(
        toy_pairs, epochs=2, validation_data=held_out, data_options=OPTIONS, verbose=0
    ).history
    assert len(history["val_loss"]) == 2
    scores = task.evaluate(held_out, data_options=OPTIONS, return_dict=True, verbose=0)
    assert scores["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-3)
    tokens = task.target_tokenizer.tokenize([target for _, target in held_out])
    assert scores["tokens"] == int(tokens.flat_values.shape[0]) + 30  # and an eos each


@pytest.mark.slow
def test_ordinary_callbacks_watch_generated_text(fresh, toy_pairs, tmp_path):
    task = fresh()
    sources, references = (list(side) for side in zip(*toy_pairs[:5], strict=True))

    def predict(texts):
        return task(texts, strategy=Greedy(), limits=Limits(max_length=6))

    path = tmp_path / "best.keras"
    watch = {"monitor": "val_bleu", "mode": "max"}
    callbacks = [
        GenerateAndScore(predict, sources, references, [BLEU("de")], num_shown=0),
        keras.callbacks.ModelCheckpoint(path, save_best_only=True, **watch),
        keras.callbacks.EarlyStopping(min_delta=1000.0, patience=1, **watch),
    ]
    history = task.fit(toy_pairs, epochs=5, callbacks=callbacks, data_options=OPTIONS, verbose=0)
    assert history.epoch == [0, 1]  # the second was no better
    assert len(history.history["val_bleu"]) == 2
    assert keras.saving.load_model(path).source_tokenizer.model == task.source_tokenizer.model


REPLICATED = """
import json, sys
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from tflm.tasks import Translation
from tflm.tasks.sequence_to_sequence import default_optimizer

directory, pairs, options = json.load(sys.stdin)
pairs = [tuple(pair) for pair in pairs]
keras.utils.set_random_seed(1)
with tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"]).scope():
    task = Translation.from_pretrained(directory)
    task.compile(default_optimizer(2e-3, 10))
arguments = {"validation_data": pairs[:9], "data_options": options, "verbose": 0}
history = task.fit(pairs, **arguments).history
replicas = [[part.numpy() for part in weight.value.values] for weight in task.model.weights]
print(json.dumps([history, [bool((first == second).all()) for first, second in replicas]]))
"""


@pytest.mark.slow
def test_two_replicas_train_on_pairs_and_count_each_once(saved_task, toy_pairs):
    done = subprocess.run(
        [sys.executable, "-c", REPLICATED],
        input=json.dumps([str(saved_task), toy_pairs, OPTIONS]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    history, equal = json.loads(done.stdout)
    task = Translation.from_pretrained(saved_task)
    tokens = task.target_tokenizer.tokenize([target for _, target in toy_pairs]).row_lengths() + 1
    assert history["tokens"] == [int(sum(tokens))]
    assert history["val_tokens"] == [int(sum(tokens[:9]))]
    assert np.isfinite(history["val_loss"]).all()
    assert all(equal)
    assert len(equal) == len(task.model.weights)


def test_compile_has_defaults_and_takes_others(make_task):
    task = make_task()
    task.compile()
    assert isinstance(task.loss, SmoothedCrossEntropy)
    assert task.loss.label_smoothing == 0.1
    assert not task.jit_compile
    assert task.optimizer.global_clipnorm == 1.0
    task.compile("sgd", SmoothedCrossEntropy(0.0))
    assert task.loss.label_smoothing == 0.0
    assert isinstance(task.optimizer, keras.optimizers.SGD)


def test_the_default_optimizer_is_that_of_the_paper():
    optimizer = default_optimizer(3e-3, warmup_steps=40, ema=0.9)
    config = optimizer.get_config()
    assert (config["beta_1"], config["beta_2"], config["epsilon"]) == (0.9, 0.98, 1e-9)
    assert config["use_ema"]
    assert config["ema_momentum"] == 0.9
    assert float(optimizer.learning_rate) == pytest.approx(3e-3 / 40)
    assert not default_optimizer().use_ema


# construction


def test_a_task_is_made_from_pairs(toy_pairs):
    task = Translation.from_pairs(
        toy_pairs, "transformer/tiny", vocab_size=300, dropout=0.25, pre_norm=True, name="numbers"
    )
    config = task.model.config
    assert (config.vocab_size, config.target_vocab_size) == (300, None)
    assert (config.dropout, config.pre_norm, config.hidden_dim) == (0.25, True, 128)
    assert task.source_tokenizer is task.target_tokenizer
    assert task.name == "numbers"


def test_a_task_is_made_with_two_vocabularies(toy_pairs):
    task = Translation.from_pairs(
        toy_pairs, vocab_size=284, joint=False, algorithm="unigram", dtype="mixed_bfloat16"
    )
    assert (task.model.config.vocab_size, task.model.config.target_vocab_size) == (284, 284)
    assert task.model.dtype_policy.name == "mixed_bfloat16"
    pieces = [
        t.tokenize("vier").row_lengths()[0] for t in (task.source_tokenizer, task.target_tokenizer)
    ]
    assert pieces[0] > pieces[1]  # only one of them has learned German


def test_an_unknown_preset_lists_the_known_ones(toy_pairs):
    with pytest.raises(ValueError, match="one of .*'transformer/tiny'.* name='transformer/mini'"):
        Translation.from_pairs(toy_pairs, "transformer/mini", vocab_size=300)


def test_a_model_that_is_no_encoder_decoder_is_refused(trained_task):
    with pytest.raises(TypeError, match="`model` must be an EncoderDecoder. Received: Sequential"):
        Translation(keras.Sequential(), trained_task.source_tokenizer)


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_vocabulary_larger_than_the_embeddings_is_refused(trained_task, chinese_task, side):
    small, large = chinese_task.target_tokenizer, trained_task.source_tokenizer
    tokenizers = (large, small) if side == "source" else (small, large)
    message = rf"`{side}_tokenizer` must have at most .* Received: 310 pieces, 2\d\d embeddings"
    with pytest.raises(ValueError, match=message):
        Translation(chinese_task.model, *tokenizers)


def test_a_dataset_of_something_else_than_pairs_is_refused(trained_task):
    dataset = tf.data.Dataset.from_tensor_slices(["a", "b"])
    with pytest.raises(
        ValueError, match=r"`examples` must be pairs of strings.*a dataset of .*str"
    ):
        trained_task.fit(dataset)
    with pytest.raises(ValueError, match="`examples` must be pairs of strings"):
        trained_task.batches(dataset.map(lambda text: {"source": text, "target": text}))


def test_string_pairs_are_read_anew_each_time():
    dataset = tf.data.Dataset.from_tensor_slices((["ä", "b", "c"], ["你", "e", ""]))
    expected = [("ä", "你"), ("b", "e"), ("c", "")]
    for pairs in (StringPairs(dataset), StringPairs(dataset.batch(2))):
        assert list(pairs) == list(pairs) == expected


def test_a_model_with_few_positions_reads_and_writes_no_more(make_task, toy_pairs):
    task = make_task(config={"learned_positions": True, "max_length": 13}, strategy=Greedy())
    assert (task.max_source_length, task.limits.max_length) == (13, 13)
    found = task.n_best(["one " * 30, "one"])
    assert found["truncated"][0]
    batches = task.batches(toy_pairs, training=True)
    assert {y.shape[1] for _, y, _ in batches.epoch(0)} <= set(range(14))


# answers


def test_one_text_is_answered_with_one_and_a_list_with_a_list(trained_task):
    answer = trained_task("two three")
    assert isinstance(answer, str)
    assert trained_task(["two three"]) == [answer]
    assert trained_task(("two three",)) == [answer]
    assert trained_task.predict(["two three"]) == [answer]


def test_nothing_is_answered_with_nothing(trained_task):
    assert trained_task([]) == []
    assert trained_task("") == ""
    assert trained_task.n_best([]) == {"text": [], "score": [], "truncated": []}
    assert trained_task.n_best([""]) == {
        "text": [[""]],
        "score": [[0.0]],
        "truncated": [False],
    }
    assert trained_task.score([]) == []


def test_a_batch_is_answered_in_its_order_and_each_text_as_if_alone(trained_task, toy_pairs):
    texts = [source for source, _ in toy_pairs[:66]] + SENTENCES  # more than are decoded at once
    together = trained_task.n_best(texts)
    for i in (0, 17, 40, 65, 66, 67, 68, 69, 71):
        alone = trained_task.n_best([texts[i]])
        assert together["text"][i] == alone["text"][0]
        np.testing.assert_allclose(together["score"][i], alone["score"][0], atol=1e-4)
    assert len(together["text"]) == len(texts)


def test_ready_batches_are_for_the_network(trained_task, toy_pairs):
    x, y, _ = next(iter(trained_task.batches(toy_pairs[:7], training=False).epoch(0)))
    logits = trained_task(x)
    assert logits.shape == (*y.shape, trained_task.target_tokenizer.vocab_size)
    np.testing.assert_allclose(logits, trained_task.model(x), rtol=1e-6)


def test_chinese_is_read_and_written(chinese_task):
    sources, targets = (list(side) for side in zip(*CHINESE, strict=True))
    back = chinese_task.target_tokenizer
    assert [text.decode() for text in back.detokenize(back.tokenize(targets)).numpy()] == targets
    answers = chinese_task([*sources, "今天很好。"])
    assert len(answers) == 5
    assert all(isinstance(answer, str) for answer in answers)
    assert all(score < 0 for score in chinese_task.score(CHINESE))


def test_hypotheses_come_best_first(trained_task):
    found = trained_task.n_best(SENTENCES, strategy=THREE_BEST)
    assert [len(texts) for texts in found["text"]] == [3] * len(SENTENCES)
    assert np.shape(found["score"]) == (len(SENTENCES), 3)
    assert all(scores == sorted(scores, reverse=True) for scores in found["score"])
    for source, texts in zip(SENTENCES, found["text"], strict=True):
        assert len(set(texts)) == (3 if source else 1)
    assert [texts[:1] for texts in found["text"]] == trained_task.n_best(SENTENCES)["text"]


def test_strategies_and_limits_are_arguments(trained_task):
    greedy = trained_task(SENTENCES, strategy=Greedy())
    wild = Sample(temperature=3.0)
    drawn = trained_task(SENTENCES, strategy=wild, seed=7)
    assert drawn == trained_task(SENTENCES, strategy=wild, seed=7) != greedy
    assert drawn != trained_task(SENTENCES, strategy=wild, seed=70)
    # A text's own number is its seed, whatever stands beside it.
    for i, sentence in enumerate(SENTENCES):
        assert trained_task([sentence], strategy=wild, seed=7 + i) == [drawn[i]]
    assert trained_task(SENTENCES, strategy=wild) != trained_task(SENTENCES, strategy=wild)
    keras.utils.set_random_seed(3)
    again = trained_task(SENTENCES, strategy=wild)
    keras.utils.set_random_seed(3)
    assert trained_task(SENTENCES, strategy=wild) == again
    limits = Limits(max_length=2)
    short = trained_task.n_best(["one two three four five"], strategy=Greedy(), limits=limits)
    assert short["truncated"] == [True]
    assert len(short["text"][0][0].split()) <= 2
    assert trained_task.strategy == Beam(num_beams=3, length_penalty="power", alpha=1.0)


def test_a_text_longer_than_is_read_is_reported(trained_task):
    exact = next(
        " ".join(["one"] * n)
        for n in range(30, 0, -1)
        if trained_task.source_tokenizer.tokenize(" ".join(["one"] * n)).row_lengths()[0] <= 19
    )
    found = trained_task.n_best(["one two", f"{exact} two two", ""])
    assert found["truncated"] == [False, True, False]


def test_a_score_is_the_sum_of_the_models_log_probabilities(trained_task, toy_pairs):
    pairs = [*toy_pairs[:4], ("one", ""), ("", "eins"), ("seven", "acht acht acht")]
    tokenizer = trained_task.source_tokenizer
    expected = []
    for source, target in pairs:
        read, written = (tokenizer.tokenize(text).numpy()[0].tolist() for text in (source, target))
        labels = [*written, tokenizer.eos_id]
        inputs = {
            "encoder_token_ids": np.array([[*read, tokenizer.eos_id]]),
            "encoder_padding_mask": np.ones((1, len(read) + 1), bool),
            "decoder_token_ids": np.array([[tokenizer.bos_id, *written]]),
        }
        log_probabilities = log_softmax(np.asarray(trained_task.model(inputs))[0])  # (T, V)
        expected.append(log_probabilities[np.arange(len(labels)), labels].sum())
    np.testing.assert_allclose(trained_task.score(pairs), expected, rtol=1e-4, atol=1e-4)


def test_a_target_longer_than_what_is_written_is_scored_to_its_end(trained_task, make_task):
    short = make_task(seed=3, limits=Limits(max_length=3))
    pairs = [("one", "eins zwei drei vier fünf"), ("one", "eins zwei drei vier fünf sechs")]
    long = Translation(short.model, short.source_tokenizer, limits=Limits(max_length=200))
    np.testing.assert_allclose(short.score(pairs), long.score(pairs), rtol=1e-5)
    assert short.score(pairs)[0] != short.score(pairs)[1]
    assert short.score([]) == []


@pytest.fixture(scope="module")
def bart(trained_task):
    """A task whose network has 24 positions on each side."""
    tokenizer = trained_task.source_tokenizer
    sizes = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "max_length": 24}
    config = Config(tokenizer.vocab_size, **sizes, num_encoder_layers=1, num_decoder_layers=1)
    return Translation(Bart(config), tokenizer, strategy=Greedy())


def test_what_a_network_has_no_positions_for_is_refused(bart, trained_task):
    # A target stands behind two tokens, of which the second takes a position from it.
    assert (bart.max_source_length, bart.limits.max_length) == (24, 23)
    longest = Limits(max_length=23, min_length=23)
    assert bart.n_best(["one two"], limits=longest)["truncated"] == [True]
    with pytest.raises(ValueError, match="`max_length` must be at most the config's 24"):
        bart(["one two"], limits=Limits(max_length=24))
    for length in (25, 2, 0):  # two special tokens stand around a source
        with pytest.raises(
            ValueError, match=f"more than the 2 special tokens.*24 positions.*length={length}"
        ):
            Translation(bart.model, bart.source_tokenizer, max_source_length=length)
    least = Translation(bart.model, bart.source_tokenizer, max_source_length=3, strategy=Greedy())
    assert len(least(["one two three four " * 9])) == 1
    with pytest.raises(ValueError, match="`max_source_length` must be .* max_source_l.*=0"):
        Translation(trained_task.model, trained_task.source_tokenizer, max_source_length=0)
    with pytest.raises(ValueError, match="`max_length` must be at most 23, for which the model ha"):
        bart.batches([("a", "b")], training=True, max_length=24)
    with pytest.raises(ValueError, match="and at most the model's 24 positions. Received: max_so"):
        bart.batches([("a", "b")], training=False, max_source_length=25)
    with pytest.raises(ValueError, match="targets of at most 23 tokens, .* one of .* tokens, its"):
        bart.score([("one", "one two three " * 9)])


def test_pairs_past_the_positions_are_evaluated_as_far_as_these_reach(bart):
    bart.compile()
    long = [("one two " * 30, "three four " * 40), ("one two", "three four"), ("五", "六")]
    batches = bart.batches(long, training=False)
    shapes = [(x["encoder_token_ids"].shape[1], y.shape[1]) for x, y, _ in batches.epoch(0)]
    assert max(shapes) == (24, 24)
    assert batches.report.num_cut == 1
    assert np.isfinite(bart.evaluate(long, verbose=0)).all()
    bart.fit(long[1:], validation_data=long, verbose=0)


def test_half_an_emoji_spoils_neither_its_text_nor_the_others(trained_task):
    half = json.loads('"one \\udc00"')
    assert trained_task([half, "two"]) == trained_task(["one \ufffd", "two"])
    assert trained_task.score([(half, half)]) == trained_task.score([("one \ufffd", "one \ufffd")])


def test_one_text_is_no_list(trained_task):
    for call in (trained_task.answer, trained_task.n_best, trained_task.answers):
        with pytest.raises(ValueError, match="`texts` must be a list of texts. Received: 'one'"):
            call("one")


def test_a_hypothesis_is_scored_as_it_was_found(trained_task):
    found = trained_task.n_best(["six two five"], strategy=THREE_BEST)
    (text, *_), (score, *_) = found["text"][0], found["score"][0]
    # The likeliest text is spelled in the pieces that the tokenizer would choose.
    length = int(trained_task.target_tokenizer.tokenize(text).row_lengths()[0]) + 1
    (expected,) = trained_task.score([("six two five", text)])
    np.testing.assert_allclose(score * length, expected, atol=1e-3)


# saving


def same_answers(ours, theirs):
    assert ours["text"] == theirs["text"]
    assert ours["truncated"] == theirs["truncated"]
    np.testing.assert_allclose(ours["score"], theirs["score"], rtol=1e-5)


def same_variables(ours, theirs):
    for variable, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), np.asarray(other))


def test_a_keras_file_gives_the_task_back_as_it_was(trained_task, tmp_path):
    path = tmp_path / "task.keras"
    trained_task.save(path)
    loaded = keras.saving.load_model(path)  # a warning would be an error
    assert type(loaded) is Translation
    assert loaded.source_tokenizer is loaded.target_tokenizer
    for name in ("strategy", "limits", "max_source_length"):
        assert getattr(loaded, name) == getattr(trained_task, name)
    same_answers(loaded.n_best(SENTENCES), trained_task.n_best(SENTENCES))
    assert loaded.compiled
    assert loaded.loss.get_config() == trained_task.loss.get_config()
    assert loaded.optimizer.get_config() == trained_task.optimizer.get_config()
    assert loaded.jit_compile == trained_task.jit_compile
    same_variables(loaded.optimizer.variables, trained_task.optimizer.variables)


@pytest.mark.slow
def test_a_task_of_a_keras_file_goes_on_learning(trained_task, toy_pairs, tmp_path):
    trained_task.save(tmp_path / "task.keras")
    loaded = keras.saving.load_model(tmp_path / "task.keras")
    history = loaded.fit(toy_pairs, data_options=OPTIONS, verbose=0)
    assert history.history["loss"][0] < trained_task.history.history["loss"][0]


def test_two_vocabularies_survive_both_ways_of_saving(chinese_task, tmp_path):
    chinese_task.save(tmp_path / "task.keras")
    chinese_task.save_pretrained(tmp_path / "task")
    loaded = (
        keras.saving.load_model(tmp_path / "task.keras"),
        Task.from_pretrained(tmp_path / "task"),
    )
    sources = [source for source, _ in CHINESE]
    for task in loaded:
        assert task.source_tokenizer.model == chinese_task.source_tokenizer.model
        assert task.target_tokenizer.model == chinese_task.target_tokenizer.model
        assert task.model.config == chinese_task.model.config
        assert (task.strategy, task.limits) == (chinese_task.strategy, chinese_task.limits)
        assert task.max_source_length == 33
        assert not task.compiled
        same_variables(task.model.weights, chinese_task.model.weights)
    assert loaded[1](sources, seed=4) == chinese_task(sources, seed=4)


def test_a_saved_directory_gives_equal_answers(saved_task, trained_task):
    loaded = Translation.from_pretrained(saved_task)
    assert loaded.source_tokenizer is loaded.target_tokenizer
    same_answers(loaded.n_best(SENTENCES), trained_task.n_best(SENTENCES))
    assert sorted(path.name for path in saved_task.iterdir()) == [
        "model.safetensors",
        "task.json",
        "tokenizer",
    ]


def test_a_saved_directory_is_read_at_another_precision(saved_task):
    loaded = Translation.from_pretrained(saved_task, dtype="mixed_bfloat16")
    assert loaded.model.dtype_policy.name == "mixed_bfloat16"
    assert loaded.model.weights[0].dtype == "float32"


def test_a_task_saved_while_it_is_trained_is_no_longer_the_older_one(make_task, tmp_path):
    first, second = make_task(), make_task(seed=4)
    for task in (first, second):
        task.save_pretrained(tmp_path)
    loaded = Translation.from_pretrained(tmp_path)
    same_variables(loaded.model.weights, second.model.weights)


def test_a_hugging_face_data_set_is_taken_by_its_columns(fresh):
    datasets = pytest.importorskip("datasets", reason="no datasets here")
    task = fresh()
    sources, targets = (list(side) for side in zip(*CHINESE, strict=True))
    dataset = datasets.Dataset.from_dict({"target": targets, "id": [1] * 4, "source": sources})
    assert list(task.examples(dataset)) == CHINESE
    assert task.examples(CHINESE) is CHINESE
    loss = task.evaluate(CHINESE, verbose=0, return_dict=True)["loss"]
    assert task.evaluate(dataset, verbose=0, return_dict=True)["loss"] == loss
    renamed = DatasetRows(dataset.rename_column("target", "zh"), ("source", "zh"))
    assert task.batches(renamed, training=True).num_batches(0) == 1
    task.fit(dataset, validation_data=renamed, verbose=0)
