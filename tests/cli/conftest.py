import contextlib

import pytest

SETTINGS = {
    "vocab_size": 310,
    "tokens_per_batch": 256,
    "max_length": 48,
    "warmup_steps": 10,
    "average_last": 2,
    "score_every": 2,
    "beam": 2,
    "dtype": "float32",
}


@pytest.fixture(scope="session")
def folder(toy_pairs, tmp_path_factory):
    """Splits of which two have bad lines: no tab in the third of "train", blanks in "test"."""
    folder = tmp_path_factory.mktemp("data")
    lines = [f"{source}\t{target}\n" for source, target in toy_pairs]
    splits = {
        "train": [*lines[:2], "no tab\n", *lines[2:100]],
        "valid": lines[100:112],
        "test": [*lines[112:119], "one\t \n", " \teins\n"],
    }
    for name, rows in splits.items():
        (folder / f"{name}.tsv").write_text("".join(rows))
    return folder


@contextlib.contextmanager
def nano_preset():
    """A preset small enough for a test, there for so long."""
    from tflm.models.transformer import Config, Transformer

    layers = {"num_encoder_layers": 1, "num_decoder_layers": 1}
    with pytest.MonkeyPatch.context() as patch:
        nano = Config(hidden_dim=12, ffn_dim=20, num_heads=3, **layers)
        patch.setitem(Transformer.PRESETS, "nano", nano)
        yield


@pytest.fixture(scope="session")
def arguments(folder):
    """Of `tflm train` with the preset, but for `--out`."""
    words = ["train", "translation", "--data", folder, "--languages", "en-de"]
    words += ["--model", "transformer/nano", "--epochs", 2, "--seed", 5, "--skip-bad"]
    words += ["--clean", "whitespace", "--clean", "length:max=300"]
    for name, value in SETTINGS.items():
        words += ["--set", f"{name}={value}"]
    return words


@pytest.fixture(scope="module")
def command(arguments):
    """The arguments, and the preset that they name."""
    with nano_preset():
        yield arguments


@pytest.fixture(scope="session")
def trained(tflm, arguments, tmp_path_factory):
    """A run, and what the command printed."""
    out = tmp_path_factory.mktemp("runs") / "numbers"
    with nano_preset():
        done = tflm(*arguments, "--out", out)
    assert done.code == 0, done.err
    return out, done
