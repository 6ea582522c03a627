"""All kinds alike: eagerly, in a graph, in `tf.data`, and from a SavedModel without `tflm`."""

import functools
import json
import os
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer
from tflm.tokenizers.byte_pair import read_vocabulary
from tflm.tokenizers.splitting import RULES

# Loads a SavedModel as a program does that knows nothing of tflm.
READER = """
import json, sys
import tensorflow as tf
import tensorflow_text
folder, texts = sys.argv[1], json.load(sys.stdin)
loaded = tf.saved_model.load(folder)
tf.random.set_seed(5)
answer = {}
for name in ("wordpiece", "byte_pair", "nfc", "marian"):
    ids = getattr(loaded, name + "_ids")(tf.constant(texts))
    back = getattr(loaded, name + "_texts")(ids)
    answer[name] = ids.to_list(), [text.decode() for text in back.numpy()]
assert "tflm" not in sys.modules and "tokenizers" not in sys.modules
print("ANSWER" + json.dumps(answer))
"""


@pytest.fixture(scope="module")
def kinds(wordpiece, byte_pair, byte_pair_files, marian):
    nfc = BytePairTokenizer(*read_vocabulary(byte_pair_files), "qwen2", normalization="nfc")
    return {"wordpiece": wordpiece, "byte_pair": byte_pair, "nfc": nfc, "marian": marian}


@pytest.fixture(scope="module")
def texts(real_lines, hard_lines):
    return real_lines[::60] + hard_lines


@pytest.fixture(scope="module")
def module(kinds):
    module = tf.Module()
    text_spec, ids_spec = (
        tf.TensorSpec([None], tf.string),
        tf.RaggedTensorSpec([None, None], tf.int32),
    )
    for name, tokenizer in kinds.items():
        setattr(module, name, tokenizer)
        setattr(module, f"{name}_ids", tf.function(tokenizer.tokenize, [text_spec]))
        setattr(module, f"{name}_texts", tf.function(tokenizer.detokenize, [ids_spec]))
    return module


@pytest.fixture(scope="module")
def eager(kinds, texts):
    """The ids of the texts, by kind."""
    return {name: tokenizer.tokenize(texts).to_list() for name, tokenizer in kinds.items()}


def test_ids_are_the_same_in_a_graph_and_in_tf_data(kinds, module, texts, eager):
    for name, tokenizer in kinds.items():
        expected = eager[name]
        assert getattr(module, f"{name}_ids")(tf.constant(texts)).to_list() == expected
        dataset = tf.data.Dataset.from_tensor_slices(texts).batch(9).map(tokenizer.tokenize)
        assert [row for batch in dataset for row in batch.to_list()] == expected
        special = dataset.map(lambda ids: ids.row_lengths())
        assert [n for batch in special for n in batch.numpy()] == [len(row) for row in expected]


def test_one_text_at_a_time_gives_the_same_ids(kinds, module, texts, eager):
    for name in kinds:
        function = getattr(module, f"{name}_ids")
        assert [function(tf.constant([text])).to_list()[0] for text in texts] == eager[name]


def test_special_tokens_can_be_asked_for_in_tf_data(byte_pair, wordpiece):
    for tokenizer, text in ((byte_pair, "a<|endoftext|>b"), (wordpiece, "a [MASK] b")):
        dataset = tf.data.Dataset.from_tensor_slices([text, ""]).batch(2)
        dataset = dataset.map(lambda x, t=tokenizer: t.tokenize(x, special_tokens=True))
        [batch] = list(dataset)
        assert batch.to_list() == tokenizer.tokenize([text, ""], special_tokens=True).to_list()
        assert len(batch.to_list()[0]) < len(tokenizer.tokenize([text]).to_list()[0])


def test_a_new_random_seed_leaves_tokenizers_alone(kinds, module, texts, eager):
    tf.random.set_seed(3)
    for name, tokenizer in kinds.items():
        assert tokenizer.tokenize(texts).to_list() == eager[name]
        assert getattr(module, f"{name}_ids")(tf.constant(texts)).to_list() == eager[name]


def test_every_op_is_one_of_the_oldest_server(kinds, module, byte_pair_files, real_lines):
    """`serving_ops.json` lists what TensorFlow 2.12.1 and TF Text 2.12.1 register.

    They are inside TensorFlow Serving 2.12; ops that need Python are left out.
    """
    path = pathlib.Path(__file__).with_name("serving_ops.json")
    known = {name for names in json.loads(path.read_text()).values() for name in names}
    files = read_vocabulary(byte_pair_files)
    texts, ids = tf.TensorSpec([None], tf.string), tf.RaggedTensorSpec([None, None], tf.int32)
    sentencepiece = SentencePieceTokenizer.train(real_lines[:300], 400)
    functions = [(sentencepiece.tokenize, texts), (sentencepiece.detokenize, ids)]
    for rule in RULES:
        ours = BytePairTokenizer(*files, rule, add_prefix_space=True)
        functions.append((functools.partial(ours.tokenize, special_tokens=True), texts))
    names = ["sentencepiece", "sentencepiece", *RULES]
    traced = [tf.function(each).get_concrete_function(spec) for each, spec in functions]
    for name in kinds:
        for function in (getattr(module, f"{name}_ids"), getattr(module, f"{name}_texts")):
            names.append(name)
            traced.append(function.get_concrete_function())
    for name, function in zip(names, traced, strict=True):
        graph = function.graph.as_graph_def()
        nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
        ops = {node.op for node in nodes}
        assert not ops - known, name
        assert not {op for op in ops if "Mutable" in op or "Insert" in op or "Import" in op}


@pytest.mark.slow
def test_a_fresh_process_without_the_package_gives_the_same(kinds, module, texts, tmp_path):
    tf.saved_model.save(module, str(tmp_path / "saved"))
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path / "saved")],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.split("ANSWER")[1])
    for name, tokenizer in kinds.items():
        ids = tokenizer.tokenize(texts)
        back = [text.decode() for text in tokenizer.detokenize(ids).numpy()]
        assert answer[name] == [ids.to_list(), back]
