import types

import keras
import pytest
import tensorflow as tf

from tflm import machine
from tflm.tasks import fastest
from tflm.tasks.fastest import num_threads, serving_dtype, training_dtype
from tflm.tasks.variants import variant_of


@pytest.fixture
def processor(monkeypatch):
    """A function that says what the processor multiplies."""

    def set_to(bfloat16=False, int8=False):
        monkeypatch.setattr(machine, "multiplies_bfloat16", lambda: bfloat16)
        monkeypatch.setattr(machine, "multiplies_int8", lambda: int8)

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: [])
    monkeypatch.setattr(fastest, "_LEAST_WIDTH", 1)
    return set_to


@pytest.mark.parametrize("able", [False, True])
def test_training_is_in_what_the_processor_multiplies(processor, able):
    processor(bfloat16=able)
    dtype, why = training_dtype()
    assert dtype == ("mixed_bfloat16" if able else "float32")
    assert (
        why
        == f"the processor {'multiplies' if able else 'is not known to multiply'} bfloat16"
        + ("" if able else " faster")
    )


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [([(8, 0), (9, 0)], "mixed_bfloat16"), ([(9, 0), (7, 5)], "float32"), ([None], "float32")],
)
def test_all_gpus_must_multiply_bfloat16(processor, monkeypatch, capabilities, dtype):
    processor(bfloat16=True)
    details = [{"compute_capability": each} if each else {} for each in capabilities]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: range(len(details)))
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details[gpu])
    assert training_dtype().dtype == dtype


@pytest.mark.parametrize(
    ("able", "freeze", "dtype"),
    [
        ({}, False, "float32"),
        ({"int8": True}, False, "w8a8"),
        ({"int8": True, "bfloat16": True}, False, "w8a8"),
        ({"int8": True, "bfloat16": True}, True, "bfloat16"),
        ({"int8": True}, True, "float32"),
    ],
)
def test_what_writes_is_served_in_what_the_processor_multiplies(
    processor, make_task, able, freeze, dtype
):
    processor(**able)
    task = make_task()
    chosen = serving_dtype(task, freeze)
    assert chosen.dtype == dtype and chosen.why
    assert variant_of(task, chosen.dtype, freeze).weights()["dtype"] == dtype


def test_only_what_writes_text_with_our_network_on_a_processor_is_in_eight_bits(
    processor, make_task, monkeypatch
):
    processor(int8=True, bfloat16=True)
    model = make_task().model
    scores = types.SimpleNamespace(model=model)
    assert serving_dtype(scores) == ("float32", "its scores are to stay as they were evaluated")
    theirs = types.SimpleNamespace(model=keras.Sequential(), strategy="greedy")
    assert serving_dtype(theirs) == ("float32", "the network is not one of this package")
    ours = types.SimpleNamespace(model=model, strategy="greedy")
    assert serving_dtype(ours).dtype == "w8a8"
    monkeypatch.setattr(fastest, "_LEAST_WIDTH", model.config.hidden_dim + 1)
    assert serving_dtype(ours).dtype == "float32"
    assert serving_dtype(ours).why == f"eight bits pay from a width of {fastest._LEAST_WIDTH} on"
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["a GPU"])
    assert serving_dtype(ours) == ("float32", "there is a GPU")


def test_threads_are_those_that_tensorflow_uses(monkeypatch):
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 0)
    monkeypatch.setattr(machine, "num_cpus", lambda: 5)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    assert num_threads() == 5
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    assert num_threads() == 7
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 3)
    assert num_threads() == 3
