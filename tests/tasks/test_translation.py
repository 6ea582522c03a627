import tensorflow as tf

from tflm.generation import Greedy, Limits


def test_a_translation_is_at_most_three_times_as_long_as_its_source(make_task):
    limits = Limits(max_length=90, min_length=90)
    task = make_task(strategy=Greedy(), limits=limits, max_source_length=20)
    module = task.text_to_text()
    lengths = module._max_lengths(tf.sequence_mask([1, 2, 11]))
    assert lengths.numpy().tolist() == [23, 26, 53]
    assert task.n_best(["one"])["truncated"] == [True]
