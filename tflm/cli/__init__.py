"""The `tflm` command."""

import os
import sys

import typer

from tflm.cli.answering import predict
from tflm.cli.scoring import compare, evaluate
from tflm.cli.serving import check, export, serve
from tflm.cli.training import train
from tflm.cli.zoo import convert, models

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Text models for Keras and TensorFlow: train, evaluate, export, predict.",
)
for command in (train, evaluate, compare, export, predict, check):
    app.command()(command)
# It has options of its own, which it reads itself.
app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
)(serve)
app.command()(convert)
app.command()(models)


def main() -> None:
    """Runs the command; a user's error is one line and exit status 2, a signal 130.

    A model that falls short of what it must score ends with status 3.
    """
    try:
        app()
    except (ValueError, OSError, ImportError) as error:
        typer.echo(f"tflm: {error}", err=True)
        sys.exit(2)
