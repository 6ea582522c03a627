import json

import pytest

from tflm.generation import Beam, Greedy, Limits, Sample
from tflm.tasks.decoding import decoding_from_json, decoding_to_json, strategy_to_json

LIMITS = Limits(max_length=17, min_length=3, no_repeat_ngram_size=2, coverage_penalty=0.5)


@pytest.mark.parametrize("strategy", [Beam(3, 2, "power", 0.7), Greedy(), Sample(top_k=5)], ids=str)
def test_how_a_task_decodes_survives_json(strategy):
    values = json.loads(json.dumps({**decoding_to_json(strategy, LIMITS), "other": 1}))
    assert decoding_from_json(values) == {"strategy": strategy, "limits": LIMITS}
    assert values["strategy"] == strategy_to_json(strategy)
    assert values["strategy"]["name"] == type(strategy).__name__
