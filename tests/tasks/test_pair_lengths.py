import pytest

from tflm.models import bart, gpt2, transformer
from tflm.tasks.pair_lengths import PairLengths

_SIZES = {"hidden_dim": 12, "ffn_dim": 20, "num_heads": 3}
_LAYERS = {"num_encoder_layers": 1, "num_decoder_layers": 1}


@pytest.fixture(scope="module")
def of_bart():
    config = bart.Config(37, **_SIZES, **_LAYERS, max_length=24)
    return PairLengths(bart.Bart(config))


@pytest.fixture(scope="module")
def of_sinusoids():
    return PairLengths(transformer.Transformer(transformer.Config(37, **_SIZES, **_LAYERS)))


def test_tokens_that_stand_before_a_target_take_positions_from_it(of_bart):
    assert (of_bart.positions, of_bart.num_around, of_bart.num_forced) == (24, 2, 1)
    assert of_bart.longest_target == 23
    assert (of_bart.source(1000), of_bart.source(9)) == (24, 9)
    assert (of_bart.target(1000), of_bart.target(9)) == (23, 9)


def test_sinusoids_have_positions_for_any_length(of_sinusoids):
    assert of_sinusoids.positions is None and of_sinusoids.longest_target is None
    assert (of_sinusoids.source(1000), of_sinusoids.target(999)) == (1000, 999)
    of_sinusoids.check_source(10**6)
    of_sinusoids.check_training_target(10**6)
    of_sinusoids.check_scored_target(10**6)
    with pytest.raises(ValueError, match="the 1 special tokens of a source. Received: .*=1"):
        of_sinusoids.check_source(1)


def test_a_decoder_has_no_source_of_its_own():
    config = gpt2.Config(37, **_SIZES, num_layers=1, max_length=31)
    lengths = PairLengths(gpt2.GPT2(config))
    assert (lengths.positions, lengths.num_around, lengths.num_forced) == (31, 0, 0)
    lengths.check_source(0)


def test_the_lengths_at_the_edge_are_taken_and_the_next_refused(of_bart):
    of_bart.check_source(24)
    of_bart.check_source(3)
    for length in (2, 25):
        with pytest.raises(ValueError, match=f"2 special.* model's 24 positions. .*={length}"):
            of_bart.check_source(length)
    of_bart.check_training_target(23)
    with pytest.raises(ValueError, match="`max_length` must be at most 23, .*max_length=24"):
        of_bart.check_training_target(24)
    of_bart.check_scored_target(23)
    with pytest.raises(ValueError, match="`pairs` .* at most 23 tokens, .* one of 24 tokens"):
        of_bart.check_scored_target(24)
