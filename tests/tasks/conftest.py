"""What the tests of several tasks share."""

from concurrent import futures

import pytest


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
