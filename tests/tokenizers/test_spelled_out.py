import pytest

from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer, WordPieceTokenizer
from tflm.tokenizers.pieces import Pieces
from tflm.tokenizers.spelled_out import SpelledOut

LINES = ["two dogs and a cat", "公园很大，我喝茶。", "walking, walked 😀", "go on in."] * 9
MASKS = ["[MASK]", "<extra_id_1>", "<extra_id_10>"]
WORDS = "two dogs and a cat 公 园 很 大 ， 我 喝 茶 。 walk ##ing ##ed , go on in .".split()
# What stands before a lost word, the word, and what stands behind it.
TEXTS = [
    ("two ", "dogs", " and a cat"),
    ("", "two", " dogs"),
    ("go on ", "in", "."),
    ("公园很", "大", "，我喝茶。"),
    ("walking, walked ", "😀", ""),
    ("", "a", ""),
]


def made(kind):
    if kind == "wordpiece":
        tokenizer = WordPieceTokenizer(["[UNK]", "[MASK]", *WORDS])
        tokens = {"[MASK]": tokenizer.mask_id}
    elif kind == "byte_pair":
        tokenizer = BytePairTokenizer.train(LINES, 300, roles={"mask": "[MASK]"})
        tokens = {"[MASK]": tokenizer.mask_id}
    else:
        size = 340 if kind == "bpe" else 400
        tokenizer = SentencePieceTokenizer.train(LINES, size, kind, control_symbols=MASKS)
        tokens = {content: tokenizer.mask_id + i for i, content in enumerate(MASKS)}
    return SpelledOut(tokenizer, Pieces.of(tokenizer), tokens)


@pytest.fixture(scope="module", params=["bpe", "char", "wordpiece", "byte_pair"])
def spelled(request):
    return made(request.param)


@pytest.fixture(scope="module")
def subwords():
    return made("bpe")


def ids_of(spelled, text):
    return spelled.tokenizer.tokenize([text]).to_list()[0]


@pytest.mark.parametrize(("before", "lost", "after"), TEXTS)
def test_the_ids_around_a_token_spell_what_stands_there(spelled, before, lost, after):
    (ids,) = spelled.tokenize([f"{before}[MASK]{after}"])
    place = ids.index(spelled.tokens["[MASK]"])
    left, right = (spelled.pieces.join(part).decode() for part in (ids[:place], ids[place + 1 :]))
    if not spelled.pieces.keeps_spaces:
        left, right, before, after = (x.replace(" ", "") for x in (left, right, before, after))
        after = after.replace("😀", "")
    elif spelled._takes_space:
        left, before = left.removeprefix(" "), before.rstrip(" ")
    assert (left, right) == (before, after)


def test_a_token_takes_the_place_of_a_whole_word(subwords):
    two, dogs, *others = ids_of(subwords, "two dogs and a cat")
    mask = subwords.tokens["[MASK]"]
    assert subwords.tokenize(["two [MASK] and a cat"]) == [[two, mask, *others]]
    assert subwords.tokenize(["[MASK] dogs and a cat"]) == [[mask, dogs, *others]]
    assert subwords.tokenize(["two dogs and a [MASK]"]) == [[two, dogs, *others[:-1], mask]]


@pytest.mark.parametrize(("before", "lost", "after"), TEXTS)
def test_a_text_is_whole_again_with_the_ids_of_what_it_lost(subwords, before, lost, after):
    ids = ids_of(subwords, before + lost)
    rest = len(ids_of(subwords, before.rstrip(" "))) if before.isascii() else -1
    span = ids[rest:] if before else ids
    if not before.isascii():  # a piece may hold more than the word
        span = ids_of(subwords, f"a{lost}")[1:]
    assert subwords.fill(f"{before}[MASK]{after}", [span]) == before + lost + after


def test_several_spans_are_put_in_their_places(spelled):
    dogs, walked = ids_of(spelled, "dogs"), ids_of(spelled, "walked")
    filled = spelled.fill("two [MASK] [MASK], 公园很大", [dogs, walked])
    if spelled.pieces.spelled[dogs[0]].startswith(b" ") or not spelled._takes_space:
        assert filled == "two dogs walked, 公园很大"
    else:  # bytes without a space in front go on with the word
        assert filled == "twodogswalked, 公园很大"


def test_plain_text_is_tokenized_as_ever(spelled):
    texts = ["two dogs", "公园很大。", "", " ", "[CLS] <s> </s>"]
    assert spelled.tokenize(texts) == [ids_of(spelled, text) for text in texts]
    assert spelled.tokenize([]) == []
    assert spelled.fill("two dogs", []) == "two dogs"


def test_of_two_tokens_the_longer_name_is_read(subwords):
    text = "a <extra_id_10> cat <extra_id_1>"
    assert subwords.find(text) == ["<extra_id_10>", "<extra_id_1>"]
    (ids,) = subwords.tokenize([text])
    found = [id_ for id_ in ids if id_ in subwords.tokens.values()]
    assert found == [subwords.tokens["<extra_id_10>"], subwords.tokens["<extra_id_1>"]]


def test_a_piece_that_goes_on_with_a_word_takes_the_space_away():
    tokenizer = WordPieceTokenizer(["[UNK]", "[MASK]", "walk", "##ing", "in"])
    spelled = SpelledOut(tokenizer, Pieces.of(tokenizer), {"[MASK]": 1})
    assert spelled.tokenize(["walk [MASK] in"]) == [[2, 1, 4]]
    assert spelled.fill("Walk [MASK] in", [[3]]) == "Walking in"
    assert spelled.fill("(Walk)[MASK]", [[4]]) == "(Walk)in"
