import os
import subprocess
import sys

import pytest

from tflm import machine

TF_ENABLE = "TF_ENABLE_ONEDNN_OPTS"


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A function that writes what the system says of itself, and a share of its processors."""
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine, "_GROUPS", tmp_path)
    monkeypatch.setattr(machine, "_OWN_GROUP", tmp_path / "own_group")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(48), raising=False)
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", TF_ENABLE):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards, whatever a test does
        monkeypatch.delenv(name)

    def write(flags="", **files):
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs : x\n")
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("cpu_max", "cpu.max")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


@pytest.fixture
def before(monkeypatch):
    """As if TensorFlow had not been imported yet."""
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)


@pytest.mark.parametrize(
    ("flags", "kind", "bfloat16", "int8"),
    [
        ("fpu avx2", "x86_64", False, False),
        ("fpu avx512_vnni", "x86_64", False, True),
        ("avx_vnni", "AMD64", False, True),
        ("avx512_vnni avx512_bf16", "x86_64", True, True),
        ("amx_bf16 amx_int8", "x86_64", True, True),
        ("avx512_vnni avx512_bf16", "aarch64", False, False),
    ],
)
def test_what_a_processor_multiplies(system, monkeypatch, flags, kind, bfloat16, int8):
    monkeypatch.setattr("platform.machine", lambda: kind)
    system(flags)
    assert machine.instructions() == set(flags.split())
    assert (machine.multiplies_bfloat16(), machine.multiplies_int8()) == (bfloat16, int8)


def test_a_system_that_says_nothing_has_nothing(system):
    assert machine.instructions() == frozenset()
    assert not machine.multiplies_bfloat16()


@pytest.mark.parametrize(
    ("files", "number"),
    [
        ({}, 48),
        ({"cpu_max": "max 100000\n"}, 48),
        ({"cpu_max": "250000 100000\n"}, 3),
        ({"cpu_max": "50000 100000\n"}, 1),
        ({"cpu_max": "150000 100000\n"}, 2),
        ({"cpu_max": "\n", "cpu__cpu.cfs_quota_us": "100000\n"}, 48),
        ({"own_group": "0::/a/b\n", "a__cpu_max": "300000 100000\n", "a__b__cpu_max": "max 1"}, 3),
        ({"own_group": "0::/../a\n", "cpu_max": "400000 100000\n"}, 4),
        ({"cpu_max": "9900000 100000\n"}, 48),
        ({"cpu__cpu.cfs_quota_us": "-1\n", "cpu__cpu.cfs_period_us": "100000\n"}, 48),
        ({"cpu__cpu.cfs_quota_us": "300000\n", "cpu__cpu.cfs_period_us": "100000\n"}, 3),
    ],
)
def test_a_container_has_no_more_processors_than_its_share(system, files, number):
    system(**files)
    assert machine.num_cpus() == number


def test_threads_are_limited_to_the_share_alone_and_by_the_user_first(before, system, monkeypatch):
    machine.prepare_tensorflow()
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ  # TensorFlow sees what the process may use
    system(cpu_max="9900000 100000")
    machine.prepare_tensorflow()
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ
    system(cpu_max="400000 100000")
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "7")
    machine.prepare_tensorflow()
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == "4"
    assert os.environ["TF_NUM_INTEROP_THREADS"] == "7"


@pytest.mark.parametrize(
    ("kind", "said", "found"),
    [("x86_64", None, "1"), ("AMD64", None, "1"), ("x86_64", "0", "0"), ("aarch64", None, None)],
)
def test_an_x86_multiplies_with_onednn_unless_the_user_says_otherwise(
    before, system, monkeypatch, kind, said, found
):
    monkeypatch.setattr("platform.machine", lambda: kind)
    if said is not None:
        monkeypatch.setenv(TF_ENABLE, said)
    machine.prepare_tensorflow()
    assert os.environ.get(TF_ENABLE) == found


@pytest.mark.parametrize(
    ("flags", "kind", "said", "warned"),
    [
        ("avx2", "x86_64", None, True),
        ("avx2", "x86_64", "0", False),
        ("avx2", "x86_64", "1", False),
        ("avx2 avx512_vnni", "x86_64", None, False),
        ("", "aarch64", None, False),
    ],
)
def test_it_is_said_where_tensorflow_came_first_and_is_slower_for_it(
    system, monkeypatch, recwarn, flags, kind, said, warned
):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setattr("platform.machine", lambda: kind)
    system(flags, cpu_max="400000 100000")
    if said is not None:
        monkeypatch.setenv(TF_ENABLE, said)
    machine.prepare_tensorflow()
    assert [TF_ENABLE in str(each.message) for each in recwarn] == [True] * warned
    assert os.environ.get(TF_ENABLE) == said
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ


def test_tflm_prepares_tensorflow_when_it_is_imported():
    code = f"import os, tflm; print(os.environ.get({TF_ENABLE!r}))"
    clean = {name: value for name, value in os.environ.items() if name != TF_ENABLE}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ("1" if machine.is_x86() else "None")


def test_tensorflow_reads_these_names():
    code = (
        "import tensorflow as tf; tf.zeros([2]) + 1; import os; print(len(os.listdir('/proc/self"
        "/task')))"
    )
    counts = []
    for threads in ("1", "9"):
        names = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), threads)
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **names},
            capture_output=True,
            text=True,
            check=True,
        )
        counts.append(int(done.stdout))
    assert counts[1] - counts[0] >= 2 * 8
