import sys

import pytest

from tflm.checkpoints import ChatTemplate
from tflm.tasks.chat_template import CHINESE, ENGLISH, JinjaTemplate, Prompts
from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer

LINES = ["the cat sat on the mat.", "公园很大。我喝茶。", "[user] hello"] * 9
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "公园大吗？"},
    {"role": "assistant", "content": "很大。"},
    {"role": "user", "content": "{content} </s>"},
]
SOURCE = """{{ bos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' %}{% continue %}{% endif %}
    {{- '[' + message['role'] + '] ' + message['content'] + eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}[assistant]{% endif %}"""
TEMPLATE = ChatTemplate(SOURCE, {"bos_token": "<s>", "eos_token": "</s>"})


@pytest.fixture(scope="module")
def bytes_tokenizer():
    return BytePairTokenizer.train(LINES, 290)


def test_roles_are_written_as_plain_text():
    assert ENGLISH.render(MESSAGES[:2]) == "Be brief.\n\nUser: 公园大吗？\nAssistant:"
    assert CHINESE.render(MESSAGES[1:]) == (
        "用户：公园大吗？\n助手：很大。\n用户：{content} </s>\n助手："
    )
    with pytest.raises(ValueError, match="`role` must be one of system, .* Received: role='tool'"):
        ENGLISH.render([{"role": "tool", "content": "x"}])


def test_a_jinja_template_is_rendered_as_its_checkpoint_wants_it():
    assert JinjaTemplate(TEMPLATE).render(MESSAGES[:3]) == (
        "<s>[user] 公园大吗？</s>[assistant] 很大。</s>[assistant]"
    )
    source = "{{ messages | tojson }}{{ messages[0] | tojson(indent=1) }}{{ strftime_now('%%') }}"
    found = JinjaTemplate(ChatTemplate(source)).render([{"role": "user", "content": "<大>"}])
    assert found == (
        '[{"role": "user", "content": "<大>"}]{\n "role": "user",\n "content": "<大>"\n}%'
    )


def test_a_template_that_refuses_a_conversation_says_so():
    refusing = JinjaTemplate(ChatTemplate("{{ raise_exception('no system') }}"))
    with pytest.raises(ValueError, match="it says: no system. Received: system, user"):
        refusing.render(MESSAGES[:2])
    with pytest.raises(ValueError, match="`template` must be a Jinja template.*TemplateSyntaxErr"):
        JinjaTemplate(ChatTemplate("{% for %}"))


@pytest.mark.parametrize("source", ["{{ messages.append(1) }}", "{{ ''.__class__.__mro__[1]() }}"])
def test_a_template_reaches_nothing_and_changes_nothing(source):
    with pytest.raises(ValueError, match="the template must take the conversation; it says"):
        JinjaTemplate(ChatTemplate(source)).render(MESSAGES)


def test_plain_text_stands_behind_what_begins_every_text(bytes_tokenizer):
    ids = Prompts(CHINESE, bytes_tokenizer, bytes_tokenizer.bos_id).ids(MESSAGES)
    text = CHINESE.render(MESSAGES)
    assert ids == [bytes_tokenizer.bos_id, *bytes_tokenizer.tokenize([text]).to_list()[0]]


def test_a_special_token_of_the_template_is_one_and_that_of_a_user_is_text(bytes_tokenizer):
    ids = Prompts(TEMPLATE, bytes_tokenizer, 99).ids(MESSAGES)
    text = JinjaTemplate(TEMPLATE).render(MESSAGES[:3])
    begun = bytes_tokenizer.tokenize([text.removesuffix("[assistant]")], special_tokens=True)
    begun = begun.to_list()[0]
    assert ids[: len(begun)] == begun
    assert ids.count(bytes_tokenizer.eos_id) == 3  # one a turn
    assert (
        bytes_tokenizer.detokenize([ids])
        .numpy()[0]
        .decode()
        .endswith("[user] {content} </s>[assistant]")
    )


def test_special_tokens_stand_between_the_texts_of_sentencepiece():
    tokenizer = SentencePieceTokenizer.train(LINES, 310)
    ids = Prompts(TEMPLATE, tokenizer, 99).ids(MESSAGES[1:3])
    first, second, last = tokenizer.tokenize(
        ["[user] 公园大吗？", "[assistant] 很大。", "[assistant]"]
    ).to_list()
    assert ids == [
        *[tokenizer.bos_id, *first, tokenizer.eos_id],
        *[*second, tokenizer.eos_id, *last],
    ]


def test_a_tokenizer_without_special_tokens_takes_a_template_too():
    bare = BytePairTokenizer.train(LINES, 270, roles={})
    ids = Prompts(ChatTemplate("{{ messages[0].content }}"), bare, 99).ids(MESSAGES)
    assert bare.detokenize([ids]).numpy()[0] == b"Be brief."


def test_without_jinja_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"needs jinja2: pip install 'tflm\[chat\]'"):
        JinjaTemplate(TEMPLATE)
