"""TF Serving's REST API: verb, path and body to an answer (`http_rest_api_handler.cc`)."""

import dataclasses
import re
import urllib.parse
from typing import Any

from tflm.serving import metrics, rest_requests, rest_responses
from tflm.serving.examples import classify, regress
from tflm.serving.json_text import parse
from tflm.serving.model_status import get_model_metadata, get_model_status
from tflm.serving.predictor import Predictor, Target
from tflm.serving.status import Code, RequestError, invalid

_ANY = re.compile(r"(?i)/v1/.*")
_MODEL = r"(?:(?:/versions/([0-9]+))|(?:/labels/([^/:]+)))?"
_ASK = re.compile(rf"(?i)/v1/models/([^/:]+){_MODEL}:(classify|regress|predict)")
_TELL = re.compile(rf"(?i)/v1/models(?:/([^/:]+))?{_MODEL}(?:/(metadata))?")
_LARGEST = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a client is sent.

    Args:
        status: of HTTP.
        body: what follows the headers.
        content_type: what that is.
    """

    status: int
    body: bytes
    content_type: str = "application/json"


class RestApi:
    """Answers requests.

    Args:
        predictor: answers what models are asked.
        timeout_ms: milliseconds that a model may take.
    """

    def __init__(self, predictor: Predictor, timeout_ms: int):
        self._predictor = predictor
        self._timeout_ms = timeout_ms

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """The answer, whatever the request is.

        Args:
            method: GET, POST, ...
            path: with what follows a question mark, as the client sent it.
            body: uncompressed.
        """
        if path == metrics.PATH:
            page = self._predictor.metrics.page().encode()
            return Answer(200, page, metrics.CONTENT_TYPE)
        if not _ANY.fullmatch(path):
            return Answer(404, b"Not Found\n", "text/plain")
        try:
            return Answer(200, self._answer(method, path, body))
        except RequestError as error:
            return Answer(error.code.http, rest_responses.error(error.message))
        except Exception as error:  # a fault of this server: the client is told, and it goes on
            message = f"{type(error).__name__}: {error}"
            return Answer(Code.INTERNAL.http, rest_responses.error(message))

    def _answer(self, method: str, path: str, body: bytes) -> bytes:
        routes = {"POST": _ASK, "GET": _TELL}
        found = routes[method].fullmatch(path) if method in routes else None
        if not found:
            raise invalid(f"Malformed request: {method} {path}")
        name, number, label, last = found.groups()
        version = None if number is None else int(number) if len(number) < 20 else _LARGEST + 1
        if version is not None and version > _LARGEST:
            raise invalid(f"Failed to convert version: {number} to numeric.")
        target = Target(_decoded(name or ""), version, None if label is None else _decoded(label))
        if method == "GET":
            if not target.name:
                raise invalid("Missing model name in request.")
            return self._metadata(target) if last else self._status(target)
        api = last.capitalize()
        with self._predictor.counted(target.name, api, "REST"):
            return getattr(self, f"_{api.lower()}")(target, parse(body))

    def _predict(self, target: Target, document: Any) -> bytes:
        target = dataclasses.replace(target, signature=rest_requests.signature_name(document))
        with self._predictor.lease(target) as servable:
            signature = servable.signature_defs.get(target.signature_name)
            if signature is None:
                raise invalid(
                    f'Serving signature name: "{target.signature_name}" not found in signature def'
                )
            if not signature.inputs:
                name = target.signature or "DEFAULT"
                raise invalid(f"Failed to get input map for signature: {name}")
            inputs, by_row = rest_requests.arrays(document, signature.inputs)
            outputs = self._predictor.run(
                servable, target.signature_name, inputs, timeout_ms=self._timeout_ms
            )
        return rest_responses.rows(outputs) if by_row else rest_responses.columns(outputs)

    def _classify(self, target: Target, document: Any) -> bytes:
        target = dataclasses.replace(target, signature=rest_requests.signature_name(document))
        examples = rest_requests.examples(document)
        with self._predictor.lease(target) as servable:
            found = classify(self._predictor, servable, target, examples, self._timeout_ms)
        return rest_responses.classifications(found)

    def _regress(self, target: Target, document: Any) -> bytes:
        target = dataclasses.replace(target, signature=rest_requests.signature_name(document))
        examples = rest_requests.examples(document)
        with self._predictor.lease(target) as servable:
            found = regress(self._predictor, servable, target, examples, self._timeout_ms)
        return rest_responses.regressions(found)

    def _status(self, target: Target) -> bytes:
        return rest_responses.model_status(
            get_model_status(self._predictor.manager, target.name, target.version, target.label)
        )

    def _metadata(self, target: Target) -> bytes:
        with self._predictor.lease(target) as servable:
            return rest_responses.metadata(*get_model_metadata(servable))


def _decoded(text: str) -> str:
    return urllib.parse.unquote(text, errors="surrogateescape")
