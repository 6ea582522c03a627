"""What holds for all commands."""

import pytest


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train", ["--recipe", "--set", "--skip-bad", "Run again after an interruption"]),
        ("evaluate", ["--languages", "--swap", "--labels", "--hypotheses", "signatures"]),
        ("compare", ["--references", "--test", "--resamples", "significance"]),
        ("export", ["--version", "--require", "SavedModel"]),
        ("predict", ["--json", "--skip-bad", "standard input", "text_pair"]),
        ("check", ["--target", "--static", "--json", "TF Serving"]),
        ("models", ["--json", "parameter counts"]),
    ],
)
def test_every_command_explains_itself(tflm, command, words):
    done = tflm(command, "--help")
    assert done.code == 0
    for word in words:
        assert word in done.out
    assert command in tflm("--help").out


def test_a_wrong_option_is_an_error_of_its_own(tflm):
    done = tflm("train", "--epoch", 3)
    assert done.code == 2
    assert "--epoch" in done.err
