"""The decoding comparison's table: what its columns hold."""

import importlib
import pathlib
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parents[2] / "benchmarks"
RATES = {"float32": 1e11, "bfloat16": 4e11, "memory": 2e10}


@pytest.fixture(scope="module")
def modules():
    """The report and the cells, which import their neighbours as scripts do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield tuple(map(importlib.import_module, ("decode_report", "decode_cells")))
    for name in ("decode_report", "decode_cells", "rounds"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def rows(modules):
    report, cells = modules
    cell, network = cells.Cell("marian", 1, 1), cells.NETWORKS["marian"]
    by_peer = {
        "CTranslate2": {
            "tflm default": [0.4, 0.4, 0.8],
            "tflm bfloat16 frozen": [0.2, 0.2, 0.2],
            "CTranslate2 int8": [0.1, 0.1, 0.3],
        },
        "KerasHub": {
            "tflm default": [0.6, 0.4, 0.4],
            "tflm bfloat16 frozen": [0.2, 0.2, 0.2],
            "KerasHub float32": [8.0],
            "KerasHub float32 XLA": [1.0, 2.0, 2.0],
        },
    }
    return cell, network, report.summary(cell, by_peer, network, RATES)


def test_times_are_medians_over_all_rounds_for_a_step(rows):
    _, network, found = rows
    assert network.num_written == 32
    assert found["tflm default"]["ms_a_step"] == pytest.approx(1e3 * 0.4 / 32)
    assert found["tflm default"]["rounds"] == 6
    assert found["KerasHub float32"]["rounds"] == 1


def test_ratios_are_medians_of_the_rounds_of_both(rows):
    _, _, found = rows
    assert found["KerasHub float32"]["to_best"] == pytest.approx(40.0)
    assert found["KerasHub float32 XLA"]["to_default"] == pytest.approx(5.0)
    assert found["CTranslate2 int8"]["to_default"] == pytest.approx(0.25)
    assert "to_best" not in found["tflm default"]


def test_shares_are_of_what_the_side_multiplies(rows):
    cell, network, found = rows
    flops, weights = network.flops(cell.batch, cell.beams), network.weights_of_step
    fast = found["tflm bfloat16 frozen"]
    assert fast["of_products"] == pytest.approx(flops / 0.2 / 4e11)
    assert fast["of_memory"] == pytest.approx(2 * weights * 32 / 0.2 / 2e10)
    assert found["CTranslate2 int8"]["of_products"] is None
    assert found["CTranslate2 int8"]["of_memory"] == pytest.approx(weights * 32 / 0.1 / 2e10)


def test_a_table_has_a_line_for_each_side(modules, rows):
    title, head, *lines = modules[0].table(*rows[:2], rows[2]).splitlines()
    assert title.startswith("marian/1/greedy: 3.4 GFLOP in 32 steps")
    assert len(lines) == len(rows[2])
    assert lines[0].split() == ["tflm", "default", "12.50", "8", "%", "61", "%"]
    assert lines[2].split()[:4] == ["CTranslate2", "int8", "3.12", "-"]
    assert lines[2].split()[-2:] == ["0.50", "0.25"]
    assert head.index("our default") > head.index("our best")


def test_rows_are_equal_token_for_token(modules):
    answers = {"a": [[1, 2], [3, 4], [5, 6]], "b": [[1, 2], [4, 3], [5, 6]]}
    assert modules[0].agreement(answers, "a") == {"a": 3, "b": 2}


def test_a_verdict_says_what_was_wanted(modules):
    verdict = {
        "cell": "marian/1/greedy",
        "peer": "KerasHub bfloat16",
        "ours": "tflm int8",
        "ratio": 2.754,
        "least": 2.5,
        "met": True,
    }
    said = "marian/1/greedy: KerasHub bfloat16 / tflm int8 2.75, >= 2.5: "
    assert modules[0].verdict_line(verdict) == f"{said}met"
    assert modules[0].verdict_line({**verdict, "met": False}) == f"{said}NOT MET"
