import json

import pytest

from tflm.tasks.tokenizer_text import tokenizer_from_text, tokenizer_to_text
from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer

TEXTS = ["two dogs", "公园很大。", "a\nb"]


@pytest.mark.parametrize(
    "tokenizer",
    [SentencePieceTokenizer.train(TEXTS, 300, "char"), BytePairTokenizer.train(TEXTS, 262)],
    ids=lambda tokenizer: type(tokenizer).__name__,
)
def test_any_tokenizer_survives_as_json(tokenizer):
    text = json.dumps(tokenizer_to_text(tokenizer))
    back = tokenizer_from_text(json.loads(text))
    assert type(back) is type(tokenizer)
    assert back.tokenize(TEXTS).to_list() == tokenizer.tokenize(TEXTS).to_list()


def test_files_of_no_tokenizer_are_refused():
    with pytest.raises(FileNotFoundError, match="`directory` must hold one of"):
        tokenizer_from_text({"readme": ""})
