"""The answers themselves, for REST and gRPC alike."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tflm.export.saved_model_file import DEFAULT
from tflm.serving.batching import Batcher
from tflm.serving.manager import Manager
from tflm.serving.metrics import Metrics
from tflm.serving.servable import Servable
from tflm.serving.status import Code, RequestError


@dataclasses.dataclass(frozen=True)
class Target:
    """What a request asks.

    Args:
        name: the model's name.
        version: a version of it; the newest by default.
        label: the version by its label.
        signature: the signature; "" for the default one.
    """

    name: str
    version: int | None = None
    label: str | None = None
    signature: str = ""

    @property
    def signature_name(self) -> str:
        """The signature's name, also where none was asked for."""
        return self.signature or DEFAULT


class Predictor:
    """Runs signatures of the models that are loaded.

    Args:
        manager: holds the models.
        metrics: counts.
        batcher: puts requests together; `None` for each on its own, as is TF Serving's default.
    """

    def __init__(self, manager: Manager, metrics: Metrics, batcher: Batcher | None = None):
        self.manager = manager
        self.metrics = metrics
        self._batcher = batcher

    def lease(self, target: Target) -> contextlib.AbstractContextManager[Servable]:
        """The version that a request asks for, which stays loaded meanwhile.

        Raises:
            RequestError: there is none.
        """
        return self.manager.lease(target.name, target.version, target.label)

    def run(
        self,
        servable: Servable,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str] = (),
        *,
        api: str = "Predict",
        timeout_ms: int = 0,
    ) -> dict[str, np.ndarray]:
        """Outputs by name.

        Args:
            servable: a version, leased.
            signature: name of a signature that it has.
            inputs: arrays, one for each of its inputs.
            outputs: which of its outputs; all by default. A part of them is not batched.
            api: what the time is counted for: Predict, Classify, ...
            timeout_ms: milliseconds that it may take; 0 for any time.

        Raises:
            RequestError: the inputs do not fit, or the graph fails.
        """
        servable.check(signature, inputs)
        began = time.perf_counter()
        if self._batcher is None or outputs:
            found = servable.answer(signature, inputs, outputs, timeout_ms)
        else:
            found = self._batcher.answer(servable, signature, inputs, timeout_ms)
        microseconds = (time.perf_counter() - began) * 1e6
        self.metrics.runtime_latency.add(microseconds, servable.name, api, "TF1")
        return found

    @contextlib.contextmanager
    def counted(self, name: str, api: str, entrypoint: str) -> Iterator[None]:
        """Counts a request, of whatever end.

        Only of models that there are: names that clients make up are not kept.
        """
        began, code = time.perf_counter(), Code.OK
        try:
            yield
        except RequestError as error:
            code = error.code
            raise
        except Exception:
            code = Code.INTERNAL
            raise
        finally:
            if self.manager.knows(name):
                self.metrics.request_count.add(name, code.name)
                if code == Code.OK:
                    microseconds = (time.perf_counter() - began) * 1e6
                    self.metrics.request_latency.add(microseconds, name, api, entrypoint)
