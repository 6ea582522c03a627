import types

import numpy as np
import pytest

from tflm.export.keras_hub_rehearsal import rehearse


class Writer:
    """A task that reads letters as their numbers and stops at two of them."""

    generate_function = None

    def generate(self, texts, max_length=None):
        ids = np.array([[ord(letter) for letter in text.ljust(max_length)] for text in texts])
        found = self.generate_function(
            {"ids": ids, "images": None}, stop_token_ids=(97, np.int32(8))
        )
        return ["".join(map(chr, row)) for row in found["ids"]]


def test_what_generate_does_around_its_network_is_found_out():
    task = Writer()
    task.generate_function = own = object()
    found = rehearse(task, ["ab", "你"], 3)
    assert {name: array.tolist() for name, array in found.inputs.items()} == {
        "ids": [[97, 98, 32], [0x4F60, 32, 32]]
    }
    assert found.stop_ids == [97, 8]
    assert found.texts == ["ab ", "你  "]
    assert rehearse(task, ["ab"], 3, {"ids": np.array([[0x597D], [99]])}).texts == ["好", "c"]
    assert task.generate_function is own


def test_a_task_that_reads_more_than_text_is_refused():
    def generate(inputs, max_length=None):
        return inputs["images"]

    task = types.SimpleNamespace(generate=generate, generate_function=None)
    message = "write text from text alone; .* Received: SimpleNamespace, .* TypeError: list indices"
    with pytest.raises(ValueError, match=message):
        rehearse(task, ["a"])
    assert task.generate_function is None
