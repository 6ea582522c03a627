"""The READMEs run: every code block, in order, in an empty folder."""

import os
import pathlib
import re
import subprocess
import sys
import typing

import pytest

from tflm.tasks.runs import run_classes

ROOT = pathlib.Path(__file__).resolve().parents[1]
ALL_RECIPES = {name: run.RECIPES[name] for run in run_classes().values() for name in run.RECIPES}
READMES = ("README.md", "README.zh-CN.md")

# A reader's numbers give a good model after minutes; these give any model after seconds.
SHORTER = [
    (r"epochs=\d+", "epochs=1"),
    (r"--epochs \d+", "--epochs 1"),
    (r"every=\d+", "every=1"),
    (r"vocab_size=\d+", "vocab_size=350"),
    (r"^from tflm\.tasks\.demo_corpus import demo_pairs$", "{corpus}"),
    (r"^(python -m tflm\.tasks\.demo_corpus (\S+)).*$", r"\1; for split in \2/*; do {cut}; done"),
]
FEW_PAIRS = """\
def demo_pairs(split):
    from tflm.tasks import demo_corpus
    return demo_corpus.demo_pairs(split)[:60]
"""
FEW_LINES = "head -n 60 $split > few; mv few $split"


class Block(typing.NamedTuple):
    line: int
    language: str
    code: str
    reason: str  # why it is not run; empty if it is


def blocks(name):
    """The code blocks of a README; a comment `<!-- not run: reason -->` may stand before one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    pattern = r"(?:^<!-- not run: ([^\n]+) -->\n)?^```(\w*)\n(.*?)^```$"
    for found in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, found.start(2)) + 1
        yield Block(line, found[2], found[3], found[1] or "")


def shortened(code):
    for pattern, replacement in SHORTER:
        code = re.sub(pattern, replacement, code, flags=re.MULTILINE)
    return code.replace("{corpus}", FEW_PAIRS).replace("{cut}", FEW_LINES)


def without_comments(code):
    return re.sub(r"\s*#.*$", "", code, flags=re.MULTILINE)


@pytest.mark.slow
def test_every_block_runs(tmp_path):
    """Both READMEs have the same code, by the next test, so it runs once."""
    binaries = pathlib.Path(sys.executable).parent
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    environment |= {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "PYTHONUTF8": "1"}
    ran = 0
    for block in blocks(READMES[0]):
        if block.reason:
            continue
        runner = {"python": [sys.executable, "-c"], "bash": ["bash", "-euo", "pipefail", "-c"]}
        command = [*runner[block.language], shortened(block.code)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1200
        )
        assert done.returncode == 0, f"{READMES[0]}:{block.line}\n{done.stdout}\n{done.stderr}"
        assert done.stdout, f"{READMES[0]}:{block.line} shows its reader nothing"
        ran += 1
    assert ran >= 4
    assert list(tmp_path.glob("saved_models/*/1/saved_model.pb"))


def test_the_two_languages_show_the_same_code():
    code = {name: [without_comments(block.code) for block in blocks(name)] for name in READMES}
    assert code["README.md"] == code["README.zh-CN.md"]


@pytest.mark.parametrize("name", READMES)
def test_the_first_script_is_ten_lines_on_the_first_screen(name):
    script = next(block for block in blocks(name) if block.language == "python")
    lines = script.code.rstrip().splitlines()
    assert len(lines) <= 10
    assert script.line + len(lines) <= 20


@pytest.mark.parametrize("name", READMES)
def test_what_is_not_run_is_little_and_says_why(name):
    skipped = [block for block in blocks(name) if block.reason]
    assert len(skipped) <= 2
    assert all(block.language == "bash" for block in skipped)


@pytest.mark.parametrize("name", READMES)
def test_every_block_has_a_language_that_is_run(name):
    assert {block.language for block in blocks(name)} == {"python", "bash"}


def test_the_separate_process_imports_nothing_of_ours():
    (served,) = (block for block in blocks(READMES[0]) if "saved_model.load" in block.code)
    imported = re.findall(r"^(?:import|from) (\w+)", served.code, re.MULTILINE)
    assert sorted(imported) == ["tensorflow", "tensorflow_text"]


@pytest.mark.parametrize("name", READMES)
def test_links_lead_somewhere_and_nothing_is_left_to_fill_in(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\((?!http)([^)#]+)\)", prose)
    assert links and all((ROOT / link).exists() for link in links)
    assert "TODO" not in text


@pytest.mark.parametrize("recipe", sorted(ALL_RECIPES))
def test_every_file_of_every_recipe_has_a_source_and_a_licence(recipe):
    rows = (ROOT / "benchmarks/DATASETS.md").read_text(encoding="utf-8").splitlines()
    table = {row.split("`")[1]: row for row in rows if row.startswith("| `")}
    wanted = [*flat(ALL_RECIPES[recipe].files.values())]
    wanted += getattr(ALL_RECIPES[recipe], "passages", ())
    assert wanted
    for path in wanted:
        folder, _, name = path.rpartition("/")
        holders = [table[folder]] if folder else list(table.values())
        assert any(f"`{name}`" in row for row in holders), path
    assert all(row.count("|") == 6 for row in table.values())


def flat(values):
    for value in values:
        yield from [value] if isinstance(value, str) else flat(value)


def test_contributing_is_one_page():
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) <= 60
