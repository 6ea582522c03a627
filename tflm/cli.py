"""The `tflm` command."""

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
    """Runs the command; a user's error is one line and exit status 2, a signal 130.

    A model that falls short of what it must score ends with status 3.
    """
    try:
        app()
    except (ValueError, OSError, ImportError) as error:
        typer.echo(f"tflm: {error}", err=True)
        sys.exit(2)


@app.command()
def train(
    task: Annotated[
        str, typer.Argument(help="translation, causal_lm, ...; not needed with --recipe.")
    ] = "",
    data: Annotated[
        pathlib.Path,
        typer.Option(
            help="Directory with train, valid and test files, or hf:NAME or hf:NAME:CONFIG of the "
            "Hugging Face Hub."
        ),
    ] = pathlib.Path("."),
    out: Annotated[pathlib.Path, typer.Option(help="Directory of the run.")] = pathlib.Path("run"),
    recipe: Annotated[str, typer.Option(help="A recipe by name; sets everything below.")] = "",
    model: Annotated[str, typer.Option(help="architecture/preset, see `tflm models`.")] = "",
    languages: Annotated[
        str, typer.Option(help="Of a translation, source and target: en-de.")
    ] = "",
    epochs: Annotated[int, typer.Option(help="Passes over the data.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = -1,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, as name=value; may be repeated."),
    ] = None,
    clean: Annotated[
        list[str] | None,
        typer.Option(
            help="A step of cleaning, in this order: unicode, control, markup, whitespace, "
            "simplified_chinese, traditional_chinese and stop_words change texts, of the training "
            "split and for the validation loss; length, length_ratio, script, untranslated, "
            "duplicates and near_duplicates drop examples, of the training split alone. What is "
            "scored stays as it is. Parameters as in length:min=2,max=300; may be repeated."
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
    changes |= {"epochs": epochs} if epochs else {}
    changes |= {"seed": seed} if seed >= 0 else {}
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


_METRIC_HELP = "A metric by name, rouge say; may be repeated. The task's own by default."
_DATA_HELP = (
    "What `tflm train` reads for the task: pairs in .tsv or .jsonl, a table with text and label in "
    ".tsv, .csv or .jsonl, questions in SQuAD's .json, plain text in .txt"
)
_ANSWERS_HELP = (
    "Of question answering: the language of the answers, zh say; a run's own by default."
)
_TASK_HELP = (
    "translation, summarization, question_answering, classification, generation or causal_lm."
)


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="A run, a saved task, a SavedModel, http://host:8501/v1/models/NAME or "
            "grpc://host:8500/NAME. None with --hypotheses."
        ),
    ] = "",
    data: Annotated[
        pathlib.Path, typer.Option(help=f"{_DATA_HELP}, or a directory of splits.")
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
        str, typer.Option(help=f"With --hypotheses: the language they are in. {_ANSWERS_HELP}")
    ] = "",
    labels: Annotated[
        str,
        typer.Option(
            help="Of a served classifier, its labels in the order of their probabilities, with "
            "commas between; any other says them itself."
        ),
    ] = "",
    task: Annotated[str, typer.Option(help=f"The model's own by default; {_TASK_HELP}")] = "",
    metric: Annotated[list[str] | None, typer.Option(help=_METRIC_HELP)] = None,
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


@app.command()
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
    task: Annotated[str, typer.Option(help=_TASK_HELP)] = "translation",
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


@app.command()
def export(
    run: Annotated[pathlib.Path, typer.Argument(help="A run, or a saved task.")],
    directory: Annotated[pathlib.Path, typer.Argument(help="The model's directory.")],
    version: Annotated[
        int, typer.Option(help="Version number; the next free one by default.", min=0)
    ] = 0,
    data: Annotated[
        pathlib.Path | None,
        typer.Option(
            help=f"Score the model on this first. {_DATA_HELP}, or a directory of splits."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Which split of a directory.")] = "test",
    languages: Annotated[str, typer.Option(help="Of pairs, source and target: en-de.")] = "",
    target_language: Annotated[str, typer.Option(help=_ANSWERS_HELP)] = "",
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
            "alone: a quarter; or w8a8, products in int8: the fastest, from TF Serving 2.17 on, "
            "on x86. With --data the card has the score in float32 beside it."
        ),
    ] = "float32",
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
            help="To have beside serving_default, 'explain' say, or 'all'; may be repeated."
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

    if dtype not in ("float32", "bfloat16", "int8", "w8a8"):
        raise ValueError(
            f"`dtype` must be float32, bfloat16, int8 or w8a8. Received: dtype={dtype!r}"
        )
    from tflm.export import write_bundle
    from tflm.tasks import Task
    from tflm.tasks.evaluation import open_examples, scoring_settings
    from tflm.tasks.model_card import summary
    from tflm.tasks.model_settings import answer_language, run_settings
    from tflm.tasks.predictor import task_directory

    task: Any = Task.from_pretrained(task_directory(run))
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
    typer.echo(path)


@app.command()
def predict(
    model: Annotated[
        str,
        typer.Argument(
            help="A run, a saved task, a SavedModel, http://host:8501/v1/models/NAME or "
            "grpc://host:8500/NAME."
        ),
    ],
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            help="Texts; lines of standard input by default. A model of two, question and context "
            "or text and text_pair, takes them in turn, or a JSON object with both, or both with "
            "a tab between; of standard input one of the latter a line."
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="A JSON object a line: all outputs, text, score, ... say."),
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip, count and report malformed lines.")
    ] = False,
) -> None:
    """Answers each text, or two that belong together, with a line."""
    from tflm.data import BadLineReport
    from tflm.tasks.answering import answer_text
    from tflm.tasks.input_rows import rows_of_arguments, rows_of_lines
    from tflm.tasks.predictor import open_predictor

    answer, report = open_predictor(model), BadLineReport()
    if texts:
        rows: Any = rows_of_arguments(texts, answer.fields)
    else:
        lines = (line.decode(errors="replace").rstrip("\r\n") for line in sys.stdin.buffer)
        on_bad = "skip" if skip_bad else "raise"
        rows = rows_of_lines(lines, answer.fields, "standard input", on_bad=on_bad, report=report)
    for chunk in chunks(rows, 256):
        for found in answer(chunk):
            text = (
                json.dumps(found, ensure_ascii=False) if as_json else one_line(answer_text(found))
            )
            typer.echo(text)
    if report.total:
        typer.echo(report.summary(), err=True)


@app.command()
def check(
    directory: Annotated[
        pathlib.Path, typer.Argument(help="A SavedModel, anyone's, or a directory of versions.")
    ],
    target: Annotated[
        list[str] | None,
        typer.Option(help="A version of TF Serving, 2.19 say; may be repeated. All by default."),
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


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
)
def serve(context: typer.Context) -> None:
    """Serves a directory of models as TF Serving does, for development; REST 8501, gRPC 8500."""
    from tflm.serving.command import main

    main(context.args)


@app.command()
def convert(
    source: Annotated[
        str, typer.Argument(help="A directory, a Hugging Face repository or a KerasHub preset.")
    ],
    out: Annotated[pathlib.Path, typer.Argument(help="Directory to write.")],
    revision: Annotated[str, typer.Option(help="Of a repository: a commit, branch or tag.")] = "",
    to: Annotated[str, typer.Option(help="tflm or huggingface.")] = "tflm",
) -> None:
    """Turns a public checkpoint into a model of this zoo, or one of the zoo back."""
    from tflm import checkpoints

    model = checkpoints.convert(source, out, revision or None, to)
    typer.echo(f"{out}: {type(model).__name__}, {model.count_params() / 1e6:.1f} M parameters")


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Lists the zoo: architectures, presets, parameter counts, sizes, and what opens as them.

    Then, by architecture, the public checkpoints that `tflm convert` opens: the `model_type` of
    Hugging Face's `config.json`, or the class of a KerasHub backbone.
    """
    from rich.console import Console
    from rich.table import Table

    from tflm.checkpoints.families import opened_by
    from tflm.models import find, presets

    found = [{**row, "opens": opened_by(find(row["name"])[0])} for row in presets()]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    style: Any = {"box": None, "padding": (0, 1, 0, 0), "pad_edge": False}  # 80 columns hold it
    table = Table(**style)
    table.add_column("model", no_wrap=True)
    for name in ("params", "layers", "width", "ffn", "heads", "vocab"):
        table.add_column(name, justify="right", no_wrap=True)
    fields = ("hidden_dim", "ffn_dim", "num_heads", "vocab_size")
    opened = Table("architecture", "opens checkpoints of", **style)
    for row in found:
        layers = (row.get(f"num_{part}layers") for part in ("", "encoder_", "decoder_"))
        table.add_row(
            row["name"],
            f"{row['parameters'] / 1e6:,.1f} M",
            "+".join(str(number) for number in layers if number is not None),
            *(f"{row[name]:,}" if row.get(name) else "" for name in fields),
        )
    for name in dict.fromkeys(row["name"].partition("/")[0] for row in found):
        kinds = next(row["opens"] for row in found if row["name"].startswith(f"{name}/"))
        opened.add_row(name, ", ".join(kinds) or "none: it is trained here")
    Console().print(table, opened, sep="\n\n")


def chunks(lines: Any, size: int) -> Any:
    """Lists of at most `size` lines, as they come; before an error, the lines that came."""
    chunk: list[Any] = []
    failure = None
    try:
        for line in lines:
            chunk.append(line)
            if len(chunk) == size:
                yield chunk
                chunk = []
    except ValueError as error:
        failure = error
    if chunk:
        yield chunk
    if failure is not None:
        raise failure


def one_line(text: str) -> str:
    """A text without line breaks: line `i` of the output answers line `i` of the input."""
    return " ".join(text.splitlines())
