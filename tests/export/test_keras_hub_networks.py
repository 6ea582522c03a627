"""Every text task that KerasHub has, tiny and with random weights, against its export."""

import functools
import inspect
import io
import json

import keras
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from tflm.export import save
from tflm.export.check import check
from tflm.export.keras_hub import served
from tflm.export.keras_hub_card import card
from tflm.export.keras_hub_tokenizer import PROBES
from tflm.tokenizers import BytePairTokenizer

TEXTS = [
    "a",
    "two dogs, don't",
    "你今天好吗？",
    "公园很大 two dogs",
    " ",
    "😀 Zürich",
    "A longer text that does not fit into the few tokens which this tiny model reads of a text.",
]
CLASSIFIERS = [
    "AlbertTextClassifier",
    "BertTextClassifier",
    "DebertaV3TextClassifier",
    "DistilBertTextClassifier",
    "ESMProteinClassifier",
    "FNetTextClassifier",
    "RobertaTextClassifier",
    "RoformerV2TextClassifier",
    "XLMRobertaTextClassifier",
]
WRITERS = [
    "BartSeq2SeqLM",
    "BloomCausalLM",
    "FalconCausalLM",
    "GPT2CausalLM",
    "GPTNeoXCausalLM",
    "Gemma3CausalLM",
    "Gemma3nCausalLM",
    "Gemma4CausalLM",
    "GemmaCausalLM",
    "GptOssCausalLM",
    "Llama3CausalLM",
    "LlamaCausalLM",
    "MistralCausalLM",
    "MixtralCausalLM",
    "OPTCausalLM",
    "Phi3CausalLM",
    "Qwen3CausalLM",
    "Qwen3MoeCausalLM",
    "Qwen3_5CausalLM",
    "Qwen3_5MoeCausalLM",
    "QwenCausalLM",
    "QwenMoeCausalLM",
    "SmolLM3CausalLM",
    "T5Gemma2Seq2SeqLM",
    "T5GemmaSeq2SeqLM",
    "T5Seq2SeqLM",
]
# What cannot be exported, and what it is told.
REFUSED = {
    "RWKV7CausalLM": "`tokenizer` must cut texts as .* Received: RWKVTokenizer",
    "PaliGemmaCausalLM": "`task` must write text from text alone; .* Received: PaliGemmaCausalLM",
}
# They read images or sound, or have no preprocessor at all.
NO_TEXT_TASKS = {
    "AudioToText",
    "BLIP2CausalLM",
    "BLIP2Seq2SeqLM",
    "EdRecSeq2SeqLM",
    "Gemma4AssistantCausalLM",
    "MoonshineAudioToText",
    "PARSeqCausalLM",
}
SPECIAL = {
    "sentencepiece": (
        "<pad> <bos> <eos> [CLS] [SEP] [PAD] [MASK] <|endoftext|> <mask> [multimodal] "
        "<end_of_turn> <turn|>"
    ).split(),
    "symbols": (
        "<img> <start_of_image> <end_of_image> <start_of_turn> <image_soft_token> "
        "<audio_soft_token> <start_of_audio> <end_of_audio>"
    ).split(),
    "byte_pair": (
        "<s> <pad> </s> <mask> <|endoftext|> <|begin_of_text|> <|end_of_text|> <|start_header_id|> "
        "<|end_header_id|> <|eot_id|> <|im_start|> <|im_end|> <think> </think>"
    ).split(),
}
# By the names of the backbones' arguments. Numbers differ where they may.
COMMON = {
    "num_layers": 1,
    "num_heads": 2,
    "num_query_heads": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_dim": 16,
    "intermediate_dim": 20,
    "embedding_dim": 10,
    "head_dim": 4,
    "head_size": 8,
    "key_value_dim": 6,
    "max_sequence_length": 48,
    "num_experts": 3,
    "top_k": 2,
    "moe_intermediate_dim": 12,
    "shared_expert_intermediate_dim": 14,
    "shared_expert_intermediate_size": 14,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 4,
    "linear_value_head_dim": 6,
    "sliding_window": 8,
    "sliding_window_size": 8,
    "image_size": 16,
    "pad_token_id": 0,
}
EACH_SIDE = {
    "hidden_dim": 16,
    "intermediate_dim": 22,
    "num_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "layer_types": ["sliding_attention"],
}
COMMON |= {
    f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in EACH_SIDE.items()
}
OPTIONAL = {
    "max_sequence_length",
    "head_dim",
    "key_value_dim",
    "sliding_window",
    "sliding_window_size",
    "top_k",
    *(name for name in COMMON if name.startswith("linear_")),
}
LAYER_TYPES = ["sliding_attention", "full_attention"]
RECURRENT = {
    "num_layers": 2,
    "layer_types": ["linear_attention", "full_attention"],
    "partial_rotary_factor": 0.5,
}
PARTICULAR = {
    "Qwen3_5Backbone": RECURRENT,
    "Qwen3_5MoeBackbone": RECURRENT,
    "Gemma4Backbone": {"num_layers": 2, "layer_types": LAYER_TYPES},
    "Gemma3nBackbone": {
        "text_hidden_size": 16,
        "num_hidden_layers": 2,
        "intermediate_size": [20, 20],
        "hidden_activation": "gelu_approximate",
        "layer_types": LAYER_TYPES,
        "rope_theta": 10000.0,
        "max_position_embeddings": 48,
        "hidden_size_per_layer_input": 4,
        "altup_num_inputs": 2,
        "laurel_rank": 3,
    },
    "SmolLM3Backbone": {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "rope_layer_enabled_list": [True],
        "layer_types": ["full_attention"],
        "mlp_bias": False,
        "layer_norm_epsilon": 1e-6,
        "max_position_embeddings": 48,
        "rope_theta": 10000.0,
        "partial_rotary_factor": 1.0,
    },
    # A tied embedding gives a network this small its own input back.
    "T5GemmaBackbone": {"tie_word_embeddings": False},
    "T5Gemma2Backbone": {"tie_word_embeddings": False},
    "RWKV7Backbone": {
        "hidden_size": 16,
        "gate_lora": 6,
        "mv_lora": 4,
        "aaa_lora": 4,
        "decay_lora": 4,
    },
    "PaliGemmaBackbone": {
        "vit_patch_size": 4,
        "vit_num_heads": 2,
        "vit_hidden_dim": 8,
        "vit_num_layers": 1,
    },
}

# Keras says of T5's attention, and of others, that they do not pass masks on.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Layer .* does not support masking:UserWarning"),
]


@pytest.fixture(scope="module")
def hub():
    pytest.MonkeyPatch().setenv("KERAS_BACKEND", "tensorflow")
    return pytest.importorskip("keras_hub")


@pytest.fixture(scope="module")
def build(hub):
    """A function that gives a task with random weights, by the name of its class."""

    def build(name):
        cls = getattr(hub.models, name)
        is_classifier = issubclass(cls, hub.models.TextClassifier)
        tokenizer = make_tokenizer(hub, cls.preprocessor_cls.tokenizer_cls, is_classifier)
        backbone = make_backbone(cls.backbone_cls, tokenizer.vocabulary_size())
        if is_classifier:
            preprocessor = cls.preprocessor_cls(tokenizer, sequence_length=16)
            return spread(cls(backbone=backbone, num_classes=3, preprocessor=preprocessor))
        if issubclass(cls, hub.models.Seq2SeqLM):
            lengths = {"encoder_sequence_length": 20, "decoder_sequence_length": 8}
        else:
            lengths = {"sequence_length": 20}
        preprocessor = cls.preprocessor_cls(tokenizer=tokenizer, **lengths)
        deviation = 1.0 if "decoder_sequence_length" in lengths else 0.4
        task = spread(cls(backbone=backbone, preprocessor=preprocessor), deviation)
        task.compile(sampler="greedy", run_eagerly=True)  # its own loop need not be fast
        return task

    return build


def make_tokenizer(hub, cls, is_classifier):
    options = {
        name: False
        for name in ("has_vision_tokens", "has_video_tokens")
        if name in inspect.signature(cls.__init__).parameters
    }
    if issubclass(cls, hub.tokenizers.SentencePieceTokenizer):
        return cls(sentencepiece_model("unigram" if is_classifier else "bpe"), **options)
    if issubclass(cls, hub.tokenizers.BytePairTokenizer):
        return cls(*byte_pairs(), **options)
    if issubclass(cls, hub.tokenizers.WordPieceTokenizer):
        words = "[PAD] [UNK] [CLS] [SEP] [MASK] <cls> <eos> <pad> <mask> <unk> two dogs and a"
        return cls([*words.split(), *"cat do ##n ##g ' t ？".split(), *"你好今天吗公园很大"])
    return cls([f"{number + 1} {bytes([number])!r} 1" for number in range(256)])  # RWKV's


@functools.cache
def sentencepiece_model(kind):
    """Of a language model's kind, or of an encoder's, which changes texts and knows no bytes."""
    writer = io.BytesIO()
    options = {
        "bpe": {
            "vocab_size": 540,
            "byte_fallback": True,
            "normalization_rule_name": "identity",
            "remove_extra_whitespaces": False,
            "character_coverage": 1.0,
        },
        "unigram": {"vocab_size": 280, "character_coverage": 0.98},
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text.replace("\n", " ") for text in (*TEXTS, *PROBES)] * 3),
        model_writer=writer,
        model_type=kind,
        hard_vocab_limit=False,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        control_symbols=SPECIAL["sentencepiece"],
        user_defined_symbols=SPECIAL["symbols"],
        minloglevel=2,
        **options[kind],
    )
    return writer.getvalue()


@functools.cache
def byte_pairs():
    ours = BytePairTokenizer.train([*TEXTS, *PROBES], 340, "llama3", {"pad": "<pad>"})
    vocabulary = json.loads(ours._vocabulary)
    for token in SPECIAL["byte_pair"]:
        vocabulary.setdefault(token, len(vocabulary))
    return vocabulary, ours._merges_text.splitlines()


def make_backbone(cls, vocabulary_size):
    names = ("vocabulary_size", "vocab_size", "text_vocab_size", "vocab_size_per_layer_input")
    given = {**COMMON, **dict.fromkeys(names, vocabulary_size)}
    particular = PARTICULAR.get(cls.__name__, {})
    parameters = inspect.signature(cls.__init__).parameters
    wanted = {
        name: given[name]
        for name, parameter in parameters.items()
        if name in given and (parameter.default is parameter.empty or name in OPTIONAL)
    }
    return cls(**{**wanted, **particular})


def spread(task, deviation=0.4):
    """Random weights large enough that different texts get different answers."""
    generator = np.random.default_rng(5)
    for weight in task.weights:
        if len(weight.shape) > 1:
            weight.assign(generator.normal(0.0, deviation, weight.shape))
    return task


@pytest.fixture
def asked(tmp_path):
    """A function that gives what a task's graph answers, which TF Serving must be able to run."""

    def ask(task, labels=()):
        module = served(task, labels=labels)
        signatures = module.signatures()
        path = save(module, signatures, tmp_path, extra=card(task, module), warmup=())
        assert [each.message for each in check(path, run=False) if each.status == "failure"] == []
        return signatures["serving_default"]

    return ask


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_answers_what_keras_hub_predicts(build, asked, name):
    task = build(name)
    found = asked(task, ["坏", "so so", "good"])(tf.constant(TEXTS))
    logits = task.predict(TEXTS, verbose=0)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    np.testing.assert_allclose(found["probabilities"], expected, rtol=1e-3, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 1e-3
    assert found["truncated"].numpy().tolist() == [False] * 6 + [True]


@pytest.mark.parametrize("name", WRITERS)
def test_a_task_writes_what_keras_hub_generates(build, asked, name):
    task = build(name)
    serving_default = asked(task)
    found = serving_default(tf.constant(TEXTS))
    expected = task.generate(TEXTS)
    assert [text.decode() for text in found["text"].numpy()] == expected
    assert len(set(expected)) > 1
    assert found["truncated"].numpy().tolist() == [False] * 6 + [True]
    assert serving_default(tf.constant(["", "你好"]))["text"].shape == (2,)


def test_every_text_task_of_keras_hub_is_here(hub):
    models = hub.models
    kinds = (models.CausalLM, models.TextClassifier)
    found = {
        each.__name__
        for each in vars(models).values()
        if isinstance(each, type) and issubclass(each, kinds)
    }
    assert found - {"CausalLM", "Seq2SeqLM", "TextClassifier"} - NO_TEXT_TASKS == {
        *CLASSIFIERS,
        *WRITERS,
        *REFUSED,
    }


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_graph_cannot_do_is_refused(build, name):
    with pytest.raises(ValueError, match=REFUSED[name]):
        served(build(name))
