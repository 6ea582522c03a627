"""Why a request fails: TF Serving's codes, in gRPC and in HTTP."""

import enum
from typing import Any

import tensorflow as tf


class Code(enum.IntEnum):
    """Codes of gRPC, of TensorFlow's errors and of a model's status alike."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @property
    def http(self) -> int:
        """The status of an HTTP answer (`http_server.cc`, ToHTTPStatusCode)."""
        return _HTTP.get(self, 500)


_HTTP = {
    Code.OK: 200,
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.CANCELLED: 499,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}


class RequestError(Exception):
    """A request that cannot be answered.

    Args:
        code: what kind of failure it is.
        message: what the client is told.
    """

    def __init__(self, code: Code, message: str):
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        """As TensorFlow prints a status inside of another message."""
        return f"{self.code.name}: {self.message}"


def invalid(message: str) -> RequestError:
    """A request that asks for what cannot be."""
    return RequestError(Code.INVALID_ARGUMENT, message)


def session_error(error: Exception) -> RequestError:
    """What a session raised, as a server of C++ would tell it."""
    if not isinstance(error, tf.errors.OpError):
        return invalid(str(error))
    # Python's session puts where a node was defined around the message of the C++ session.
    cause = error.__context__
    original: Any = cause if isinstance(cause, tf.errors.OpError) else error
    code = original.error_code
    known = code in Code.__members__.values()
    return RequestError(Code(code) if known else Code.UNKNOWN, original.message)
