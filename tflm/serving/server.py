"""The server: models, REST and gRPC, from start to end."""

import contextlib
import dataclasses
import http.client
import pathlib
import time
from collections.abc import Callable, Sequence

from tflm.serving.batching import Batcher
from tflm.serving.batching_parameters import BatchingParameters
from tflm.serving.grpc_service import ModelService, PredictionService, grpc_server
from tflm.serving.http_server import HttpServer
from tflm.serving.manager import Manager
from tflm.serving.metrics import Metrics
from tflm.serving.model_config import ModelConfig
from tflm.serving.predictor import Predictor
from tflm.serving.rest import RestApi
from tflm.serving.servable import Servable
from tflm.serving.status import RequestError

REST_PORT, GRPC_PORT = 8501, 8500
_WARM_UP_SECONDS = 1.0
_GRPC_THREADS = 128  # they wait for batches, most of them


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much a request may be.

    Args:
        request_bytes: of a body, as it is sent and unzipped; of a gRPC message.
        rest_timeout_ms: milliseconds that a model may take for a request over REST. Over gRPC the
            client's deadline holds.
        shutdown_seconds: that requests under way have when the server ends, or when their version
            goes; then they are cancelled.
    """

    request_bytes: int = 64 * 2**20
    rest_timeout_ms: int = 30_000
    shutdown_seconds: float = 30.0


class Server:
    """Answers as TF Serving does, in threads of this process. For development and tests.

    with Server(lambda: discover_models("saved_models")) as server:
        requests.get(f"http://localhost:{server.rest_port}/v1/models/translation")

    A loaded model does what a stock TF Serving would do with it but for XLA, which is a switch of
    the process: `tflm.export.replay.disable_xla` turns it off, as `tflm serve` does.

    Args:
        models: gives the models, at each look at the disk.
        host: the address to listen on; "0.0.0.0" for all that the machine has.
        rest_port: of REST; 0 for a free one.
        grpc_port: of gRPC; 0 for a free one.
        batching: how requests are put together; each runs on its own by default.
        per_model_batching: whether a model's own `batching_params.pbtxt` holds.
        poll_seconds: between two looks at the disk; 0 for one look at the start.
        limits: how much a request may be.

    Raises:
        OSError: a port is taken.
        ValueError: no model can be served, or a label is of a version that is not.
    """

    def __init__(
        self,
        models: Callable[[], Sequence[ModelConfig]],
        *,
        host: str = "127.0.0.1",
        rest_port: int = REST_PORT,
        grpc_port: int = GRPC_PORT,
        batching: BatchingParameters | None = None,
        per_model_batching: bool = False,
        poll_seconds: float = 1.0,
        limits: Limits | None = None,
    ):
        self._limits = limits or Limits()
        self._poll_seconds = poll_seconds
        self.metrics = Metrics()
        self.manager = Manager(models, self._observe, self._limits.shutdown_seconds)
        self._roots = _roots(models())
        self._load(models())
        self._batcher = None
        if batching is not None:
            self._batcher = Batcher(batching, per_model_batching, self.metrics.observe_batch)
        predictor = Predictor(self.manager, self.metrics, self._batcher)
        api = RestApi(predictor, self._limits.rest_timeout_ms)
        most = self._limits.request_bytes
        services = PredictionService(predictor), ModelService(self.manager, self._allow)
        with contextlib.ExitStack() as undo:  # where a port is taken
            undo.callback(self._close_models)
            self._http = HttpServer((host, rest_port), api.answer, most)
            undo.callback(self._http.server_close)
            self.rest_port: int = self._http.server_address[1]
            self._grpc, self.grpc_port = grpc_server(
                (host, grpc_port), services, threads=_GRPC_THREADS, max_bytes=most
            )
            undo.pop_all()

    def start(self) -> None:
        """Begins to answer, and to look for new versions."""
        self._http.start()
        self._warm_up()
        self._grpc.start()
        if self._poll_seconds:
            self.manager.start(self._poll_seconds)

    def stop(self) -> None:
        """Ends: nothing new is taken, and what has been taken is answered first."""
        seconds = self._limits.shutdown_seconds
        deadline = time.monotonic() + seconds
        grpc_ended = self._grpc.stop(seconds)
        self._http.stop(seconds)
        grpc_ended.wait(max(0.0, deadline - time.monotonic()))
        self._close_models()

    def _close_models(self) -> None:
        self.manager.close()  # first: it cancels what a batch may wait for
        if self._batcher is not None:
            self._batcher.close()

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.stop()

    def _load(self, models: Sequence[ModelConfig]) -> None:
        """Loads what can be loaded before anybody may ask."""
        self.manager.poll()
        reasons = []
        for model in models:
            statuses = self.manager.statuses(model.name) if self.manager.knows(model.name) else []
            if any(status.state == "AVAILABLE" for status in statuses):
                continue
            why = "; ".join(f"version {each.version}: {each.message}" for each in statuses)
            reasons.append(f"{model.name} ({why or f'no version in {model.base_path}'})")
        if len(reasons) == len(models):
            found = ", ".join(reasons) or "no directory with numbered versions"
            raise ValueError(f"`directory` must hold a model that can be served. Received: {found}")
        try:
            self.manager.check_labels(models)
        except RequestError as error:
            raise ValueError(f"`version_labels` must be available. Received: {error}") from error

    def _warm_up(self) -> None:
        """Asks for something, for the first request of all takes twice as long as the others."""
        host, port = self._http.server_address[:2]
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(
                http.client.HTTPConnection(str(host), port, timeout=_WARM_UP_SECONDS)
            ) as connection,
        ):
            connection.request("GET", "/")
            connection.getresponse().read()

    def _observe(self, servable: Servable) -> None:
        microseconds = servable.warmup_seconds * 1e6
        self.metrics.warmup_latency.add(microseconds, servable.name, "OK")

    def _allow(self, model: ModelConfig) -> None:
        """A client may name what lies beside a served model or below it, and nothing else."""
        path = model.base_path.resolve()
        if not any(path.is_relative_to(root) for root in self._roots):
            raise ValueError(
                f"`base_path` must be in {', '.join(map(str, self._roots))}. "
                f"Received: base_path={str(model.base_path)!r}"
            )


def _roots(models: Sequence[ModelConfig]) -> list[pathlib.Path]:
    """The directories in which the models are."""
    return sorted({model.base_path.resolve().parent for model in models})
