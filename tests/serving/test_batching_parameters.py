import pytest

from tflm.serving.batching_parameters import BatchingParameters

TEXT = """
# As a server reads it.
max_batch_size { value: 64 }
batch_timeout_micros { value: 2500 }
max_enqueued_batches { value: 7 }
num_batch_threads { value: 3 }
thread_pool_name { value: "线程" }
enable_large_batch_splitting { value: true }
max_execution_batch_size { value: 16 }
allowed_batch_sizes: 4
allowed_batch_sizes: 16
pad_variable_length_inputs: true
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "batching.pbtxt"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_file_says_how_requests_are_put_together(write):
    found = BatchingParameters.read(write(TEXT))
    assert found == BatchingParameters(64, 2500, 7, 3, (4, 16), 16, True, True)
    assert found.batch_rows == 16


def test_what_a_file_does_not_say_is_as_in_the_server(write):
    found = BatchingParameters.read(write(""))
    assert found == BatchingParameters()
    assert (found.max_batch_size, found.batch_timeout_micros, found.batch_rows) == (1000, 0, 1000)
    assert found.max_enqueued_batches == 10 and found.allowed_batch_sizes == ()
    assert not found.pad_variable_length_inputs and not found.enable_large_batch_splitting


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch: 3", "`batching_parameters_file` must hold BatchingParameters in text"),
        ("max_batch_size { value: 0 }", "`max_batch_size` must be positive. Received: 0"),
        ("num_batch_threads { value: -1 }", "`num_batch_threads` must be positive. Received: -1"),
        ("max_enqueued_batches { }", "`max_enqueued_batches` must be positive. Received: 0"),
        ("batch_timeout_micros { value: -5 }", "`batch_timeout_micros` must not be negative.*-5"),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: 4",
            r"`allowed_batch_sizes` must increase and end with 8, .* allowed_batch_sizes=\[4\]",
        ),
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: [4, 2, 4]",
            r"`allowed_batch_sizes` must increase .* Received: allowed_batch_sizes=\[4, 2, 4\]",
        ),
    ],
)
def test_what_is_not_possible_is_refused(write, text, message):
    with pytest.raises(ValueError, match=message):
        BatchingParameters.read(write(text))
