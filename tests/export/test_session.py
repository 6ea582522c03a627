import numpy as np

from tflm.export.saved_model_file import read
from tflm.export.session import Session


def test_a_session_answers_by_names(upper):
    session = Session(read(upper))
    for signature in ("", "serving_default"):
        answer = session.run(signature, {"text": np.array([b"abc"], object)})
        assert answer["text"].tolist() == [b"ABC"] and answer["length"].tolist() == [3]
