import keras
import numpy as np
import pytest
import tensorflow as tf

from tflm.checkpoints import ChatTemplate
from tflm.generation import Beam, Greedy, Limits, Sample
from tflm.models.llama import Config, Llama
from tflm.tasks import TextGeneration
from tflm.tasks.chat import Chat, stripped
from tflm.tasks.chat_template import CHINESE, ENGLISH, RoleTemplate
from tflm.tokenizers import BytePairTokenizer

LINES = [
    "User: the cat sat on the mat.\n",
    "用户：公园很大。\n助手：我喝茶。",
    "Assistant: yes",
] * 9
SIZES = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3, "num_kv_heads": 1, "num_layers": 2}
LIMITS = Limits(max_length=7)
SOURCE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}"
    "{% endfor %}[assistant]"
)
OWN = ChatTemplate(SOURCE, {"bos_token": "<s>", "eos_token": "</s>"})
templates = pytest.mark.parametrize("template", [CHINESE, OWN], ids=["roles", "jinja"])


@pytest.fixture(scope="module")
def task():
    keras.utils.set_random_seed(8)
    tokenizer = BytePairTokenizer.train(LINES, 290)
    model = Llama(Config(tokenizer.vocab_size, max_length=120, window=40, **SIZES))
    model.build(None)
    for weight in model.weights:  # far from even, so that answers depend on what was said
        if len(weight.shape) == 2:
            weight.assign(12.0 * weight)
    return TextGeneration(
        model, tokenizer, strategy=Greedy(), limits=LIMITS, chat_template=OWN, stop="\n\n"
    )


def common(one, other):
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


@templates
def test_a_turn_reads_only_what_is_new_and_answers_as_if_it_read_everything(task, template):
    chat = Chat(task, "请简短。", template)
    for text in ("公园大吗？", "why", "再说一次"):
        alone = Chat(task, "请简短。", template)
        alone.messages = list(chat.messages)
        held, read = list(chat._reading.ids), chat.num_read
        prompt = chat._prompts.ids([*chat.messages, {"role": "user", "content": text}])
        answer = chat.send(text)
        assert alone.send(text) == answer
        assert alone._reading.ids == chat._reading.ids
        assert alone.num_read == len(chat._reading.ids)
        assert alone.num_read - (chat.num_read - read) == common(held, prompt)
        for ours, theirs in zip(*map(cached, (chat, alone)), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)
    # The whole conversation up to the last answer but one is not read again.
    assert chat.num_read < 1.5 * len(chat._reading.ids)
    roles = [message["role"] for message in chat.messages]
    assert roles == ["system", *["user", "assistant"] * 3]


def cached(chat):
    """Keys and values of a conversation, and the logits of its next token."""
    cache, ids = chat._reading.cache, chat._reading.ids
    logits, _ = chat.task.model.decode(tf.constant([[5]]), cache, len(ids))
    return [logits, *tf.nest.flatten(cache["step"]["layers"])]


def test_a_stream_is_the_answer_and_the_same_seed_gives_it_again(task):
    hot = Sample(temperature=1.2)
    sent, streamed, other = (Chat(task, strategy=hot) for _ in range(3))
    answer = sent.send("茶", seed=3)
    pieces = list(streamed.stream("茶", seed=3))
    assert "".join(pieces) == answer == answer.strip()
    assert sent.messages == streamed.messages
    assert sent.messages[-1] == {"role": "assistant", "content": answer}
    assert other.send("茶") != Chat(task, strategy=hot).send("茶")


def test_a_stream_that_is_closed_leaves_the_conversation_as_it_was(task):
    chat = Chat(task)
    first = chat.send("hello")
    before = list(chat.messages)
    stream = chat.stream("and then")
    next(stream)
    stream.close()
    assert chat.messages == before
    again = Chat(task)
    assert again.send("hello") == first
    assert again.send("other") == chat.send("other")


def test_a_conversation_that_is_too_long_is_an_error_unless_turns_may_be_dropped(task):
    chat, dropping = (Chat(task, "短", ENGLISH, drop_oldest=drop) for drop in (False, True))
    long = "公园很大。" * 2
    with pytest.raises(
        ValueError, match=r"the conversation must be at most 113 tokens.*max_length=7"
    ):
        for _ in range(9):
            chat.send(long)
    assert chat.forgotten == []
    said = []
    for _ in range(5):
        dropping.send(long)
        said += dropping.messages[-2:]
    kept = dropping.messages[1:]
    assert dropping.messages[0] == {"role": "system", "content": "短"}
    assert dropping.forgotten + kept == said
    assert dropping.forgotten
    with pytest.raises(ValueError, match="in 2 messages, max_length=7, drop_oldest=True"):
        Chat(task, "短", ENGLISH, drop_oldest=True).send("公" * 99)
    with pytest.raises(ValueError, match="`max_length` must be less than the model's 120"):
        Chat(task, limits=Limits(120))


def test_the_checkpoint_s_template_is_used_and_a_string_is_one_with_its_tokens(task, monkeypatch):
    prompt = Chat(task)._prompts.ids([{"role": "user", "content": "大"}])
    assert task.tokenizer.detokenize([prompt]).numpy()[0].decode() == "[user]大[assistant]"
    assert prompt[0] == task.tokenizer.bos_id
    given = Chat(task, template="{{ bos_token }}" + SOURCE)
    assert given._prompts.ids([{"role": "user", "content": "大"}]) == [prompt[0], *prompt]
    monkeypatch.setattr(task, "chat_template", None)
    plain = Chat(task)._prompts.ids([{"role": "user", "content": "大"}])
    assert task.tokenizer.detokenize([plain]).numpy()[0].decode() == "User: 大\nAssistant:"


def test_an_answer_ends_where_the_next_turn_would_begin(task):
    free = Chat(task).send("hello")
    end = free[1:3]
    roles = RoleTemplate(ENGLISH.turns, ENGLISH.reply, (end,))
    whole = Chat(task, template=ENGLISH, stop="xyz")
    cut = Chat(task, template=roles)
    assert whole.stop == ("\n\n", "xyz", "\nUser:")
    assert cut.stop == ("\n\n", end)
    text, shorter = whole.send("hello"), Chat(task, template=ENGLISH, stop="a").send("hello")
    assert shorter == text.partition("a")[0].strip()
    assert Chat(task, stop=end).send("hello") == free.partition(end)[0].strip()


def test_a_beam_does_not_chat(task):
    with pytest.raises(ValueError, match="`strategy` must be Greedy or Sample.*Beam"):
        Chat(task, strategy=Beam(2))


@pytest.mark.parametrize("text", ["", " \n", " 你 好 \n", "a\n\nb", "\u3000大 "])
def test_white_space_around_an_answer_is_left_out(text):
    for size in (1, 2, 9):
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        found = list(stripped(iter(pieces)))
        assert "".join(found) == text.strip()
        assert all(found)
