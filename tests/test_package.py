"""The package as its users get it: quick to import, whole in the wheel, alone in its namespace."""

import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

import tflm

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = {"tflm": "tflm", "tflm.tasks": "tasks", "tflm.eval": "eval"}
HEAVY = ("tensorflow", "keras", "numpy")


def python(*arguments, cwd=None, **environment):
    """Standard output of a fresh interpreter, which coverage leaves alone."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=cwd, env={**clean, **environment}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def packages():
    """Every package there is, found by walking the folders."""
    for package, folder in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            yield ".".join([package, *init.parent.relative_to(ROOT / folder).parts])


def best_seconds(code):
    """The least processor time of five fresh interpreters; a busy machine does not stretch it."""
    timed = f"{code}\nimport time; print(time.process_time())"
    return min(float(python("-c", timed).splitlines()[-1]) for _ in range(5))


@pytest.mark.parametrize(
    "code",
    [
        "import tflm",
        "import contextlib, io, sys\nsys.argv = ['tflm', '--help']\nfrom tflm.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main()",
    ],
    ids=["import tflm", "tflm --help"],
)
def test_nothing_heavy_is_loaded_before_it_is_used(code):
    loaded = python("-c", f"{code}\nimport sys\nprint(*sys.modules)").split()
    assert "tflm" in loaded
    assert not {name.partition(".")[0] for name in loaded} & set(HEAVY)
    assert best_seconds(code) < 0.5


def test_the_command_is_installed():
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="tflm")
    assert entry.value == "tflm.cli:main"
    assert "train" in python("-c", "from tflm.cli import main; main()", "--help")


def test_a_checkout_beside_the_script_is_not_taken_for_the_package(tmp_path):
    (tmp_path / "tflm").symlink_to(pathlib.Path(__file__).parents[1])
    command = [sys.executable, "-c", "import tflm.tasks"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "ImportError: `tflm` must be the installed package" in done.stderr
    assert f"Received: the folder {tmp_path}" in done.stderr


def test_packages_load_on_first_use():
    known = {name.removeprefix("tflm.") for name in packages() if name.count(".") == 1}
    known -= {"cli"}  # a command, not for import
    assert known <= set(dir(tflm))
    code = "import sys, tflm\nassert 'tflm.layers' not in sys.modules\nprint(tflm.layers.__name__)"
    assert python("-c", code).strip() == "tflm.layers"
    assert all(getattr(tflm, name).__name__ == f"tflm.{name}" for name in known)


def test_an_unknown_attribute_lists_the_packages():
    with pytest.raises(AttributeError, match="no attribute 'model'; .* models, serving, tasks"):
        tflm.model  # noqa: B018


def test_the_version_is_told_once():
    assert importlib.metadata.version("tflm") == tflm.__version__
    assert "version" in PROJECT["project"]["dynamic"]


def test_every_package_is_listed():
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == set(packages())


def test_the_lock_pins_every_dependency_by_hash_and_names_no_index_or_path():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    name = r"^([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?=="
    hashed = name + r"\S+(?: ;[^\n]*)? \\\n    --hash="
    pinned = set(re.findall(hashed, lock, re.MULTILINE))
    extras = PROJECT["project"]["optional-dependencies"]
    locked = [extras[name] for name in extras.keys() - {"beam", "parity", "lm-eval"}]  # not in it
    wanted = [*PROJECT["project"]["dependencies"], *(name for extra in locked for name in extra)]
    assert {re.match(r"[\w-]+", name)[0] for name in wanted} - {"tflm"} <= pinned
    assert len(pinned) == len(set(re.findall(name, lock, re.MULTILINE)))
    assert not re.search(r"://|--(?:extra-)?index|--find-links|@ |(?<=[\s\"'])/\w", lock)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built offline from a copy of the sources."""
    pytest.importorskip("setuptools", minversion=PROJECT["build-system"]["requires"][0][12:])
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in FOLDERS.values():
        shutil.copytree(
            ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
    python("-m", "pip", "wheel", str(source), *options, "--wheel-dir", str(built))
    (path,) = built.glob("*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_holds_every_package_under_one_name(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tflm"}
    assert {f"{name.replace('.', '/')}/__init__.py" for name in packages()} <= set(names)
    assert "tflm/py.typed" in names


@pytest.mark.slow
def test_the_wheel_works_beside_a_users_own_eval_and_tasks(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    for name in ("eval", "tasks"):
        (tmp_path / f"{name}.py").write_text(f"MINE = {name!r}\n")
    # The editable install's finder, if there is one, comes after what `sys.path` holds.
    script = tmp_path / "script.py"
    script.write_text(
        "import sys; sys.path.insert(1, 'installed')\n"
        "import eval, tasks, tflm.eval, tflm.tasks\n"
        "print(eval.MINE, tasks.MINE, tflm.__file__, tflm.eval.__file__, tflm.tasks.__file__)\n"
    )
    mine = python(str(script), cwd=tmp_path, TF_CPP_MIN_LOG_LEVEL="3").split()
    assert mine[:2] == ["eval", "tasks"]
    assert all(pathlib.Path(tmp_path, path).is_relative_to(tmp_path) for path in mine[2:]), mine
