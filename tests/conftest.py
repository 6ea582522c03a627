"""Fixtures every test may use. Importing this file imports no TensorFlow."""

import contextlib
import importlib
import io
import os
import pathlib
import random
import sys
import types

import pytest
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read once, when TensorFlow is first imported
if "PYTEST_XDIST_WORKER" in os.environ:  # a process for each core: threads would be in the way
    for kind in ("INTRAOP", "INTEROP"):
        os.environ.setdefault(f"TF_NUM_{kind}_THREADS", "1")
importlib.import_module("tflm")  # sets the rest, whatever a test file imports first

# The same examples at each run; other ones with `pytest --hypothesis-profile=random`.
settings.register_profile("same", derandomize=True)
settings.register_profile("random", derandomize=False)
settings.load_profile("same")

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Those with minutes of slow tests are started first, or one process would work alone at the end;
# pytest-xdist keeps the order with `--no-loadscope-reorder`.
LONGEST = (
    "test_readme.py",
    "tokenizers/test_every_corpus.py",
    "test_examples.py",
    "tasks/test_every_architecture.py",
    "export/test_equality.py",
    "tasks/test_text_generation.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first."""
    places = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(autouse=True)
def seed() -> int:
    """Every test starts from the same random state; only libraries already imported are seeded."""
    value = 20170612
    random.seed(value)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(value)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(value)
    return value


@pytest.fixture(scope="session")
def repository() -> pathlib.Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of public data sets: `$TFLM_DATA`, else `../shared/data` beside the checkout."""
    folder = pathlib.Path(os.environ.get("TFLM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}; set TFLM_DATA to a folder that holds them")
    return folder


# One small trained task, shared by the tests of tasks, export and the command.


@pytest.fixture(scope="session")
def toy_pairs() -> list[tuple[str, str]]:
    """Numbers in English and, in reverse order, in German: seconds of training teach some of it."""
    english = "one two three four five six seven eight nine ten".split()
    german = "eins zwei drei vier fünf sechs sieben acht neun zehn".split()
    generator = random.Random(11)
    rows = [generator.choices(range(10), k=generator.randint(1, 7)) for _ in range(220)]
    return [
        (" ".join(english[i] for i in row), " ".join(german[i] for i in reversed(row)))
        for row in rows
    ]


@pytest.fixture(scope="session")
def make_task(toy_pairs):
    """A function that gives a `Translation` with fresh weights, small enough to train in a test."""
    import keras

    from tflm.models.transformer import Config, Transformer
    from tflm.tasks import Translation
    from tflm.tokenizers import SentencePieceTokenizer

    joint = SentencePieceTokenizer.train((text for pair in toy_pairs for text in pair), 310)
    sizes = {"hidden_dim": 24, "ffn_dim": 40, "num_heads": 3, "dropout": 0.0}
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 1}

    def make(source=joint, target=None, seed=3, config=None, **kwargs):
        keras.utils.set_random_seed(seed)
        changes = {**sizes, **layers, **(config or {})}
        target_vocab_size = None if target is None else target.vocab_size
        model = Transformer(Config(source.vocab_size, target_vocab_size, **changes))
        return Translation(model, source, target, **kwargs)

    return make


@pytest.fixture(scope="session")
def trained_task(make_task, toy_pairs):
    """A task that has learned when to stop and which words there are. Do not train it further."""
    from tflm.generation import Beam, Limits
    from tflm.tasks.sequence_to_sequence import default_optimizer

    strategy = Beam(num_beams=3, length_penalty="power", alpha=1.0)
    task = make_task(strategy=strategy, limits=Limits(max_length=40), max_source_length=20)
    task.compile(default_optimizer(8e-3, warmup_steps=60))
    task.fit(
        toy_pairs, epochs=25, data_options={"tokens_per_batch": 256, "max_length": 64}, verbose=0
    )
    return task


@pytest.fixture(scope="session")
def saved_task(trained_task, tmp_path_factory) -> pathlib.Path:
    """The directory of `trained_task.save_pretrained`."""
    directory = tmp_path_factory.mktemp("saved_task")
    trained_task.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def exported(trained_task, tmp_path_factory) -> pathlib.Path:
    """The directory of versions in which `trained_task.export` has written one."""
    directory = tmp_path_factory.mktemp("exported") / "numbers"
    trained_task.export(directory)
    return directory


# The command, in this process.


@pytest.fixture(scope="session")
def tflm():
    """A function that gives what `tflm ...` would exit with and print."""
    from tflm.cli import main

    def run(*arguments, stdin=b""):
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        code = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["tflm", *map(str, arguments)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
            patch.setenv("COLUMNS", "240")
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    main()
                except SystemExit as ended:
                    code = ended.code or 0
        texts = (stream.buffer.getvalue().decode() for stream in (out, err))
        return types.SimpleNamespace(code=code, out=next(texts), err=next(texts))

    return run


@pytest.fixture(scope="session")
def refused(tflm):
    """A function that gives the one line that says why the command refuses its arguments."""

    def run(*arguments):
        done = tflm(*arguments)
        assert done.code == 2, done
        assert done.err.startswith("tflm: ")
        assert done.err.count("\n") == 1
        assert not done.out
        return done.err

    return run
