import pytest
import tensorflow as tf
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from tflm.tokenizers.special_tokens import SpecialToken, SpecialTokens, read_special_tokens

TOKENS = [
    SpecialToken("<s>", 300),
    SpecialToken("<s>>", 301),
    SpecialToken("<mask>", 302, takes_left=True),
    SpecialToken("[END].*", 303, takes_right=True),
    SpecialToken("<think>", 304, special=False),
]
TEXTS = [
    "",
    "a<s>b",
    "<s><s>><s>",
    "a \u3000\n<mask> b",
    "[END].* \t x [END].* ",
    "<think>a</think><s",
    "中<s>文 <mask><mask>",
    "[END]xyz plain",
    "zero\x00byte<s>\x00<think>\x00",
]


def code_points(texts):
    return tf.strings.unicode_decode(texts, "UTF-8")


@pytest.fixture(scope="module")
def library():
    vocab = {chr(c): c for c in {ord(c) for text in TEXTS for c in text}} | {"unk": 299}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="unk"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    for token in TOKENS:
        vocab[token.content] = token.id
    tokenizer.model = models.WordLevel(vocab, unk_token="unk")
    tokenizer.add_tokens(
        [
            AddedToken(t.content, lstrip=t.takes_left, rstrip=t.takes_right, special=t.special)
            for t in TOKENS
        ]
    )
    return tokenizer


@pytest.mark.parametrize("asked", [False, True])
def test_tokens_are_found_as_the_library_finds_them(library, asked):
    found = SpecialTokens(TOKENS, {}).tokenize_around(tf.constant(TEXTS), code_points, asked)
    library.encode_special_tokens = not asked
    assert found.to_list() == [library.encode(text).ids for text in TEXTS]


def test_plain_text_is_left_alone_unless_asked():
    special = SpecialTokens(TOKENS[:4], {"bos": "<s>"})
    [ids] = special.tokenize_around(tf.constant(["x<s>"]), code_points, False).to_list()
    assert ids == [ord(c) for c in "x<s>"]
    [ids] = special.tokenize_around(tf.constant(["x<s>"]), code_points, True).to_list()
    assert ids == [ord("x"), 300]


def test_roles_have_ids():
    special = SpecialTokens(TOKENS, {"bos": "<s>", "cls": "<s>", "mask": "<mask>"})
    assert [special.id_of(role) for role in ("bos", "cls", "mask", "eos")] == [300, 300, 302, None]


def test_the_settings_make_the_same_tokens_again():
    special = SpecialTokens(TOKENS, {"bos": "<s>"})
    read = read_special_tokens({**special.to_config(), "other": 5})
    assert read == {"special_tokens": TOKENS, "roles": {"bos": "<s>"}, "other": 5}


def test_an_unknown_role_is_refused():
    with pytest.raises(ValueError, match="`roles` must be among pad, unk, .* role 'start'"):
        SpecialTokens(TOKENS, {"start": "<s>"})


def test_a_role_without_its_token_is_refused():
    with pytest.raises(ValueError, match="`roles` must name special tokens.*eos='</s>'"):
        SpecialTokens(TOKENS, {"eos": "</s>"})


@pytest.mark.parametrize("second", [SpecialToken("<s>", 9), SpecialToken("<t>", 300)])
def test_tokens_that_are_alike_are_refused(second):
    with pytest.raises(ValueError, match="`special_tokens` must differ in content and in id"):
        SpecialTokens([TOKENS[0], second], {})


def test_an_empty_token_is_refused():
    with pytest.raises(ValueError, match="`special_tokens` must not hold an empty token"):
        SpecialTokens([SpecialToken("", 4)], {})
