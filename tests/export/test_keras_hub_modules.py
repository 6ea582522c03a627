import pytest
import tensorflow as tf

from tflm.export.keras_hub_modules import CausalLM, HubModule
from tflm.export.keras_hub_tokenizer import Frame


class Loud(HubModule):
    """Answers each text with itself, if it is no more than one letter."""

    def __init__(self):
        tf.Module.__init__(self)
        self._task = lambda: self

    def inputs(self, texts):
        return {"text": texts}, tf.strings.length(texts) > 1

    def answer(self, inputs):
        return {"text": tf.ensure_shape(inputs["text"], [self.size])}

    expected = settings = limits = None


def test_a_task_that_needs_batches_of_one_size_is_refused():
    module = Loud()
    module.size = None
    found = module.signatures()["serving_default"](tf.constant(["a", "你好"]))
    assert found["text"].numpy().tolist() == [b"a", "你好".encode()]
    assert found["truncated"].numpy().tolist() == [False, True]
    assert module.answers(tf.constant([], tf.string))["text"].shape == (0,)
    module.size = "three"
    with pytest.raises(ValueError, match="batches of any size; .* Received: Loud, which fails"):
        module.signatures()


def test_an_empty_prompt_begins_with_the_end_where_nothing_begins_a_text():
    module = CausalLM.__new__(CausalLM)
    tf.Module.__init__(module)
    module._stop_ids = [9]
    inputs = {
        "token_ids": tf.constant([[0, 0, 0], [4, 5, 0]]),
        "padding_mask": tf.constant([[False, False, False], [True, True, False]]),
    }
    module._written = Frame((7,), (), 0, 3)
    assert module._begun(inputs) is inputs
    module._written = Frame((), (), 0, 3)
    begun = module._begun(inputs)
    assert begun["token_ids"].numpy().tolist() == [[9, 0, 0], [4, 5, 0]]
    assert begun["padding_mask"].numpy().tolist() == [[True, False, False], [True, True, False]]
