"""Answers from a model behind TF Serving, or any server that speaks its REST or gRPC.

    http://host:8501/v1/models/NAME                   latest version
    http://host:8501/v1/models/NAME/versions/3        one version; /labels/stable a labelled one
    grpc://host:8500/NAME                             latest version
    grpc://host:8500/NAME/versions/3                  one version; /labels/stable a labelled one

The signature asked for, `serving_default` by default, takes a batch of strings: `text`, or two of
them, `question` and `context` say.
"""

import http.client
import json
import re
import reprlib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tflm.export.serving_messages import predict_messages
from tflm.tasks.input_rows import TEXT, Row, by_field
from tflm.tasks.string_tensors import without_surrogates

Answer = dict[str, Any]
Predict = Callable[[Sequence[Any]], list[Answer]]
Columns = dict[str, list[str]]  # the texts of each field

_ROWS_PER_CALL = 64
_TIMEOUT = 600.0  # seconds, for one call
_REST = re.compile(r"(/.*)?/v1/models/[^/:]+(/versions/\d+|/labels/[^/]+)?")
_GRPC = re.compile(r"/(?P<name>[^/]+)(/versions/(?P<version>\d+)|/labels/(?P<label>[^/]+))?")
_SERVICE = "/tensorflow.serving.PredictionService"
_MAX_MESSAGE = 1 << 30  # bytes


def is_address(location: Any) -> bool:
    """Whether `location` is a server's address rather than a path."""
    return str(location).startswith(("http://", "https://", "grpc://"))


def open_served(address: str, signature: str = "", fields: Sequence[str] = TEXT) -> Predict:
    """A function from rows to answers, one dict of the signature's outputs per row.

    Args:
        address: As above.
        signature: Name of the signature; the server's default by default.
        fields: Names of its inputs; where there is one, a row is the text itself.

    Raises:
        ValueError: `address` has another form.
        ImportError: It begins with grpc:// and grpcio is not installed.
    """
    is_grpc = address.startswith("grpc://")
    call = _grpc(address, signature) if is_grpc else _rest(address, signature)

    def predict(rows: Sequence[Row]) -> list[Answer]:
        answers: list[Answer] = []
        for start in range(0, len(rows), _ROWS_PER_CALL):
            chunk = rows[start : start + _ROWS_PER_CALL]
            columns = by_field(chunk, fields)
            found = call(
                {name: [without_surrogates(t) for t in texts] for name, texts in columns.items()}
            )
            if len(found) != len(chunk):
                raise ValueError(
                    f"the server must answer each text. Received: {len(found)} answers to "
                    f"{len(chunk)} texts from {address}"
                )
            answers += found
        return answers

    return predict


def _rest(address: str, signature: str) -> Callable[[Columns], list[Answer]]:
    base = rest_base(address)
    named = {"signature_name": signature} if signature else {}
    forms = [_rows, _columns]  # the one that the server last answered is tried first

    def call(columns: Columns) -> list[Answer]:
        refusals = []
        for form in list(forms):
            try:
                answers = form(f"{base}:predict", columns, named)
            except _Refused as refused:  # a signature may have an output without a batch dimension
                refusals.append(str(refused))
                continue
            except _NotFound as missing:
                raise OSError(f"{missing}{_states(base)}") from None
            forms.sort(key=lambda other: other is not form)
            return answers
        raise ValueError(refusals[0])

    return call


def rest_base(address: str) -> str:
    """A model's REST address without a slash behind it.

    Raises:
        ValueError: It has another form.
    """
    base = address.rstrip("/")
    url = urllib.parse.urlsplit(base)
    if not _REST.fullmatch(url.path) or not _is_host(url):
        raise ValueError(
            "`model` must be http://host:port/v1/models/NAME, with /versions/N or /labels/LABEL "
            f"behind it for one version. Received: {address}"
        )
    return urllib.parse.quote(base, safe="/:%[]@")


def _is_host(url: urllib.parse.SplitResult) -> bool:
    try:
        return bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:  # the port is no number
        return False


class _NotFound(Exception):
    """The server has no such model, or has not loaded it."""


class _Refused(Exception):
    """The server says that a request is bad."""


def _rows(url: str, columns: Columns, named: dict[str, str]) -> list[Answer]:
    rows = zip(*columns.values(), strict=True)
    body = {**named, "instances": [dict(zip(columns, row, strict=True)) for row in rows]}
    # A single output has no name in rows.
    found = _post(url, body, "predictions")
    return [row if isinstance(row, dict) else {"text": row} for row in found]


def _columns(url: str, columns: Columns, named: dict[str, str]) -> list[Answer]:
    found = _post(url, {**named, "inputs": columns}, "outputs")
    return _answers(found if isinstance(found, dict) else {"text": found}, _count(columns))


def _count(columns: Columns) -> int:
    """How many rows there are."""
    return len(next(iter(columns.values())))


def _answers(columns: dict[str, Any], count: int) -> list[Answer]:
    """One dict a row; an output without a batch dimension belongs to none and is left out."""
    batched = {
        name: column
        for name, column in columns.items()
        if isinstance(column, list) and len(column) == count
    }
    return [dict(zip(batched, row, strict=True)) for row in zip(*batched.values(), strict=True)]


def _post(url: str, body: dict[str, Any], key: str) -> list[Any] | dict[str, Any]:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    answer = _asked(request, url)
    if not isinstance(answer, dict) or not isinstance(answer.get(key), (list, dict)):
        raise ValueError(
            f"the server must answer with {key!r}. Received: {reprlib.repr(answer)} from {url}"
        )
    return answer[key]


def rest_metadata(address: str) -> Any:
    """What a server says of a model over REST, as JSON holds it.

    Raises:
        ConnectionError: No server answers.
        OSError: It has no such model, or fails.
        ValueError: `address` has another form, or the answer is not JSON.
    """
    base = rest_base(address)
    url = f"{base}/metadata"
    try:
        return _asked(urllib.request.Request(url), url)
    except _Refused as refused:
        raise ValueError(f"{refused}") from None
    except _NotFound as missing:
        raise OSError(f"{missing}{_states(base)}") from None


def _asked(request: urllib.request.Request, url: str) -> Any:
    """The answer to a request, in which an error's status is an error of ours."""
    try:
        return _json(request, url)
    except urllib.error.HTTPError as error:
        with error:
            received = f"{error.code} {error.reason}, {_error_text(error)} from {url}"
        if error.code == 400:
            raise _Refused(f"the server refused the request. Received: {received}") from None
        if error.code == 404:
            raise _NotFound(
                f"`model` must be one that the server has loaded. Received: {received}"
            ) from None
        raise OSError(f"the server failed. Received: {received}") from None


def _json(request: urllib.request.Request, url: str) -> Any:
    """The answer to a request.

    Raises:
        HTTPError: its status is an error.
        ConnectionError: there is no whole answer, in time.
        ValueError: it is not JSON.
    """
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            content = response.read()
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            reason = f"no answer in {_TIMEOUT:g} seconds"
        raise ConnectionError(
            "`model` must be a server that answers. "
            f"Received: {_one_line(str(reason)) or type(reason).__name__} from {url}"
        ) from None
    try:
        return json.loads(content)
    except ValueError:
        raise ValueError(f"the server must answer JSON. Received: none from {url}") from None


def _error_text(error: urllib.error.HTTPError) -> str:
    """What an error answer says: the text under "error", as TF Serving writes it, or all of it."""
    try:
        content = error.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ""
    try:
        content = json.loads(content)["error"]
    except (ValueError, TypeError, KeyError):
        pass
    return _one_line(str(content))


def _states(address: str) -> str:
    """What the server says of its versions of a model, after a comma; nothing where it does not."""
    try:
        found = _json(urllib.request.Request(address), address)["model_version_status"]
        states = [
            f"version {each['version']} {each['state']} {each['status']['error_message']}".strip()
            for each in found
        ]
    except (OSError, ValueError, TypeError, KeyError):
        return ""
    return f", which has {_one_line('; '.join(states))}" if states else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]


def _grpc(address: str, signature: str) -> Callable[[Columns], list[Answer]]:
    send = grpc_method(address, "Predict", *predict_messages())

    def call(columns: Columns) -> list[Answer]:
        def fill(request: Any) -> None:
            request.model_spec.signature_name = signature
            for name, texts in columns.items():
                tensor = tf.make_tensor_proto(texts, tf.string, [len(texts)])
                request.inputs[name] = tensor.SerializeToString()

        outputs = send(fill).outputs
        found = {name: _column(content) for name, content in outputs.items()}
        return _answers(found, _count(columns))

    return call


def grpc_method(address: str, name: str, request_class: Any, response_class: Any) -> Any:
    """A method of a server's PredictionService, for the model that `address` says.

    Args:
        address: As above, grpc://.
        name: Name of the method.
        request_class: Class of its requests, which have a `model_spec`.
        response_class: Class of its responses.

    Returns:
        A function to the response, from a function that fills the rest of a request.

    Raises:
        ValueError: `address` has another form.
        ImportError: grpcio is not installed.
    """
    try:
        import grpc
    except ImportError as error:
        raise ImportError(
            "a grpc:// address needs grpcio, which is not installed: pip install 'tflm[serving]'"
        ) from error
    url = urllib.parse.urlsplit(address.rstrip("/"))
    match = _GRPC.fullmatch(url.path)
    if match is None or not _is_host(url):
        raise ValueError(
            "`model` must be grpc://host:port/NAME, with /versions/N or /labels/LABEL behind it "
            f"for one version. Received: {address}"
        )
    limits = [(f"grpc.max_{way}_message_length", _MAX_MESSAGE) for way in ("send", "receive")]
    channel = grpc.insecure_channel(url.netloc, options=limits)
    method = channel.unary_unary(
        f"{_SERVICE}/{name}",
        request_serializer=request_class.SerializeToString,
        response_deserializer=response_class.FromString,
    )

    def send(fill: Callable[[Any], None]) -> Any:
        request = request_class()
        request.model_spec.name = match["name"]
        if match["version"]:
            request.model_spec.version.value = int(match["version"])
        if match["label"]:
            request.model_spec.version_label = match["label"]
        fill(request)
        try:
            return method(request, timeout=_TIMEOUT)
        except grpc.RpcError as error:
            status, details = error.code().name, _one_line(error.details() or "")
            raise _grpc_error(status, f"{status}, {details} from {address}") from None

    return send


def _grpc_error(status: str, received: str) -> Exception:
    """The error that REST raises for the same status."""
    if status in ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"):
        return ValueError(f"the server refused the request. Received: {received}")
    if status == "NOT_FOUND":
        return OSError(f"`model` must be one that the server has loaded. Received: {received}")
    if status in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        return ConnectionError(f"`model` must be a server that answers. Received: {received}")
    return OSError(f"the server failed. Received: {received}")


def _column(content: bytes) -> Any:
    values = tf.make_ndarray(type(tf.make_tensor_proto(0)).FromString(content))
    if values.dtype == object:
        decode = np.vectorize(lambda text: text.decode(errors="replace"), otypes=[object])
        return decode(values).tolist()
    return values.tolist()
