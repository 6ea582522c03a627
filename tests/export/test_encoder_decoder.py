import tensorflow as tf

from tflm.export import TextToText
from tflm.generation import Greedy, Limits


def test_a_model_that_finds_no_end_is_stopped_and_reported(make_task):
    task = make_task()
    module = TextToText(
        task.model,
        task.source_tokenizer,
        task.target_tokenizer,
        strategy=Greedy(),
        limits=Limits(max_length=90, min_length=90),
        max_source_length=11,
        max_length_ratio=0.5,
        extra_length=20,
    )
    found = module.hypotheses(tf.constant(["", "one", "one " * 30]))
    assert found["truncated"].numpy().tolist() == [False, True, True]
    mask = tf.sequence_mask([1, 2, 11])
    assert module._max_lengths(mask).numpy().tolist() == [20, 21, 25]
    module.max_length_ratio = None
    assert module._max_lengths(mask) is None
