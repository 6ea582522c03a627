import keras
import pytest
import tensorflow as tf

from tflm.generation import Beam, Greedy, Limits, Sample
from tflm.models import ARCHITECTURES
from tflm.tasks import Summarization
from tflm.tasks.prompted_stream import most_tokens
from tflm.tokenizers import SentencePieceTokenizer

TEXTS = ["Anna wants tea", "张三 喝茶", "", "tea 喝茶 " * 30]
SIZES = {
    "gpt2": {"hidden_dim": 24, "ffn_dim": 40, "num_heads": 3, "num_layers": 1, "max_length": 60},
    "lstm_lm": {"hidden_dim": 20, "num_layers": 1},
}
LIMITS = Limits(max_length=11, no_repeat_ngram_size=2)


@pytest.fixture(scope="module", params=["gpt2", pytest.param("lstm_lm", marks=pytest.mark.slow)])
def task(request):
    tokenizer = SentencePieceTokenizer.train(["TL;DR:", "摘要：", *TEXTS[:2]] * 3, 300)
    keras.utils.set_random_seed(3)
    network = ARCHITECTURES[request.param]
    model = network(network.Config(tokenizer.vocab_size, **SIZES[request.param]))
    model.build(None)
    for weight in model.weights:  # far from even, so that answers differ by text
        if len(weight.shape) == 2:
            weight.assign(8.0 * weight)
    options = {"prompt": "{text} 摘要：", "limits": LIMITS, "max_source_length": 37}
    return Summarization(model, tokenizer, strategy=Greedy(), **options)


def test_a_stream_joins_to_the_answer(task):
    pieces = [list(task.stream(text)) for text in TEXTS]
    assert ["".join(each) for each in pieces] == task(TEXTS)
    assert pieces[2] == [] and all(all(each) for each in pieces) and len(pieces[0]) > 1


def test_a_short_text_gets_a_short_answer(task):
    whole = "".join(task.stream(TEXTS[0]))
    stream = task._functions["stream", task.strategy, task.limits]
    read = len(task.source_tokenizer.tokenize([TEXTS[0]]).to_list()[0]) + task.prompted.num_special
    short = list(stream.pieces(TEXTS[0], 11, 4.5 / read, 0))
    assert short == list(stream.pieces(TEXTS[0], 4, None, 0))
    assert len("".join(short)) < len(whole)


def test_lengths_are_rounded_as_the_graph_rounds_them(task):
    sizes = range(1, 400)
    differ = 0
    for ratio in (0.13, 0.29, 0.35, 0.58, 1.9):
        module = Summarization(
            task.model,
            task.source_tokenizer,
            max_source_length=37,
            limits=LIMITS,
            max_length_ratio=ratio,
        ).text_to_text()
        expected = module._max_lengths(tf.sequence_mask(list(sizes))).numpy().tolist()
        assert [most_tokens(size, ratio) for size in sizes] == expected
        differ += sum(int(size * ratio) != most_tokens(size, ratio) for size in sizes)
    assert differ > 3  # in float64


def test_a_seed_repeats_what_was_drawn(task):
    def drawn(seed):
        return "".join(task.stream(TEXTS[1], strategy=Sample(temperature=1.1), seed=seed))

    assert drawn(1) == drawn(1) != drawn(2)
    assert drawn(None) != drawn(None)


def test_a_beam_and_too_long_an_answer_are_refused(task):
    with pytest.raises(ValueError, match="`strategy` must be Greedy or Sample"):
        task.stream("tea", strategy=Beam(2))
    if hasattr(task.model.config, "max_length"):
        with pytest.raises(ValueError, match="`max_length` and `max_source_length`"):
            task.stream("tea", limits=Limits(max_length=40))
