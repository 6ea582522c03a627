import pytest
import tensorflow as tf

from tflm.serving.status import Code, RequestError, invalid, session_error


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("OK", 200),
        ("INVALID_ARGUMENT", 400),
        ("FAILED_PRECONDITION", 400),
        ("OUT_OF_RANGE", 400),
        ("UNAUTHENTICATED", 401),
        ("PERMISSION_DENIED", 403),
        ("NOT_FOUND", 404),
        ("ALREADY_EXISTS", 409),
        ("ABORTED", 409),
        ("RESOURCE_EXHAUSTED", 429),
        ("CANCELLED", 499),
        ("UNKNOWN", 500),
        ("INTERNAL", 500),
        ("DATA_LOSS", 500),
        ("UNIMPLEMENTED", 501),
        ("UNAVAILABLE", 503),
        ("DEADLINE_EXCEEDED", 504),
    ],
)
def test_every_code_has_its_status_of_http(name, status):
    assert Code[name].http == status
    assert Code[name] == getattr(tf.errors, name, Code[name])


def test_an_error_reads_as_tensorflow_prints_one():
    assert str(invalid("so 坏")) == "INVALID_ARGUMENT: so 坏"


def test_what_a_session_raises_is_told_in_its_own_words():
    inner = tf.errors.DataLossError(None, None, "a file is broken")
    outer = tf.errors.DataLossError(None, None, "Graph execution error:\n\na file is broken")
    outer.__context__ = inner
    found = session_error(outer)
    assert (found.code, found.message) == (Code.DATA_LOSS, "a file is broken")
    found = session_error(inner)
    assert (found.code, found.message) == (Code.DATA_LOSS, "a file is broken")
    unknown = tf.errors.OpError(None, None, "odd", 77)
    assert session_error(unknown).code == Code.UNKNOWN
    found = session_error(ValueError("no such shape"))
    assert isinstance(found, RequestError)
    assert (found.code, found.message) == (Code.INVALID_ARGUMENT, "no such shape")
