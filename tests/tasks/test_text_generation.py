import gzip
import itertools
import json
import pathlib
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.checkpoints import ChatTemplate
from tflm.export import save
from tflm.generation import Beam, Greedy, Limits, Sample
from tflm.models.gpt2 import GPT2, Config
from tflm.tasks import CausalLM, Task, TextGeneration
from tflm.tasks.chat import Chat
from tflm.tasks.chat_template import CHINESE, RoleTemplate
from tflm.tasks.starting import chat_template_of
from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer
from tflm.training.lora import add_lora, lora_layers

LINES = ["the cat sat on the mat.\n", "公园很大。\n我喝茶。", "one two three four 😀"] * 9
PROMPTS = ["the", "", "公园", "one two three four one two three"]
SIZES = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_layers": 1, "max_length": 48}
LIMITS = Limits(max_length=21, repetition_penalty=1.3)
HOT = Sample(temperature=1.1)
strategies = pytest.mark.parametrize("strategy", [Greedy(), HOT], ids=["greedy", "sample"])
TEMPLATE = ChatTemplate("{{ bos_token }}{{ messages[0].content }}", {"bos_token": "<s>"})


def make(tokenizer, seed=4, **options):
    keras.utils.set_random_seed(seed)
    model = GPT2(Config(tokenizer.vocab_size + 5, **SIZES))
    model.build(None)
    for weight in model.weights:  # far from even, so that tokens repeat and differ by prompt
        if len(weight.shape) == 2:
            weight.assign(8.0 * weight)
    return TextGeneration(model, tokenizer, limits=LIMITS, **options)


@pytest.fixture(scope="module")
def task():
    """Of bytes, which rarely make a character."""
    tokenizer = BytePairTokenizer.train(LINES, 280)
    return make(tokenizer, strategy=Greedy(), stop=["\n\n"], chat_template=TEMPLATE)


@pytest.fixture(scope="module")
def pieces_task():
    """Of SentencePiece's pieces, the first of which loses its space."""
    return make(SentencePieceTokenizer.train(LINES, 310), strategy=Greedy())


@pytest.fixture(scope="module", params=["bytes", pytest.param("pieces", marks=pytest.mark.slow)])
def either(request, task, pieces_task):
    return {"bytes": task, "pieces": pieces_task}[request.param]


def cut(text, stop):
    """Generate to the limit, cut at the first occurrence."""
    return text[: min((text.find(each) for each in stop if each in text), default=len(text))]


@pytest.fixture(scope="module")
def whole(either):
    """What is written to the limit."""
    return {
        each: either.n_best(PROMPTS, strategy=each, stop=(), seed=5) for each in (Greedy(), HOT)
    }


@pytest.fixture(scope="module")
def stop(whole):
    """Two and three characters of what is written, which go over tokens and begin inside them."""
    texts = [row[0] for found in whole.values() for row in found["text"]]
    middles = [text[len(text) // 2 :] for text in texts]
    return (middles[0][:2], middles[2][:3], middles[5][:2], "用户：")


# stop strings


@strategies
def test_a_text_that_ends_at_a_stop_string_is_the_whole_one_cut_there(
    either, whole, stop, strategy
):
    found = either.n_best(PROMPTS, strategy=strategy, stop=stop, seed=5)
    texts = [each[0] for each in whole[strategy]["text"]]
    assert [each[0] for each in found["text"]] == [cut(text, stop) for text in texts]
    for i, text in enumerate(texts):
        ended = cut(text, stop) != text
        assert found["finished"][i] == (whole[strategy]["finished"][i] or ended)
    assert any(cut(text, stop) != text for text in texts)


def test_the_task_has_stop_strings_of_its_own_which_a_call_replaces(task):
    assert task.stop == ("\n\n",)
    assert task.text_generator()._stop is not None
    assert task.text_generator(stop=())._stop is None
    with pytest.raises(ValueError, match="`stop` must hold strings that are not empty"):
        task.generate(["the"], stop=["a", ""])


# batches


@pytest.mark.parametrize("strategy", [Greedy(), Beam(num_beams=3, num_return=2)], ids=str)
def test_a_row_of_a_batch_is_answered_as_if_alone(either, stop, strategy):
    together = either.n_best(PROMPTS, strategy=strategy, stop=stop)
    assert not any(each in text for each in stop for row in together["text"] for text in row)
    for i, prompt in enumerate(PROMPTS):
        alone = either.n_best([prompt], strategy=strategy, stop=stop)
        assert alone["text"][0] == together["text"][i]
        assert alone["finished"][0] == together["finished"][i]
        np.testing.assert_allclose(alone["score"][0], together["score"][i], atol=1e-3)


# streams


@strategies
def test_a_stream_joins_to_what_is_generated(either, stop, strategy):
    for seed, prompt in enumerate([*PROMPTS, "one " * 40]):
        for stops in ((), stop):
            options = {"strategy": strategy, "stop": stops, "seed": seed}
            pieces = list(either.stream(prompt, **options))
            assert ["".join(pieces)] == either.generate([prompt], **options)
            assert all(pieces)


def test_what_learns_after_a_stream_is_streamed_as_it_is_generated(pieces_task):
    keras.utils.set_random_seed(2)
    task = make(pieces_task.tokenizer, strategy=Greedy())
    bare = {role: "{content}" for role in ("system", "user", "assistant")}
    options = {"template": RoleTemplate(turns=bare, reply="\n", stop=()), "limits": Limits(3)}
    before, chat = "".join(task.stream("the")), Chat(task, **options)
    said = chat.send("the")
    add_lora(task.model, rank=2)
    task.compile()
    for layer in lora_layers(task.model):
        layer.lora_kernel_b.assign(keras.random.normal(layer.lora_kernel_b.shape, seed=1))
    now = "".join(task.stream("the"))
    assert [now] == task.generate(["the"]) != [before]
    again = Chat(task, **options)
    again.messages = list(chat.messages)
    read = chat.num_read
    assert chat.send("我") == again.send("我")
    assert chat.num_read == read + again.num_read
    assert Chat(task, **options).send("the") != said


def test_a_row_is_answered_as_if_alone_where_padding_is_a_token_of_texts():
    # Of a tokenizer without special tokens a line break fills rows, and begins texts.
    tokenizer = BytePairTokenizer.train(LINES, 270, roles={})
    limits = Limits(12, min_length=5, no_repeat_ngram_size=2, repetition_penalty=1.6)
    task = make(tokenizer, continuous=True, strategy=Greedy())
    prompts = ["a\n\n", "the", "one two three four one two three four five", "\n"]
    together = task.generate(prompts, limits=limits)
    for prompt, expected in zip(prompts, together, strict=True):
        assert task.generate([prompt], limits=limits) == [expected]
        assert "".join(task.stream(prompt, limits=limits)) == expected
    assert task.generate(prompts, limits=Limits(12)) != together


def test_half_an_emoji_spoils_neither_its_text_nor_the_others(task):
    half = json.loads('"\\ud83d the"')
    expected = task.generate(["\ufffd the", "公园"])
    assert task.generate([half, "公园"]) == expected
    assert "".join(task.stream(half)) == expected[0]
    whole, cut = (Chat(task, template=CHINESE, limits=Limits(3)) for _ in range(2))
    assert cut.send(half) == whole.send("\ufffd the")
    assert task.score([half], [half]) == task.score(["\ufffd the"], ["\ufffd the"])


def test_one_text_is_no_list(task):
    for call in (task.generate, task.n_best):
        with pytest.raises(ValueError, match="`prompts` must be a list of texts. Received: 'the'"):
            call("the")
    with pytest.raises(ValueError, match="`texts` must be a list of texts. Received: 'the'"):
        task.score("the")
    for contexts in (["x", "y"], []):
        with pytest.raises(ValueError, match=f"as many as `texts`. .* {len(contexts)} contexts, 1"):
            task.score(["a"], contexts)


def test_a_stream_without_a_seed_is_another_each_time(task):
    def text(seed):
        return "".join(task.stream("the", strategy=HOT, seed=seed))

    assert text(1) == text(1) != text(2)
    assert text(None) != text(None)


def test_the_first_piece_costs_the_same_whatever_the_length_asked_for(task, monkeypatch):
    traces, readings = [], []
    cls, reading = type(task.model), task.reading
    decode = cls.decode

    def traced(model, token_ids, *args, **kwargs):
        traces.append(token_ids.shape.as_list())
        return decode(model, token_ids, *args, **kwargs)

    def noted():
        readings.append(reading())
        return readings[-1]

    monkeypatch.setattr(cls, "decode", traced)
    monkeypatch.setattr(task, "reading", noted)
    monkeypatch.setattr(task, "_functions", {})
    found = set()
    for length in (3, 8, 40):
        stream = task.stream("one two", max_length=length)
        assert readings == []  # nothing is done before a piece is asked for
        found.add((next(stream), readings.pop().num_read))
        stream.close()
    assert len(found) == 1
    assert traces in ([[1, None]], [[1, None], [1, 1]])


@pytest.mark.slow
@strategies
def test_the_time_to_the_first_piece_does_not_depend_on_the_length_asked_for(pieces_task, strategy):
    keras.utils.set_random_seed(4)
    sizes = {**SIZES, "hidden_dim": 48, "max_length": 600}
    model = GPT2(Config(pieces_task.tokenizer.vocab_size, **sizes))
    limits = Limits(max_length=32, min_length=32)
    task = TextGeneration(model, pieces_task.tokenizer, strategy=strategy, limits=limits)
    seconds = {32: [], 512: []}
    for _ in range(41):  # in turn, so that what else the machine does slows both
        for length, found in seconds.items():
            stream = task.stream("the cat sat on the mat.", max_length=length, seed=5)
            start = time.perf_counter()
            next(stream)
            found.append(time.perf_counter() - start)
            stream.close()
    short, long = (np.median(found[1:]) for found in seconds.values())  # the first is traced
    assert 0.7 < long / short < 1.4


@pytest.mark.slow
def test_real_texts_are_streamed_as_they_are_written_at_once(pieces_task, shared_data):
    """The same seed gives the same text, whatever the strategy, the stop strings and the text."""
    path = shared_data / "tinyshakespeare" / "input.txt.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        plays = [line.strip() for line in itertools.islice(file, 90) if line.strip()]
    prompts = [*plays, "公园很大。", "", " \n", "the cat 公园 😀 " * 3000]
    texts = set()
    for strategy, stop in ((Greedy(), ()), (HOT, ()), (HOT, ("e", "大"))):
        options = {"strategy": strategy, "stop": stop}
        together = pieces_task.generate(prompts, **options, seed=9)
        for number, (prompt, text) in enumerate(zip(prompts, together, strict=True)):
            pieces = pieces_task.stream(prompt, **options, seed=9 + number)
            assert "".join(pieces) == text
        texts |= set(together)
    assert len(texts) > 100


def test_a_stream_that_is_closed_leaves_nothing_behind(task):
    whole = list(task.stream("the"))
    stream = task.stream("the")
    next(stream)
    stream.close()
    assert list(stream) == []
    assert list(task.stream("the")) == whole


def test_a_beam_is_not_streamed(task):
    with pytest.raises(ValueError, match="`strategy` must be Greedy or Sample.*Beam"):
        task.stream("the", strategy=Beam(2))


def test_a_stream_as_long_as_the_model_is_refused(task):
    with pytest.raises(ValueError, match="`max_length` must be less than the model's 48"):
        task.stream("the", max_length=48)


# saving and export


def test_what_is_saved_is_read_again(task, tmp_path):
    task.save_pretrained(tmp_path / "task")
    task.save(tmp_path / "task.keras")
    for again in (
        Task.from_pretrained(tmp_path / "task"),
        TextGeneration.from_pretrained(tmp_path / "task"),
        keras.saving.load_model(tmp_path / "task.keras"),
    ):
        assert type(again) is TextGeneration
        assert again.settings() == task.settings()
        assert (again.stop, again.chat_template) == (("\n\n",), TEMPLATE)
        for ours, theirs in zip(again.model.weights, task.model.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_language_model_that_was_trained_opens_as_one_that_writes(task, tmp_path):
    trained = CausalLM(task.model, task.tokenizer, strategy=Greedy(), limits=LIMITS)
    trained.save_pretrained(tmp_path)
    opened = TextGeneration.from_pretrained(tmp_path, stop="the")
    assert type(opened) is TextGeneration
    assert (opened.stop, opened.strategy, opened.limits) == (("the",), Greedy(), LIMITS)
    for ours, theirs in zip(opened.model.weights, trained.model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    changed = TextGeneration.from_pretrained(tmp_path, strategy=HOT, limits=Limits(7))
    assert (changed.strategy, changed.limits, changed.stop) == (HOT, Limits(7), ())
    assert type(Task.from_pretrained(tmp_path)) is CausalLM


def test_another_task_is_refused(tmp_path):
    (tmp_path / "task.json").write_text(json.dumps({"task": "Translation"}))
    with pytest.raises(ValueError, match="`source` must hold a task of class CausalLM"):
        TextGeneration.from_pretrained(tmp_path)


def test_a_public_checkpoint_brings_its_chat_template(task, tmp_path):
    fixture = pathlib.Path(__file__).parents[1] / "checkpoints" / "fixtures" / "llama"
    for path in fixture.glob("*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n大\n", "utf-8")
    tokens = {"unk_token": "[UNK]", "bos_token": "[CLS]", "eos_token": "[SEP]"}
    settings = {"chat_template": TEMPLATE.source, **tokens}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    opened = TextGeneration.from_pretrained(tmp_path)
    assert opened.chat_template == ChatTemplate(TEMPLATE.source, tokens)
    opened.save_pretrained(tmp_path / "saved")
    assert Task.from_pretrained(tmp_path / "saved").chat_template == opened.chat_template
    # What is trained from it keeps it.
    learner = CausalLM.from_pretrained(tmp_path)
    learner.save_pretrained(tmp_path / "learned")
    for cls in (CausalLM, TextGeneration):
        assert cls.from_pretrained(tmp_path / "learned").chat_template == opened.chat_template
    for start in (tmp_path, tmp_path / "saved", tmp_path / "learned"):
        assert chat_template_of(start) == opened.chat_template
    older = json.loads((tmp_path / "learned" / "task.json").read_text("utf-8"))
    del older["settings"]["chat_template"]
    (tmp_path / "learned" / "task.json").write_text(json.dumps(older), "utf-8")
    assert chat_template_of(tmp_path / "learned") is None


@pytest.mark.slow
def test_the_exported_model_stops_where_the_task_does(task, tmp_path):
    whole = task.generate(["the"], stop=())[0]
    writer = TextGeneration(
        task.model, task.tokenizer, strategy=Greedy(), limits=LIMITS, stop=[whole[5:7], "用户："]
    )
    served = writer.served()
    path = save(served, {"serving_default": served.signatures()["serving_default"]}, tmp_path)
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    found = {name: value.numpy() for name, value in serve(text=tf.constant(PROMPTS)).items()}
    assert found["text"][0].decode() == cut(whole, writer.stop) != whole
    assert found["finished"][0]
    texts = [row[0] for row in task.n_best(PROMPTS, stop=())["text"]]
    assert [text.decode() for text in found["text"]] == [cut(t, writer.stop) for t in texts]
    library = serve.graph.as_graph_def().library.function
    ops = {node.op for function in library for node in function.node_def}
    assert "While" in ops or "StatelessWhile" in ops
    assert not [op for op in ops if "Py" in op]
