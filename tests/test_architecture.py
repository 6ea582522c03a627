"""Who may import whom, and what every source file owes its reader and its tests."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = {"tflm.tasks": "tasks", "tflm.eval": "eval"}  # the others are where their name says

BELOW_TASKS = {
    "tflm.layers",
    "tflm.tokenizers",
    "tflm.training",
    "tflm.eval",
    "tflm.models",
    "tflm.generation",
    "tflm.data",
    "tflm.checkpoints",
    "tflm.export",
}
MAY_IMPORT = {
    "tflm.layers": set(),
    "tflm.tokenizers": set(),
    "tflm.training": set(),
    "tflm.eval": set(),
    "tflm.models": {"tflm.layers"},
    "tflm.generation": set(),
    "tflm.data": {"tflm.tokenizers"},
    "tflm.checkpoints": {"tflm.models", "tflm.tokenizers"},
    "tflm.export": {"tflm.generation", "tflm.tokenizers"},
    "tflm.serving": {"tflm.export"},
    "tflm.tasks": {*BELOW_TASKS, "tflm"},
    "tflm.cli": {*BELOW_TASKS, "tflm.serving", "tflm.tasks", "tflm"},
    "tflm": set(),  # the version, and what the machine can do
}
USES_TENSORFLOW = {
    "tflm.tokenizers",
    "tflm.data",
    "tflm.export",
    "tflm.serving",
    "tflm.generation",
    "tflm.tasks",
    "tflm.cli",
}
# It asks which backend computes before it imports anything.
USES_TENSORFLOW_AS_BACKEND = {"tflm.training.fused_adam"}
WITHOUT_TESTS = {"__init__.py", "__main__.py"}


def unit(module):
    """The row of the table a module belongs to; None for what is not ours."""
    return next((u for u in MAY_IMPORT if f"{module}.".startswith(f"{u}.")), None)


def sources():
    """Every source file and the name it is imported by."""
    for package, folder in {"tflm": "tflm", **FOLDERS}.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield path, ".".join([package, *(part for part in parts if part != "__init__")])


def imports(tree):
    """What a file imports: dotted name, and whether it does so when it is loaded itself."""
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in inside
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            for alias in node.names:
                yield f"{dots}{node.module or ''}.{alias.name}", id(node) not in inside


SOURCES = [(path, name, ast.parse(path.read_text(encoding="utf-8"))) for path, name in sources()]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
IMPORTS = [(path, name, *found) for path, name, tree in SOURCES for found in imports(tree)]


def refused(rule):
    return [
        f"{path.relative_to(ROOT)} imports {what}"
        for path, *rest in IMPORTS
        if (what := rule(*rest))
    ]


def top(module):
    return module.partition(".")[0]


def test_the_table_is_read_over_the_real_tree():
    read = {unit(name) for _, name, _ in SOURCES}
    assert (
        {"tflm", "tflm.layers", "tflm.models", "tflm.tasks", "tflm.eval"} <= read <= set(MAY_IMPORT)
    )
    assert any(what.startswith("tflm.layers") for _, name, what, _ in IMPORTS if "models" in name)


def test_no_arrow_of_the_table_closes_a_circle():
    done = set()
    while rest := {
        name: allowed - done for name, allowed in MAY_IMPORT.items() if name not in done
    }:
        free = {name for name, allowed in rest.items() if not allowed}
        assert free, rest
        done |= free


@pytest.mark.parametrize("owner", MAY_IMPORT)
def test_imports_point_one_way(owner):
    allowed = {*MAY_IMPORT[owner], owner, None}
    wrong = refused(
        lambda name, what, _: unit(name) == owner and unit(what) not in allowed and what
    )
    may = ", ".join(sorted(MAY_IMPORT[owner])) or "nothing of ours"
    assert not wrong, f"{owner} may import {may}: {wrong}"


def test_the_mapped_folders_are_imported_by_their_package_names():
    wrong = refused(lambda _name, what, _: top(what) in FOLDERS.values() and what)
    assert not wrong


def test_tests_benchmarks_and_examples_use_the_package_names_and_nobody_imports_them():
    outside = {"tests", "benchmarks", "examples"}
    assert not refused(lambda _name, what, _: top(what) in outside and what)
    for folder in outside:
        for path in (ROOT / folder).rglob("*.py"):
            found = {top(what) for what, _ in imports(ast.parse(path.read_text(encoding="utf-8")))}
            assert not found & {*outside, *FOLDERS.values()}, path


def test_imports_are_absolute():
    assert not refused(lambda _name, what, _: what.startswith(".") and what)


def test_tensorflow_is_imported_only_where_text_and_graphs_are():
    names = ("tensorflow", "tensorflow_text")

    def by_another(name, what, _):
        allowed = unit(name) in USES_TENSORFLOW or name in USES_TENSORFLOW_AS_BACKEND
        return top(what) in names and not allowed and what

    assert not refused(by_another)


def test_the_command_and_the_package_load_on_first_use():
    heavy = {
        "tensorflow",
        "tensorflow_text",
        "keras",
        "keras_hub",
        "keras_nlp",
        "numpy",
        "sacrebleu",
    }

    def at_load(name, what, when_loaded):
        ours = unit(what) not in (None, "tflm", "tflm.cli")
        light = unit(name) in ("tflm", "tflm.cli")
        return light and when_loaded and (ours or top(what) in heavy) and what

    assert not refused(at_load)


def test_only_the_public_keras_api_is_used():
    private = ("keras.src", "keras_hub.src", "tensorflow.python")
    assert not refused(lambda _n, what, _: what.startswith(private) and what)


@pytest.mark.parametrize(
    "path", [path for path, _, _ in SOURCES], ids=lambda p: str(p.relative_to(ROOT))
)
def test_every_source_file_has_a_test_file(path):
    assert path.name in WITHOUT_TESTS or mirror(path).is_file(), f"{mirror(path)} is missing"


def mirror(path):
    relative = path.relative_to(ROOT)
    folder = relative.parent.relative_to("tflm") if relative.parts[0] == "tflm" else relative.parent
    return ROOT / "tests" / folder / f"test_{path.name}"


def test_no_folder_of_tests_is_a_package():
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_shipped_code_has_no_assert():
    found = [
        path for path, _, tree in SOURCES for node in ast.walk(tree) if isinstance(node, ast.Assert)
    ]
    assert not found


def test_files_and_functions_stay_readable():
    for path, _, tree in SOURCES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 600, path
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                start = node.body[1:2] if ast.get_docstring(node) else node.body[:1]
                lines = (node.end_lineno - start[0].lineno) if start else 0
                assert lines < 80, f"{path}: {node.name}"


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_asserts(path):
    """By `assert` or `pytest.raises`, in the test, in a helper beside it or in a fixture."""
    conftests = [folder / "conftest.py" for folder in path.parents if folder.is_relative_to(ROOT)]
    functions = [
        node
        for file in (path, *filter(pathlib.Path.is_file, conftests))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    proving = {"raises", "warns", "fail"}
    while found := {f.name for f in functions if proves(f, proving)} - proving:
        proving |= found
    silent = [f.name for f in functions if f.name.startswith("test_") and f.name not in proving]
    assert not silent


def proves(function, proving):
    for node in ast.walk(function):
        called = node.func if isinstance(node, ast.Call) else None
        name = getattr(called, "attr", getattr(called, "id", ""))
        if isinstance(node, ast.Assert) or name in proving or name.startswith("assert_"):
            return True
    return False
