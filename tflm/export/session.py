"""A SavedModel in a session, as TF Serving holds it."""

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from tflm.export.saved_model_file import DEFAULT, SERVE, SavedModelFile


class Session:
    """A model that answers.

    Args:
        model: a SavedModel's file.

    Raises:
        tf.errors.OpError: it cannot be loaded.
    """

    def __init__(self, model: SavedModelFile):
        self._signatures = model.signatures()
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default(), _quiet():
            tf.compat.v1.saved_model.load(self._session, [SERVE], str(model.path))

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name.

        Args:
            signature: its name; "" is the default one.
            inputs: arrays by name.
        """
        found = self._signatures[signature or DEFAULT]
        fetches = {name: info.name for name, info in found.outputs.items()}
        feeds = {found.inputs[name].name: array for name, array in inputs.items()}
        return self._session.run(fetches, feeds)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without TensorFlow's advice to load into no session."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
