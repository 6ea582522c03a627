"""The `tflm` command."""

import dataclasses
import json
import os
import pathlib
import sys
from typing import Annotated, Any

import typer

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Text models for Keras and TensorFlow: train, evaluate, export, predict.",
)


def main() -> None:
    """Runs the command; a user's error is one line and exit status 2, a signal 130."""
    try:
        app()
    except (ValueError, OSError) as error:
        typer.echo(f"tflm: {error}", err=True)
        sys.exit(2)


@app.command()
def train(
    task: Annotated[str, typer.Argument(help="The task: translation.")] = "translation",
    data: Annotated[
        pathlib.Path, typer.Option(help="Directory with train, valid and test files.")
    ] = pathlib.Path("."),
    out: Annotated[pathlib.Path, typer.Option(help="Directory of the run.")] = pathlib.Path("run"),
    recipe: Annotated[str, typer.Option(help="A recipe by name; sets everything below.")] = "",
    model: Annotated[str, typer.Option(help="architecture/preset, see `tflm models`.")] = "",
    languages: Annotated[str, typer.Option(help="Source and target language: en-de.")] = "",
    epochs: Annotated[int, typer.Option(help="Passes over the data.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = -1,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, as name=value; may be repeated."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip, count and report malformed lines.")
    ] = False,
) -> None:
    """Fits a model, keeps the best, scores it. Run again after an interruption, it goes on."""
    from rich.console import Console

    from tflm.data import BadLineReport
    from tflm.tasks.recipes import Settings, find_recipe
    from tflm.tasks.run import TranslationRun
    from tflm.tasks.sources import directory_data, recipe_data
    from tflm.training.checkpoint import Interrupted

    check_task(task)
    on_bad, report = ("skip" if skip_bad else "raise"), BadLineReport()
    if recipe and languages:
        raise ValueError(
            f"`languages` must be left to the recipe. Received: {languages!r}, recipe={recipe!r}"
        )
    if recipe:
        found = find_recipe(recipe)
        settings, test = found.settings, found.test
        pair = (found.source_language, found.target_language)
        splits = recipe_data(found, data, on_bad, report)
    else:
        settings, test = Settings(), "test"
        pair = language_pair(languages)
        splits = directory_data(data, pair, on_bad, report)
    changes: dict[str, Any] = dict(setting(text) for text in set_ or [])
    changes |= {"preset": model} if model else {}
    changes |= {"epochs": epochs} if epochs else {}
    changes |= {"seed": seed} if seed >= 0 else {}
    console = Console()
    run = TranslationRun(out, splits, pair, dataclasses.replace(settings, **changes), console)
    stopped = ""
    try:
        run.train()
    except Interrupted as interrupted:
        stopped = str(interrupted)
    # Outside the handler, for its traceback keeps the data's threads, and they keep the process.
    if stopped:
        typer.echo(f"tflm: {stopped}. Run the same command to go on.", err=True)
        sys.exit(130)
    test = test if test in splits else "valid"
    if test in splits:
        for name, scores in run.evaluate(test).items():
            console.print(name)
            console.print(scores)
    if report.total:  # by now every split has been read
        console.print(report.summary(), highlight=False, markup=False, soft_wrap=True)


def check_task(task: str) -> None:
    """Refuses an unknown task.

    Raises:
        ValueError: there is no such task; the message lists the known ones.
    """
    if task != "translation":
        raise ValueError(f"`task` must be one of ['translation']. Received: task={task!r}")


def language_pair(text: str) -> tuple[str, str]:
    """ "en-de" -> ("en", "de").

    Raises:
        ValueError: it is not two codes.
    """
    source, _, target = text.partition("-")
    if not source or not target:
        raise ValueError(
            f"`languages` must be two codes with a hyphen between, en-de say. Received: {text!r}"
        )
    return source, target


def setting(text: str) -> tuple[str, Any]:
    """ "dropout=0.3" -> ("dropout", 0.3), typed as the setting is.

    Raises:
        ValueError: no such setting, or a value of another type.
    """
    from tflm.tasks.recipes import Settings

    name, _, value = text.partition("=")
    fields = {field.name: field.type for field in dataclasses.fields(Settings)}
    if name not in fields:
        raise ValueError(f"`set` must name one of {sorted(fields)}. Received: {text!r}")
    kind: Any = fields[name]
    try:
        if kind is bool:
            return name, {"true": True, "false": False}[value.lower()]
        return name, kind(value)
    except (KeyError, ValueError):
        raise ValueError(
            f"`set` must give {name} a value of type {kind.__name__}. Received: {text!r}"
        ) from None


@app.command()
def evaluate(
    model: Annotated[pathlib.Path, typer.Argument(help="A run, a saved task or a SavedModel.")],
    data: Annotated[
        pathlib.Path, typer.Option(help="A .tsv or .jsonl file of pairs, or a directory of splits.")
    ] = pathlib.Path("."),
    split: Annotated[str, typer.Option(help="Which split of a directory.")] = "test",
    languages: Annotated[str, typer.Option(help="Source and target language: en-de.")] = "",
    swap: Annotated[bool, typer.Option("--swap", help="Columns are target, source.")] = False,
    out: Annotated[
        pathlib.Path | None, typer.Option(help="Directory for report and hypotheses.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip, count and report malformed lines.")
    ] = False,
) -> None:
    """Scores a model on sentence pairs: BLEU, chrF and TER with signatures and intervals."""
    from rich.console import Console

    from tflm.data import BadLineReport
    from tflm.eval import evaluate as score
    from tflm.tasks.predictor import open_predictor, run_languages
    from tflm.tasks.run import translation_metrics
    from tflm.tasks.sources import open_split

    report = BadLineReport()
    pair = language_pair(languages) if languages else run_languages(model)
    rows = list(open_split(data, split, pair, "skip" if skip_bad else "raise", report))
    if not rows:
        raise ValueError(f"`data` must hold at least one pair. Received: {data}")
    sources, references = (list(side) for side in zip(*rows, strict=True))
    if swap:
        sources, references = references, sources
    predict = open_predictor(model)
    found = score(
        lambda texts: [answer["text"] for answer in predict(texts)],
        sources,
        references,
        translation_metrics(pair[1]),
        task="translation " + "-".join(pair),
        data=data.name,
        settings={"model": model.name},
    )
    if out is not None:
        found.write(out)
    if report.total:
        typer.echo(report.summary(), err=True)
    if as_json:
        typer.echo(found.to_json(), nl=False)
    else:
        Console().print(found)


@app.command()
def export(
    run: Annotated[pathlib.Path, typer.Argument(help="A run, or a saved task.")],
    directory: Annotated[pathlib.Path, typer.Argument(help="The model's directory.")],
    version: Annotated[
        int, typer.Option(help="Version number; the next free one by default.", min=0)
    ] = 0,
) -> None:
    """Writes a SavedModel for TF Serving: strings in, strings out."""
    from tflm.tasks import Translation
    from tflm.tasks.predictor import task_directory

    task = Translation.from_pretrained(task_directory(run))
    typer.echo(task.export(directory, version or None))


@app.command()
def predict(
    model: Annotated[pathlib.Path, typer.Argument(help="A run, a saved task or a SavedModel.")],
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts; lines of standard input by default.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON object a line: text, score, truncated.")
    ] = False,
) -> None:
    """Answers each text with a line."""
    from tflm.tasks.predictor import open_predictor

    answer = open_predictor(model)
    lines = texts or (line.decode(errors="replace").rstrip("\r\n") for line in sys.stdin.buffer)
    for chunk in chunks(lines, 256):
        for found in answer(chunk):
            line = json.dumps(found, ensure_ascii=False) if as_json else one_line(found["text"])
            typer.echo(line)


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Lists the zoo: architectures, presets, sizes and parameter counts."""
    from rich.console import Console
    from rich.table import Table

    from tflm.models import presets

    found = presets()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table("model", "parameters", "layers", "width", "feed-forward", "heads", "vocabulary")
    for row in found:
        table.add_row(
            row["name"],
            f"{row['parameters'] / 1e6:.1f} M",
            f"{row['num_encoder_layers']}+{row['num_decoder_layers']}",
            *(f"{row[name]:,}" for name in ("hidden_dim", "ffn_dim", "num_heads", "vocab_size")),
        )
    Console().print(table)


def chunks(lines: Any, size: int) -> Any:
    """Lists of at most `size` lines, as they come."""
    chunk: list[str] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def one_line(text: str) -> str:
    """A text without line breaks: line `i` of the output answers line `i` of the input."""
    return " ".join(text.splitlines())
