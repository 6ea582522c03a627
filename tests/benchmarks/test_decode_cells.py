"""The cells of the decoding comparison: names, work, rows, targets."""

import dataclasses
import importlib
import pathlib
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def cells():
    """The module, which imports its neighbours as scripts do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("decode_cells")
    for name in ("decode_cells", "rounds"):
        sys.modules.pop(name, None)


def test_a_pattern_gives_its_cells_and_a_full_name_any_batch(cells):
    found = cells.cells_named(["marian/*/beam4", "gpt2/7/greedy", "marian/4/beam4"], 128)
    names = [cell.name for cell in found]
    assert names == [*(f"marian/{batch}/beam4" for batch in (1, 4, 32, 128)), "gpt2/7/greedy"]
    assert found[-1] == cells.Cell("gpt2", 7, 1)
    assert len(cells.cells_named(["*"], 128)) == 10


@pytest.mark.parametrize("pattern", ["bart/1/greedy", "marian/129/greedy", "marian/1/beam5"])
def test_a_cell_that_there_is_not_is_refused(cells, pattern):
    with pytest.raises(ValueError, match=f"at most 128.*Received: '{pattern}'"):
        cells.cells_named([pattern], 128)


def test_rows_are_as_long_as_said_and_hold_one_special_token(cells):
    for network in cells.NETWORKS.values():
        rows, end = network.rows(3), network.special["eos"]
        assert rows == network.rows(5)[:3]
        assert {len(row) for row in rows} == {network.num_read}
        where = -1 if network.has_encoder else 0
        for row in rows:
            assert row[where] == end
            assert not set(row[1:-1]) & set(network.special.values())


def test_a_step_reads_the_weights_of_its_products(cells):
    marian, gpt2 = cells.NETWORKS["marian"], cells.NETWORKS["gpt2"]
    # Table 3 of Vaswani et al. 2017 counts 65 million with a vocabulary of 37,000: the decoder's
    # 25.2 without two of the products with the source, and the vocabulary's 16.4.
    assert marian.weights_of_step == 6 * (6 * 512**2 + 2 * 512 * 2048) + 32000 * 512
    # The published 124 million without positions, biases and scales.
    assert gpt2.weights_of_step == 12 * (4 * 768**2 + 2 * 768 * 3072) + 50257 * 768


def test_work_is_counted_as_by_hand(cells):
    # Width 2, feed-forward 3: a decoder block multiplies by 16 + 12 weights, an encoder's too.
    tiny = cells.Network("tiny", 5, 2, 3, 1, 1, False, 4, 2, "relu")
    read = (28 * 4 + 2 * 4**2 + 5 * 2) * 7  # seven prompts of four tokens, then the vocabulary
    step = (28 + 5 * 2 + 2 * 2 * 5) * 7  # the second token sees four and itself
    assert tiny.flops(7, 1) == 2 * (read + step)
    both = dataclasses.replace(tiny, has_encoder=True)
    read = (28 * 4 + 8 * 4 + 2 * 2 * 4**2) * 7
    step = (24 + 12 + 5 * 2 + 2 * 2 * (4 + 1.5)) * 7 * 3  # one and two tokens, and the source
    assert both.flops(7, 3) == 2 * (read + 2 * step)


def test_a_target_is_met_by_the_best_of_each_side(cells):
    seconds = {
        "tflm default": [2.0, 2.0, 2.0],
        "tflm bfloat16": [1.0, 1.0, 2.0],
        "CTranslate2 float32": [9.0],
        "CTranslate2 int8": [1.5, 0.9, 1.8],
    }
    (verdict,) = cells.verdicts("marian/32/greedy", {"CTranslate2": seconds})  # the peer that ran
    assert (verdict["peer"], verdict["ours"]) == ("CTranslate2 int8", "tflm bfloat16")
    assert verdict["ratio"] == pytest.approx(0.9)
    assert verdict["least"] == 1.0 and not verdict["met"]
    assert cells.ratios(seconds, "tflm default")["CTranslate2 float32"] == 4.5


def test_the_best_of_a_peer_meets_a_target_of_its_library(cells):
    seconds = {
        "tflm default": [2.0, 1.0, 4.0],
        "KerasHub float32": [99.0],
        "KerasHub bfloat16 XLA": [20.0, 12.0, 39.0],
    }
    easy, hard = cells.verdicts("marian/32/beam4", {"KerasHub": seconds})
    assert easy["peer"] == hard["peer"] == "KerasHub bfloat16 XLA"
    assert easy["ratio"] == hard["ratio"] == 10.0
    assert (easy["least"], hard["least"]) == (2.5, 10.0)
    assert easy["met"] and hard["met"]


def test_every_target_names_cells_that_there_are(cells):
    for target in cells.TARGETS:
        assert cells.library(target.peer) in cells.PEERS
        for pattern in target.cells:
            assert cells.cells_named([pattern], 128)
