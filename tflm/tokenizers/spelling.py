"""What an id adds to a decoded text, which may depend on whether it is the first."""

from tflm.tokenizers.byte_pair import BytePairTokenizer
from tflm.tokenizers.loading import Tokenizer
from tflm.tokenizers.pieces import Pieces
from tflm.tokenizers.sentencepiece import SentencePieceTokenizer
from tflm.tokenizers.wordpiece import WordPieceTokenizer


def spelling(tokenizer: Tokenizer) -> tuple[list[bytes], list[bytes]]:
    """What each of V ids writes, as `detokenize` joins it.

    An id is the first that writes anything, or a later one. The bytes may end inside a character.

    Args:
        tokenizer: any tokenizer but Marian's, whose decoded text has its spaces cut off.

    Returns:
        What each id writes at the start of a text, and what it writes further on.
    """
    if isinstance(tokenizer, WordPieceTokenizer):
        first, later = (list(each.numpy()) for each in (tokenizer._first, tokenizer._later))
        for token in tokenizer.special_tokens:
            if token.special:
                first[token.id] = later[token.id] = b""
        return first, later
    later = Pieces.of(tokenizer).spelled
    drops_space = (
        tokenizer._adds_space
        if isinstance(tokenizer, SentencePieceTokenizer)
        else isinstance(tokenizer, BytePairTokenizer) and tokenizer._add_prefix_space
    )
    return [each.removeprefix(b" ") for each in later] if drops_space else later, later
