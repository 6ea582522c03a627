"""The growth tables without their libraries: what is printed, and when it is too much."""

import importlib
import json
import pathlib
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parents[2] / "benchmarks"
ROWS = [{"written": 16, "ms a step": 3.0}, {"written": 64, "ms a step": 4.0}]


@pytest.fixture(scope="module")
def growth():
    """The module, which imports its neighbours as scripts do."""
    path, before = list(sys.path), set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("growth")
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_growth_is_of_the_longest_to_a_short_text_or_not_known(growth):
    assert growth.growth_of_steps(ROWS) is None
    assert growth.growth_of_steps([*ROWS, {"written": 1024, "ms a step": 7.0}]) == 1.75


def test_a_table_has_its_columns_under_their_names(growth, capsys):
    growth.show("decoding", [{"kind": "语言", "count": 12345, "s": 0.012345, "MiB": 4321.0}])
    title, names, values = capsys.readouterr().out.splitlines()
    assert title == "decoding"
    assert names.split() == ["kind", "count", "s", "MiB"]
    assert values.split() == ["语言", "12,345", "0.0123", "4,321"]


@pytest.mark.parametrize(("longest", "code"), [(10.0, 0), (10.1, 1), (None, 1)])
def test_the_command_fails_where_decoding_grows_too_much_or_is_not_measured(
    growth, monkeypatch, tmp_path, longest, code
):
    rows = [*ROWS, *([{"written": 1024, "ms a step": longest}] if longest else [])]
    tables = {"decoding against length": rows, "decoding against batch": ROWS}
    monkeypatch.setitem(growth.QUESTIONS, "decode", lambda options: tables)
    path = tmp_path / "found.json"
    monkeypatch.setattr(sys, "argv", ["growth.py", "decode", "--check", "--out", str(path)])
    with pytest.raises(SystemExit) as stopped:
        growth.main()
    assert stopped.value.code == code
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["decoding against length"] == rows
    assert [each.name for each in tmp_path.iterdir()] == ["found.json"]


def test_a_question_that_there_is_not_is_refused(growth, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["growth.py", "decoding"])
    with pytest.raises(SystemExit):
        growth.main()
    assert "must be one of decode, training" in capsys.readouterr().err
