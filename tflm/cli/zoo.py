"""`tflm models` and `tflm convert`."""

import json
import pathlib
from typing import Annotated, Any

import typer


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
