"""`check` on what every task exports, and on what other libraries do."""

import pytest
import tensorflow as tf

from tflm.export.check import check


def failures(directory):
    return {each.rule: each.message for each in check(directory) if each.status == "failure"}


@pytest.mark.slow
def test_keras_hubs_bert_classifier_with_its_preprocessor_fails(tmp_path, monkeypatch):
    """Its segments are cut to size by an op that TF Serving has since 2.20 only."""
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    import keras_hub

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]
    tokenizer = keras_hub.tokenizers.BertTokenizer(vocabulary=words)
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=8)
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 12}
    backbone = keras_hub.models.BertBackbone(len(words), max_sequence_length=8, **sizes)
    classifier = keras_hub.models.BertTextClassifier(backbone, num_classes=2)
    module = tf.Module()
    module.tokenizer, module.model = tokenizer, classifier

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
    def serve(text):
        return {"logits": classifier(preprocessor(text))}

    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": serve})
    message = failures(tmp_path)["operations"]
    assert "Op TFText>RoundRobinTrim is not in TF Serving 2.12 to 2.19" in message
