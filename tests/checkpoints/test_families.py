import types

import pytest

from tflm import models
from tflm.checkpoints import families


@pytest.mark.parametrize("name", families.FAMILIES)
def test_a_family_says_all_that_is_asked_of_it(name):
    family = families.FAMILIES[name]
    assert family.MODEL in models.ARCHITECTURES.values()
    assert family.MODEL_TYPES and isinstance(family.MODEL_TYPES, tuple)
    assert isinstance(family.PREFIX, str)
    assert isinstance(family.HEADS, tuple) and isinstance(family.IGNORED, tuple)
    known = family.config_from_huggingface(family.config_to_huggingface(family.MODEL.Config()), ())
    assert isinstance(known, family.MODEL.Config)
    assert families.of_model_type(family.MODEL_TYPES[0]) is family
    assert isinstance(family, types.ModuleType)


def test_no_two_families_open_the_same():
    found = families.FAMILIES.values()
    types_ = [name for family in found for name in family.MODEL_TYPES]
    classes = [family.MODEL for family in found]
    assert len(types_) == len({*types_}) and len(classes) == len({*classes})


def test_an_unsupported_model_type_names_the_supported_ones():
    with pytest.raises(ValueError, match=r"one of \[.*'bert', .*'roberta'.*model_type='wav2vec2'"):
        families.of_model_type("wav2vec2")


def test_a_model_without_public_checkpoints_is_refused():
    model = models.build("transformer/tiny")
    with pytest.raises(ValueError, match=r"`model` must be one of .*'Bert'.*Received: Transformer"):
        families.of_model(model)


def test_an_unknown_backbone_names_the_known_ones():
    with pytest.raises(ValueError, match=r"one of .*'BertBackbone'.*Received: OPTBackbone"):
        families.of_keras_hub("OPTBackbone")
    for name in ("RobertaBackbone", "XLMRobertaBackbone"):
        assert families.of_keras_hub(name) is families.FAMILIES["roberta"]
