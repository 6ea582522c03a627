"""`tflm export`, `tflm check` and `tflm serve`."""

import json
import pathlib
import sys
from typing import Annotated, Any

import typer

from tflm.cli.scoring import ANSWERS_HELP, DATA_HELP


def export(
    run: Annotated[pathlib.Path, typer.Argument(help="A run, or a saved task.")],
    directory: Annotated[pathlib.Path, typer.Argument(help="The model's directory.")],
    version: Annotated[
        int, typer.Option(help="Version number; the next free one by default.", min=0)
    ] = 0,
    data: Annotated[
        pathlib.Path | None,
        typer.Option(help=f"Score the model on this first. {DATA_HELP}, or a directory of splits."),
    ] = None,
    split: Annotated[str, typer.Option(help="Which split of a directory.")] = "test",
    languages: Annotated[str, typer.Option(help="Of pairs, source and target: en-de.")] = "",
    target_language: Annotated[str, typer.Option(help=ANSWERS_HELP)] = "",
    require: Annotated[
        list[str] | None,
        typer.Option(
            help="A bound on a metric, 'bleu>=30' say; may be repeated. A model that falls short "
            "is not written, and the exit status is 3."
        ),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(
            help="float32; bfloat16: half the size, faster where multiplied; int8, of the weights "
            "alone: a quarter; w8a8, products in int8: the fastest, from TF Serving 2.17 on, on "
            "x86; or auto: as suits the task and this machine. With --data the card has the "
            "score in float32 beside it."
        ),
    ] = "auto",
    licence: Annotated[
        str, typer.Option(help="For the card: under which the model may be used.")
    ] = "",
    freeze: Annotated[
        bool,
        typer.Option(
            "--freeze", help="Weights as constants: faster answers, slower and larger to load."
        ),
    ] = False,
    signatures: Annotated[
        list[str] | None,
        typer.Option(
            help="To have beside serving_default in place of the task's usual ones, 'explain' say; "
            "or 'all'. May be repeated."
        ),
    ] = None,
) -> None:
    """Writes a SavedModel for TF Serving: strings in, strings out, with a card of its scores.

    Beside the model's directory it writes what a stock server starts with: models.config,
    compose.yaml, kubernetes.yaml and a client; and in it requests to try the model with. A file
    that is there is kept, and models.config gets the model.
    """
    from rich.console import Console

    from tflm.eval.requirements import Requirement, RequirementsNotMet

    for text in require or []:
        Requirement.parse(text)  # before TensorFlow is imported and anything is read
    if require and data is None:
        raise ValueError(f"`data` must be given with `require`. Received: {', '.join(require)}")

    if dtype not in (dtypes := ("auto", "float32", "bfloat16", "int8", "w8a8")):
        raise ValueError(f"`dtype` must be one of {', '.join(dtypes)}. Received: dtype={dtype!r}")
    from tflm.export import write_bundle
    from tflm.tasks import Task
    from tflm.tasks.evaluation import open_examples, scoring_settings
    from tflm.tasks.fastest import serving_dtype
    from tflm.tasks.model_card import summary
    from tflm.tasks.model_settings import answer_language, run_settings
    from tflm.tasks.predictor import task_directory

    task: Any = Task.from_pretrained(task_directory(run))
    why = ""
    if dtype == "auto":
        dtype, why = serving_dtype(task, freeze)
    options: dict[str, Any] = {}
    if data is not None:
        settings = scoring_settings(run, dict(languages=languages, target_language=target_language))
        options = {
            "evaluate_on": open_examples(data, split, settings),
            "target_language": answer_language(settings),
            "data": data.name,
            "console": Console(stderr=True),
        }
    try:
        path = task.export(
            directory,
            version or None,
            dtype=dtype,
            freeze=freeze,
            signatures="all" if signatures == ["all"] else signatures,
            require=require or (),
            training=run_settings(run),
            licence=licence,
            **options,
        )
    except RequirementsNotMet as short:
        typer.echo(f"tflm: {short}", err=True)
        sys.exit(3)
    for kept in write_bundle(path).kept:
        typer.echo(f"tflm: {kept} differs from what would be written, and is kept.", err=True)
    typer.echo(f"tflm: {summary(path)}", err=True)
    if why:
        typer.echo(f"tflm: --dtype {dtype} was chosen, for {why}.", err=True)
    typer.echo(path)


def check(
    directory: Annotated[
        pathlib.Path, typer.Argument(help="A SavedModel, anyone's, or a directory of versions.")
    ],
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="A version of TF Serving, 2.19 say; may be repeated. By default all, from the one "
            "on that the model's card asks for."
        ),
    ] = None,
    static: Annotated[
        bool, typer.Option("--static", help="Read the file only; do not load and ask the model.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Says whether stock TF Serving takes a SavedModel: a line a rule, status 1 where one fails."""
    import dataclasses

    from tflm.export.check import check

    failed = False
    for finding in check(directory, target or (), run=not static):
        failed |= finding.status == "failure"
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(finding), ensure_ascii=False))
        else:
            typer.echo(f"{finding.status:<8} {finding.rule:<18} {finding.message}")
    if failed:
        sys.exit(1)


def serve(context: typer.Context) -> None:
    """Serves a directory of models as TF Serving does, for development; REST 8501, gRPC 8500."""
    from tflm.serving.command import main

    main(context.args)
