"""Public checkpoints in and out: Hugging Face safetensors, KerasHub presets.

    model, tokenizer = from_pretrained("bert-base-chinese")      a directory, a repository, a preset
    save_pretrained(model, "out", format="huggingface")          opens in the transformers library

Adding a family is one new file, `families/NAME.py`, found by itself. It is a module that defines:

    MODEL           our architecture, tflm.models.NAME's class; a class belongs to one family
    MODEL_TYPES     ("gpt2",): the `model_type`s of config.json that it opens
    PREFIX          "transformer.": may stand before a stored name or not; "" for none
    HEADS           ("score.*",): patterns of tensors of heads, which `Checkpoint.heads` gives
    IGNORED         ("h.*.attn.bias",): patterns of tensors that are not learned
    config_from_huggingface(config, names) -> Config
    config_to_huggingface(config) -> dict
    weights(config) -> rules

`config_from_huggingface` gets config.json as a dictionary, in which options that have their default
may be absent, and the stored names (without PREFIX). It first calls `check_options(config,
{"option": (values that we compute,)})` for every option that changes the computation: one that we
do not compute is an error, never a silently wrong model. `config_to_huggingface` writes every
option that the transformers library needs, `architectures` and `model_type` among them.

`weights` yields a rule for every weight of a model of that Config, in plain Python, loops and
conditions and all:

    yield same("embedding/embeddings", "wte.weight", "lm_head.weight")   a tied output is an alias
    for i in range(config.num_layers):
        ours, theirs = f"block_{i}", f"h.{i}"
        yield from conv1d(f"{ours}/attention/query_key_value", f"{theirs}.attn.c_attn")
        yield from dense(f"{ours}/attention/out", f"{theirs}.self_attn.o_proj", bias=False)
        yield from dense(f"{ours}/attention/query_key_value", q, k, v, parts=(12, 4, 4))
        yield from norm(f"{ours}/attention_norm", f"{theirs}.ln_1")

Paths of ours are without the model's name; names of theirs are those that are written, with the
prefix where transformers writes it. What fits no helper is a `Rule` with its two functions. A
weight without a rule, a missing, surplus or misshaped tensor are errors that list every one.

KerasHub's backbone of the family comes in where the file also has `KERAS_HUB` (its classes' names),
`config_from_keras_hub(get_config())` and `keras_hub_weights(config)`, rules whose `theirs` are
paths of KerasHub's weights (`backbone_parts` has the common ones). `families/bert.py` is an
example of everything.

Tests: add `tests/checkpoints/cases/NAME.json`, a small configuration and its transformers class,
run `tests/checkpoints/make_fixtures.py NAME` once, and write `tests/checkpoints/families/
test_NAME.py` for what is peculiar; reading, writing, refusing and parity are tested for every case.
"""

from tflm.checkpoints.chat_template import ChatTemplate, load_chat_template
from tflm.checkpoints.loading import (
    CONFIG_FILES,
    Checkpoint,
    from_pretrained,
    load_model,
    load_tokenizer,
    open_checkpoint,
)
from tflm.checkpoints.saving import convert, save_pretrained

__all__ = [
    "CONFIG_FILES",
    "ChatTemplate",
    "Checkpoint",
    "convert",
    "from_pretrained",
    "load_chat_template",
    "load_model",
    "load_tokenizer",
    "open_checkpoint",
    "save_pretrained",
]
