import pytest

from tflm.serving.manager import Manager
from tflm.serving.model_config import ModelConfig
from tflm.serving.model_status import get_model_metadata, get_model_status
from tflm.serving.status import RequestError
from tflm.serving.versions import VersionPolicy


@pytest.fixture(scope="module")
def manager(saved_models):
    base = saved_models / "版本"
    manager = Manager(lambda: [ModelConfig("m", base, VersionPolicy(latest=2), {"新": 11})])
    manager.poll()
    yield manager
    manager.close()


def test_the_status_is_in_the_servers_messages(manager):
    found = get_model_status(manager, "m").model_version_status
    assert [(each.version, each.state, each.status.error_code) for each in found] == [
        (11, 30, 0),
        (2, 30, 0),
    ]
    for arguments in ((11,), (None, "新")):
        (one,) = get_model_status(manager, "m", *arguments).model_version_status
        assert one.version == 11 and one.State.Name(one.state) == "AVAILABLE"
    with pytest.raises(RequestError, match="Could not find version 1 of model m"):
        get_model_status(manager, "m", 1)


def test_the_metadata_are_all_signatures(manager):
    with manager.lease("m", 2) as servable:
        response, signatures = get_model_metadata(servable)
    assert (response.model_spec.name, response.model_spec.version.value) == ("m", 2)
    assert not response.model_spec.signature_name
    assert signatures.signature_def.keys() == {"serving_default", "__saved_model_init_op"}
    inputs = signatures.signature_def["serving_default"].inputs
    assert inputs["text"].name == "serving_default_text:0"
