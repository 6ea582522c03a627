"""`tflm train`."""

import pathlib
import sys
from typing import Annotated, Any

import typer


def train(
    task: Annotated[
        str,
        typer.Argument(
            help="translation, summarization, sentiment_analysis, question_answering, causal_lm or "
            "masked_lm; not needed with --recipe."
        ),
    ] = "",
    data: Annotated[
        pathlib.Path,
        typer.Option(
            help="Directory with train, valid and test files, or hf:NAME or hf:NAME:CONFIG of the "
            "Hugging Face Hub."
        ),
    ] = pathlib.Path("."),
    out: Annotated[pathlib.Path, typer.Option(help="Directory of the run.")] = pathlib.Path("run"),
    recipe: Annotated[
        str,
        typer.Option(
            help="A known data set's files and settings, by name: multi30k_en_de, dialogsum, "
            "squad, cmrc2018, sst2 and others (a wrong name lists all). Other options override it."
        ),
    ] = "",
    model: Annotated[str, typer.Option(help="architecture/preset, see `tflm models`.")] = "",
    languages: Annotated[
        str, typer.Option(help="Of a translation without a recipe, source and target: en-de.")
    ] = "",
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the data; the task's or recipe's by default.", min=1),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of everything random; the task's or recipe's by default.", min=0),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any other setting, as name=value (a wrong name lists all); may be repeated.",
        ),
    ] = None,
    clean: Annotated[
        list[str] | None,
        typer.Option(
            help="A step of cleaning, done in the order given: unicode, control, markup, "
            "whitespace, simplified_chinese, traditional_chinese and stop_words change texts, of "
            "the training split and for the validation loss; length, length_ratio, script, "
            "untranslated, duplicates and near_duplicates drop examples, of the training split "
            "alone. What is scored stays as it is. Parameters as in length:min=2,max=300; may be "
            "repeated."
        ),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip, count and report malformed lines.")
    ] = False,
) -> None:
    """Fits a model, keeps the best, scores it. Run again after an interruption, it goes on."""
    from rich.console import Console

    from tflm.data import BadLineReport
    from tflm.tasks.runs import find_run, open_run, parse_setting
    from tflm.training.checkpoint import Interrupted

    cls, _ = find_run(task, recipe)
    changes: dict[str, Any] = dict(parse_setting(cls, text) for text in set_ or [])
    changes |= {"preset": model} if model else {}
    changes |= {"languages": languages} if languages else {}
    changes |= {} if epochs is None else {"epochs": epochs}
    changes |= {} if seed is None else {"seed": seed}
    console, report = Console(), BadLineReport()
    on_bad = "skip" if skip_bad else "raise"
    run = open_run(
        data,
        out,
        task,
        recipe=recipe,
        changes=changes,
        on_bad=on_bad,
        report=report,
        console=console,
        clean=clean or (),
    )
    stopped = ""
    try:
        run.train()
    except Interrupted as interrupted:
        stopped = str(interrupted)
    # Outside the handler, for its traceback keeps the data's threads, and they keep the process.
    if stopped:
        typer.echo(f"tflm: {stopped}. Run the same command to go on.", err=True)
        sys.exit(130)
    scored = next((split for split in ("test", "valid") if split in run.data), None)
    if scored is not None:
        for name, scores in run.evaluate(scored).items():
            console.print(name)
            console.print(scores)
    if report.total:  # by now every split has been read
        console.print(report.summary(), highlight=False, markup=False, soft_wrap=True)
