"""Configurations drawn at random come in and go out again, beside the fixed ones of `cases/`."""

import pathlib
import random
import runpy

import numpy as np
import pytest

from tflm import checkpoints

pytestmark = pytest.mark.parity
FOLDER = pathlib.Path(__file__).parent
DRAWS = 3
ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu", "quick_gelu", "tanh")


class Draw(random.Random):
    """Small sizes and options of a class of transformers."""

    def several(self, **ranges):
        return {name: self.randint(*bounds) for name, bounds in ranges.items()}

    def bert(self):
        heads = self.randint(2, 4)
        return {
            **self.several(vocab_size=(30, 60), num_hidden_layers=(1, 4)),
            **self.several(intermediate_size=(11, 40), max_position_embeddings=(14, 30)),
            "hidden_size": heads * self.choice([2, 4, 5]),
            "num_attention_heads": heads,
            "type_vocab_size": self.choice([1, 2]),
            "hidden_act": self.choice(ACTIVATIONS),
            "layer_norm_eps": self.choice([1e-3, 1e-12]),
        }

    def distilbert(self):
        heads = self.randint(1, 3)
        sizes = self.several(vocab_size=(30, 60), n_layers=(1, 4), hidden_dim=(9, 30))
        return {
            **sizes,
            "dim": heads * self.choice([4, 5]),
            "n_heads": heads,
            "max_position_embeddings": self.randint(14, 30),
            "activation": self.choice(["gelu", "relu"]),
        }

    def gpt(self):
        heads = self.randint(1, 3)
        return {
            **self.several(vocab_size=(30, 60), n_layer=(1, 4), n_positions=(17, 30)),
            "n_embd": heads * self.choice([3, 4, 5]),
            "n_head": heads,
            "layer_norm_epsilon": self.choice([1e-3, 1e-5]),
            "tie_word_embeddings": self.choice([True, False]),
        }

    def gpt2(self):
        inner, function = self.choice([None, 11, 33]), self.choice(ACTIVATIONS)
        return {**self.gpt(), "n_inner": inner, "activation_function": function}

    def openai_gpt(self):
        return {**self.gpt(), "afn": self.choice(["gelu", "relu", "silu"])}

    def llama(self):
        groups, width = self.randint(1, 3), self.choice([2, 4, 6])
        heads = groups * self.randint(1, 3)
        kind = self.choice(["default", "linear", "llama3"])
        rotary = {"rope_type": kind, "rope_theta": self.choice([100.0, 1e4, 5e5])}
        if kind != "default":
            rotary["factor"] = self.choice([2.0, 7.5])
        if kind == "llama3":
            original = self.choice([8, 31])
            rotary |= {"low_freq_factor": 1.5, "high_freq_factor": 5.0}
            rotary["original_max_position_embeddings"] = original
        return {
            **self.several(vocab_size=(30, 60), num_hidden_layers=(1, 4)),
            **self.several(intermediate_size=(11, 40), max_position_embeddings=(20, 40)),
            "hidden_size": heads * width,
            "num_attention_heads": heads,
            "num_key_value_heads": groups,
            "rms_norm_eps": self.choice([1e-3, 1e-6]),
            "tie_word_embeddings": self.choice([True, False]),
            "hidden_act": self.choice(["silu", "gelu", "relu"]),
            "rope_parameters": rotary,
        }

    def mistral(self):
        window, width = self.choice([None, 2, 5, 100]), self.choice([4, 10])
        return {**self.llama(), "sliding_window": window, "head_dim": width}

    def qwen(self):
        options = {"use_sliding_window": self.choice([True, False])}
        sizes = self.several(sliding_window=(2, 6), max_window_layers=(0, 4))
        return {**self.llama(), **options, **sizes}

    def t5(self):
        layers = self.randint(1, 4)
        functions = ("relu", "gelu", "gated-gelu", "gated-silu", "gated-relu")
        return {
            **self.several(vocab_size=(30, 60), d_model=(5, 20), d_kv=(2, 9), d_ff=(8, 40)),
            "num_layers": layers,
            "num_decoder_layers": self.randint(1, 4),
            "num_heads": self.randint(1, 4),
            "relative_attention_num_buckets": self.choice([4, 8, 32]),
            "relative_attention_max_distance": self.choice([20, 33]),
            "layer_norm_epsilon": self.choice([1e-3, 1e-6]),
            "feed_forward_proj": self.choice(functions),
            "tie_word_embeddings": self.choice([True, False]),
        }

    def bart(self):
        heads, inner = self.randint(1, 3), self.randint(8, 40)
        return {
            **self.several(vocab_size=(30, 60), encoder_layers=(1, 4), decoder_layers=(1, 4)),
            "d_model": heads * self.choice([4, 6]),
            "encoder_attention_heads": heads,
            "decoder_attention_heads": heads,
            "encoder_ffn_dim": inner,
            "decoder_ffn_dim": inner,
            "max_position_embeddings": self.randint(14, 40),
            "activation_function": self.choice(ACTIVATIONS),
        }

    def marian(self):
        sizes = self.bart()
        pad = sizes["vocab_size"] - 1
        special = {"pad_token_id": pad, "decoder_start_token_id": pad, "eos_token_id": 0}
        return {**sizes, **special, "scale_embedding": True}


CLASSES = {
    "BertModel": (Draw.bert, "encoder"),
    "RobertaModel": (Draw.bert, "encoder"),
    "DistilBertModel": (Draw.distilbert, "encoder"),
    "GPT2LMHeadModel": (Draw.gpt2, "decoder"),
    "OpenAIGPTLMHeadModel": (Draw.openai_gpt, "decoder"),
    "LlamaForCausalLM": (Draw.llama, "decoder"),
    "MistralForCausalLM": (Draw.mistral, "decoder"),
    "Qwen2ForCausalLM": (Draw.qwen, "decoder"),
    "Qwen3ForCausalLM": (Draw.qwen, "decoder"),
    "T5ForConditionalGeneration": (Draw.t5, "encoder_decoder"),
    "MT5ForConditionalGeneration": (Draw.t5, "encoder_decoder"),
    "BartForConditionalGeneration": (Draw.bart, "encoder_decoder"),
    "MarianMTModel": (Draw.marian, "encoder_decoder"),
}


@pytest.fixture(scope="module")
def script():
    """The functions of the script that writes the fixtures."""
    pytest.importorskip("torch", reason="needs pip install 'tflm[parity]'")
    pytest.importorskip("transformers", reason="needs pip install 'tflm[parity]'")
    return runpy.run_path(str(FOLDER / "make_fixtures.py"))


@pytest.mark.parametrize("seed", range(DRAWS))
@pytest.mark.parametrize("name", CLASSES)
def test_a_random_configuration_comes_in_and_goes_out(name, seed, script, tmp_path, results):
    draw, kind = CLASSES[name]
    case = {"class": name, "kind": kind, "config": draw(Draw(f"{name} {seed}"))}
    theirs = script["reference"](case, seed=seed)
    script["save"](theirs, tmp_path / "theirs")
    given = script["inputs"](case, seed=seed)
    expected, mask = script["outputs"](theirs, kind, given), script["mask_of"](given)
    ours = checkpoints.load_model(tmp_path / "theirs")
    checkpoints.save_pretrained(ours, tmp_path / "ours", format="huggingface")
    again, notes = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(notes.values()), (notes, case)
    for found in (results(ours, given), script["outputs"](again.eval(), kind, given)):
        for key, array in expected.items():
            where = mask if array.ndim == 3 else ...
            np.testing.assert_allclose(
                found[key][where], array[where], atol=1e-4, rtol=1e-4, err_msg=str(case)
            )
