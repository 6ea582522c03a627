"""What the tests of several tasks share."""

from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf


class Numbered:
    """Batches that are numbers: batch `i` of epoch `e` is `10 * e + i`; epochs differ in length."""

    SIZES = (4, 3, 5, 2)

    def num_batches(self, number=0):
        return self.SIZES[number % len(self.SIZES)]

    def epoch(self, number=0, start_batch=0):
        values = [10.0 * number + i for i in range(start_batch, self.num_batches(number))]
        x = np.array(values, "float32").reshape(-1, 1, 1)
        return tf.data.Dataset.from_tensor_slices((x, x, np.ones_like(x)))


@pytest.fixture
def numbered():
    """Numbered batches."""
    return Numbered()


@pytest.fixture(scope="module")
def serve_grpc():
    """A function that serves one method of PredictionService and gives the server's address."""
    grpc = pytest.importorskip("grpc", reason="no grpcio here to serve with")
    servers = []

    def serve(name, method, request_class):
        handler = grpc.unary_unary_rpc_method_handler(
            method,
            request_deserializer=request_class.FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )
        server = grpc.server(futures.ThreadPoolExecutor(2))
        service = "tensorflow.serving.PredictionService"
        handlers = grpc.method_handlers_generic_handler(service, {name: handler})
        server.add_generic_rpc_handlers((handlers,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"grpc://127.0.0.1:{port}"

    yield serve
    for server in servers:
        server.stop(None).wait()
