import pytest
import tensorflow as tf

from tflm.export.serving_messages import metadata_messages, predict_messages, signatures_of

# What the classes of tensorflow-serving-api 2.21 write for the messages below.
REQUEST = (
    "0a130a06e7bfbbe8af911202080c1a0573636f7265121b0a0474657874121308071204120208024201614206e58c97"
    "e4baac"
)
LABELLED = (
    "0a170a06e7bfbbe8af911a0573636f72652206737461626c65121b0a04746578741213080712041202080242016142"
    "06e58c97e4baac"
)
RESPONSE = (
    "0a1b0a0573636f7265121208011204120208022208000000bf0000a0bf0a1b0a047465787412130807120412020802"
    "4201624206e4bca6e695a60a190a097472756e6361746564120c080a1204120208025a020001121d0a06e7bfbbe8af"
    "911202080c1a0f73657276696e675f64656661756c74"
)
METADATA_REQUEST = "0a0c0a06e7bfbbe8af911202080c120d7369676e61747572655f646566"
METADATA_RESPONSE = (
    "0a0c0a06e7bfbbe8af911202080c12d8010a0d7369676e61747572655f64656612c6010a36747970652e676f6f676c"
    "65617069732e636f6d2f74656e736f72666c6f772e73657276696e672e5369676e61747572654465664d6170128b01"
    "0a3a0a155f5f73617665645f6d6f64656c5f696e69745f6f701221121f0a155f5f73617665645f6d6f64656c5f696e"
    "69745f6f7012060a044e6f4f700a4d0a0f73657276696e675f64656661756c74123a0a0d0a07636f6e746578741202"
    "10070a0e0a087175657374696f6e12021007120b0a0573636f726512021007120c0a06616e7377657212021007"
)


def filled(request):
    request.model_spec.name = "翻译"
    request.model_spec.version.value = 12
    request.model_spec.signature_name = "score"
    return request


def test_a_request_is_that_of_tf_serving_on_the_wire():
    request = filled(predict_messages()[0]())
    tensor = tf.make_tensor_proto(["a", "北京"], tf.string, [2])
    request.inputs["text"] = tensor.SerializeToString()
    assert request.SerializeToString(deterministic=True).hex() == REQUEST
    request.model_spec.ClearField("version")
    request.model_spec.version_label = "stable"
    assert request.SerializeToString(deterministic=True).hex() == LABELLED


def test_a_response_of_tf_serving_is_read():
    response = predict_messages()[1].FromString(bytes.fromhex(RESPONSE))
    tensor_class = type(tf.make_tensor_proto(0))
    found = {
        name: tf.make_ndarray(tensor_class.FromString(content)).tolist()
        for name, content in response.outputs.items()
    }
    assert found == {
        "text": [b"b", "伦敦".encode()],
        "score": [-0.5, -1.25],
        "truncated": [False, True],
    }
    assert response.model_spec.version.value == 12
    assert response.model_spec.signature_name == "serving_default"


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")  # those of its imports
def test_the_package_of_tf_serving_reads_and_writes_the_same():
    reason = "needs pip install --no-deps tensorflow-serving-api"
    theirs = pytest.importorskip("tensorflow_serving.apis.predict_pb2", reason=reason)
    tensor = tf.make_tensor_proto(["a", "北京"], tf.string, [2])
    request = filled(theirs.PredictRequest())
    request.inputs["text"].CopyFrom(tensor)
    assert request.SerializeToString(deterministic=True).hex() == REQUEST
    response = theirs.PredictResponse.FromString(bytes.fromhex(RESPONSE))
    assert tf.make_ndarray(response.outputs["score"]).tolist() == [-0.5, -1.25]


def test_the_classes_are_made_once():
    assert predict_messages() is predict_messages()


def test_the_metadata_of_a_model_is_that_of_tf_serving_on_the_wire():
    request = metadata_messages()[0]()
    request.model_spec.name = "翻译"
    request.model_spec.version.value = 12
    request.metadata_field.append("signature_def")
    assert request.SerializeToString(deterministic=True).hex() == METADATA_REQUEST
    response = metadata_messages()[1].FromString(bytes.fromhex(METADATA_RESPONSE))
    found = signatures_of(response)
    assert sorted(found) == ["__saved_model_init_op", "serving_default"]
    parse = type(tf.compat.v1.MetaGraphDef().signature_def[""]).FromString
    assert sorted(parse(found["serving_default"]).inputs) == ["context", "question"]
