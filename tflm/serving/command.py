"""`tflm serve`."""

import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tflm.serving.batching_parameters import BatchingParameters
    from tflm.serving.model_config import ModelConfig

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_READY = "ready"  # the last word of the line that says that requests are answered


def main(arguments: Sequence[str]) -> None:
    """Runs the command with its arguments."""
    app(list(arguments), prog_name="tflm serve")


@app.command()
def serve(
    directory: Annotated[
        pathlib.Path | None,
        typer.Argument(
            help="A directory of models, each a directory of numbered versions, or one model's. "
            "None with --model-config-file."
        ),
    ] = None,
    model_config_file: Annotated[
        pathlib.Path | None,
        typer.Option(help="TF Serving's models.config: names, paths, version policies, labels."),
    ] = None,
    rest_api_port: Annotated[int, typer.Option(help="Of REST.", min=0, max=65535)] = 8501,
    port: Annotated[int, typer.Option(help="Of gRPC.", min=0, max=65535)] = 8500,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for all, as TF Serving does.")
    ] = "127.0.0.1",
    version_policy: Annotated[
        str, typer.Option(help="Of a directory: latest, latest:N, all or specific:N,N.")
    ] = "latest",
    enable_batching: Annotated[
        bool, typer.Option("--enable-batching", help="Run requests of several clients together.")
    ] = False,
    batching_parameters_file: Annotated[
        pathlib.Path | None,
        typer.Option(help="TF Serving's BatchingParameters: max_batch_size, allowed_batch_sizes."),
    ] = None,
    enable_per_model_batching_parameters: Annotated[
        bool,
        typer.Option(
            "--enable-per-model-batching-parameters",
            help="Read batching_params.pbtxt of each version, as `tflm export` writes it.",
        ),
    ] = False,
    rest_api_timeout_in_ms: Annotated[
        int, typer.Option(help="Milliseconds that a model may take for a request.", min=1)
    ] = 30_000,
    max_request_bytes: Annotated[
        int, typer.Option(help="A larger request is refused.", min=1, max=2**31 - 1)
    ] = 64 * 2**20,
    file_system_poll_wait_seconds: Annotated[
        float, typer.Option(help="Seconds between two looks for versions; 0 for one look.", min=0)
    ] = 1.0,
    model_config_file_poll_wait_seconds: Annotated[
        float, typer.Option(help="Seconds between two looks at the file; 0 for one look.", min=0)
    ] = 0.0,
    verbose: Annotated[bool, typer.Option("--verbose", help="A line for each request.")] = False,
) -> None:
    """A development server that answers as TF Serving does, over REST and gRPC.

    New versions are served as they appear; Ctrl-C answers what is under way and ends. For
    development and tests: deploy the official image, tensorflow/serving.
    """
    _check_extra()
    config_seconds = model_config_file_poll_wait_seconds
    models = _models(directory, model_config_file, version_policy, config_seconds)
    batching = _batching(enable_batching, batching_parameters_file)

    import logging
    import signal
    import threading

    from tflm.export.replay import disable_xla
    from tflm.serving.server import Limits, Server

    logging.basicConfig(format="tflm: %(message)s")
    logging.getLogger("tflm.serving").setLevel(logging.DEBUG if verbose else logging.INFO)
    import tensorflow_text  # noqa: F401  registers its ops, as the server links them

    disable_xla()
    server = Server(
        models,
        host=host,
        rest_port=rest_api_port,
        grpc_port=port,
        batching=batching,
        per_model_batching=enable_per_model_batching_parameters,
        # Each look asks for the models; how often the file is read, it knows itself.
        poll_seconds=min(
            filter(None, (file_system_poll_wait_seconds, config_seconds)), default=0.0
        ),
        limits=Limits(max_request_bytes, rest_api_timeout_in_ms),
    )
    ended = threading.Event()

    def end(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one ends at once
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with server:
        typer.echo(
            f"tflm: REST http://{host}:{server.rest_port}, gRPC {host}:{server.grpc_port}: {_READY}"
        )
        ended.wait()
        typer.echo("tflm: answering what is under way")


def _check_extra() -> None:
    try:
        import tensorflow_serving.apis  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"`tflm serve` needs an extra: pip install 'tflm[serving]' ({error})"
        ) from error


def _models(
    directory: pathlib.Path | None,
    config_file: pathlib.Path | None,
    policy: str,
    config_seconds: float,
) -> "Callable[[], Sequence[ModelConfig]]":
    """What gives the models at each look at the disk."""
    if directory is not None and config_file is not None:
        raise ValueError(
            "`directory` must not be given together with --model-config-file. Received: both"
        )
    if config_seconds and config_file is None:
        raise ValueError(
            "`model_config_file_poll_wait_seconds` must be given with --model-config-file. "
            f"Received: model_config_file_poll_wait_seconds={config_seconds}"
        )
    from tflm.serving.model_config import ModelConfigFile, discover_models
    from tflm.serving.versions import VersionPolicy

    kept = VersionPolicy.parse(policy)
    if directory is not None:
        discover_models(directory)  # before TensorFlow is imported
        return lambda: discover_models(directory, kept)
    if config_file is None:
        raise ValueError(
            "`directory` must be given, or --model-config-file instead. Received: neither"
        )
    if policy != "latest":
        raise ValueError(
            "`version_policy` must be in the file of --model-config-file. "
            f"Received: version_policy={policy!r}"
        )
    return ModelConfigFile(config_file, config_seconds)


def _batching(enabled: bool, file: pathlib.Path | None) -> "BatchingParameters | None":
    if file is not None and not enabled:
        raise ValueError(
            "`batching_parameters_file` must be given with --enable-batching. "
            f"Received: batching_parameters_file={str(file)!r}"
        )
    if not enabled:
        return None
    from tflm.serving.batching_parameters import BatchingParameters

    return BatchingParameters() if file is None else BatchingParameters.read(file)
