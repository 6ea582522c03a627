"""What a served model takes and gives, as its server says."""

import dataclasses
import reprlib

import tensorflow as tf

from tflm.export.serving_messages import SIGNATURES, metadata_messages, signatures_of
from tflm.tasks.served import grpc_method, rest_metadata

_SIGNATURE = "serving_default"


@dataclasses.dataclass(frozen=True)
class ServedSignature:
    """Names of the inputs and outputs of `serving_default`, sorted."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def served_signature(address: str) -> ServedSignature:
    """The signature of the model at an address, as `tflm.tasks.served` takes them.

    Raises:
        ConnectionError: No server answers.
        OSError: It has no such model.
        ValueError: `address` has another form, or the server does not say.
        ImportError: It begins with grpc:// and grpcio is not installed.
    """
    return _of_grpc(address) if address.startswith("grpc://") else _of_rest(address)


def _of_rest(address: str) -> ServedSignature:
    found = rest_metadata(address)
    try:
        signature = found["metadata"][SIGNATURES][SIGNATURES][_SIGNATURE]
        sides = (tuple(sorted({**signature[side]})) for side in ("inputs", "outputs"))
        return ServedSignature(*sides)
    except (TypeError, KeyError):
        raise _unknown(f"{reprlib.repr(found)} from {address}") from None


def _of_grpc(address: str) -> ServedSignature:
    send = grpc_method(address, "GetModelMetadata", *metadata_messages())
    found = signatures_of(send(lambda request: request.metadata_field.append(SIGNATURES)))
    if _SIGNATURE not in found:
        raise _unknown(f"{', '.join(sorted(found)) or 'nothing'} from {address}")
    parse = type(tf.compat.v1.MetaGraphDef().signature_def[_SIGNATURE]).FromString
    signature = parse(found[_SIGNATURE])
    return ServedSignature(tuple(sorted(signature.inputs)), tuple(sorted(signature.outputs)))


def _unknown(received: str) -> ValueError:
    return ValueError(
        f"the server must say what the model's {_SIGNATURE} takes. Received: {received}"
    )
