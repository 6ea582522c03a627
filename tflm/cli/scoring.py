"""`tflm evaluate` and `tflm compare`."""

import pathlib
from typing import Annotated, Any

import typer

METRIC_HELP = "A metric by name, rouge say; may be repeated. The task's own by default."
DATA_HELP = (
    "What `tflm train` reads for the task: pairs in .tsv or .jsonl, a table with text and label in "
    ".tsv, .csv or .jsonl, questions in SQuAD's .json, plain text in .txt"
)
ANSWERS_HELP = "Of question answering: the language of the answers, zh say; a run's own by default."
TASK_HELP = (
    "translation, summarization, question_answering, classification, generation or causal_lm."
)


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="A run, a saved task, a SavedModel, http://host:8501/v1/models/NAME or "
            "grpc://host:8500/NAME. None with --hypotheses."
        ),
    ] = "",
    data: Annotated[
        pathlib.Path, typer.Option(help=f"{DATA_HELP}, or a directory of splits.")
    ] = pathlib.Path("."),
    split: Annotated[str, typer.Option(help="Which split of a directory.")] = "test",
    languages: Annotated[str, typer.Option(help="Of pairs, source and target: en-de.")] = "",
    swap: Annotated[bool, typer.Option("--swap", help="Columns are target, source.")] = False,
    hypotheses: Annotated[
        pathlib.Path | None, typer.Option(help="Score this file, a line an example; no model.")
    ] = None,
    references: Annotated[
        list[pathlib.Path] | None,
        typer.Option(
            help="With --hypotheses: what is expected; several files, several references."
        ),
    ] = None,
    sources: Annotated[
        pathlib.Path | None, typer.Option(help="With --hypotheses: what was predicted from.")
    ] = None,
    target_language: Annotated[
        str, typer.Option(help=f"With --hypotheses: the language they are in. {ANSWERS_HELP}")
    ] = "",
    labels: Annotated[
        str,
        typer.Option(
            help="Of a served classifier, its labels in the order of their probabilities, with "
            "commas between; any other says them itself."
        ),
    ] = "",
    task: Annotated[str, typer.Option(help=f"The model's own by default; {TASK_HELP}")] = "",
    metric: Annotated[list[str] | None, typer.Option(help=METRIC_HELP)] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Also score the task's trivial systems.")
    ] = False,
    out: Annotated[
        pathlib.Path | None, typer.Option(help="Directory for the report, all forms of it.")
    ] = None,
    html: Annotated[pathlib.Path | None, typer.Option(help="File for one page of HTML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip, count and report malformed lines.")
    ] = False,
) -> None:
    """Scores a model or a file: metrics with signatures and intervals, and a report of them."""
    from tflm.eval.file_evaluation import evaluate_files
    from tflm.eval.html_report import write_html
    from tflm.eval.plots import check_matplotlib, has_matplotlib

    check_form(as_json, as_markdown)
    if html is not None:
        check_matplotlib()  # before the work
    if bool(model) == (hypotheses is not None):
        raise ValueError(
            "`model` must be given, or --hypotheses and --references instead. "
            f"Received: model={model!r}, hypotheses={str(hypotheses or '')!r}"
        )
    if hypotheses is not None:
        found, metrics = evaluate_files(
            hypotheses,
            references or [],
            sources,
            target_language=target_language,
            task=task or "translation",
            metrics=metric or (),
            baseline=baseline,
        )
    else:
        given = {"languages": languages, "swap": swap, "labels": labels}
        given["target_language"] = target_language
        found, metrics = _evaluate_model(
            model, data, split, given, skip_bad, task, metric or (), baseline
        )
    if out is not None:
        found.write(out)
    if html is not None or (out is not None and has_matplotlib()):
        write_html(found, metrics, *filter(None, (html, out and out / "report.html")))
    elif out is not None:
        typer.echo("tflm: no report.html without matplotlib: pip install 'tflm[eval]'", err=True)
    show(found, as_json, as_markdown)


def _evaluate_model(
    model: str,
    data: pathlib.Path,
    split: str,
    given: dict[str, Any],
    skip_bad: bool,
    task: str,
    metrics: Any,
    baseline: bool,
) -> Any:
    from rich.console import Console

    from tflm.data import BadLineReport
    from tflm.tasks.evaluation import evaluate_model, open_examples, scoring_settings

    report = BadLineReport()
    settings = scoring_settings(model, given, task)
    on_bad = "skip" if skip_bad else "raise"
    found = evaluate_model(
        model,
        open_examples(data, split, settings, on_bad=on_bad, report=report),
        settings,
        metrics=metrics,
        baseline=baseline,
        data=data.name,
        console=Console(stderr=True),
    )
    if report.total:
        typer.echo(report.summary(), err=True)
    return found


def check_form(as_json: bool, as_markdown: bool) -> None:
    """Refuses two forms of output at once.

    Raises:
        ValueError: both are asked for.
    """
    if as_json and as_markdown:
        raise ValueError("`json` and `markdown` must not be given together. Received: both")


def show(found: Any, as_json: bool, as_markdown: bool) -> None:
    """Prints a report or a comparison: a table unless another form is asked for."""
    from rich.console import Console

    if as_json:
        typer.echo(found.to_json(), nl=False)
    elif as_markdown:
        typer.echo(found.to_markdown(), nl=False)
    else:
        Console().print(found)


def compare(
    systems: Annotated[
        list[str],
        typer.Argument(
            help="Two or more directories of `tflm evaluate --out`, or files with a hypothesis a "
            "line. The first is what the others are compared with."
        ),
    ],
    references: Annotated[
        list[pathlib.Path] | None,
        typer.Option(help="Files of references; a report has its own."),
    ] = None,
    sources: Annotated[
        pathlib.Path | None, typer.Option(help="File of sources; a report has its own.")
    ] = None,
    target_language: Annotated[
        str, typer.Option(help="Language of the hypotheses; a report has its own.")
    ] = "",
    task: Annotated[str, typer.Option(help=TASK_HELP)] = "translation",
    metric: Annotated[
        list[str] | None,
        typer.Option(help="A metric by name; may be repeated. The first report's by default."),
    ] = None,
    test: Annotated[
        str, typer.Option(help="bootstrap (paired) or randomization (approximate).")
    ] = "bootstrap",
    resamples: Annotated[
        int, typer.Option(help="Bootstrap resamples; ten times as many random swaps.", min=1)
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.", min=0)] = 12345,
    html: Annotated[pathlib.Path | None, typer.Option(help="File for one page of HTML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Puts systems side by side on the same data, with the significance of what differs."""
    from tflm.eval.file_evaluation import compare_paths
    from tflm.eval.html_report import write_page

    check_form(as_json, as_markdown)
    found = compare_paths(
        systems,
        references or [],
        sources,
        target_language=target_language,
        task=task,
        metrics=metric or (),
        test=test,
        num_resamples=resamples,
        seed=seed,
    )
    if html is not None:
        write_page(found.to_html(), html)
    show(found, as_json, as_markdown)
