import logging

import numpy as np
import tensorflow as tf

from tflm.export.saved_model_file import read
from tflm.export.session import Session


def test_a_session_answers_by_names(upper):
    session = Session(read(upper))
    for signature in ("", "serving_default"):
        answer = session.run(signature, {"text": np.array([b"abc"], object)})
        assert answer["text"].tolist() == [b"ABC"] and answer["length"].tolist() == [3]


def test_tensorflows_advice_is_not_for_the_user(upper, monkeypatch):
    logger, load = tf.get_logger(), tf.compat.v1.saved_model.load
    before, during = logger.level, []

    def watched(*arguments):
        during.append(logger.isEnabledFor(logging.WARNING))
        return load(*arguments)

    monkeypatch.setattr(tf.compat.v1.saved_model, "load", watched)
    Session(read(upper))
    assert during == [False] and logger.level == before
