"""Writes the fixtures of this folder: small random models of the transformers library.

    python tests/checkpoints/make_fixtures.py [CASE ...]

A case is a file in `cases/`: a class of transformers, its contract (encoder, decoder or
encoder_decoder), and a configuration of non-default values and pairwise different sizes.
`fixtures/CASE/` gets `config.json`, `model.safetensors`, and `expected.safetensors` with inputs and
what the reference implementation makes of them. Tests read the fixtures without PyTorch; the parity
tests use the functions below.
"""

import json
import pathlib
import sys

import numpy as np
import safetensors.numpy

FOLDER = pathlib.Path(__file__).parent
B, T, S = 3, 7, 9


def case(name):
    """The case of a name; one that is given as a whole stays what it is."""
    if isinstance(name, dict):
        return name
    return json.loads((FOLDER / "cases" / f"{name}.json").read_text(encoding="utf-8"))


def reference(name, seed=3):
    """A transformers model with weights that are all random: fresh biases would hide mistakes."""
    import torch
    import transformers

    cls = getattr(transformers, case(name)["class"])
    config = cls.config_class(**case(name)["config"])
    model = cls(config).eval()
    for layer in case(name).get("untied", ()):  # what transformers ties although it need not be
        layer = model.get_submodule(layer)
        layer.weight = torch.nn.Parameter(layer.weight.clone())
    torch.manual_seed(seed)
    with torch.no_grad():
        for path, weight in (*model.named_parameters(), *model.named_buffers()):
            if not weight.requires_grad and path != "final_logits_bias":
                continue  # computed, not learned
            weight.normal_(0.0, 0.3)
            if weight.dim() == 1 and path.endswith("weight"):  # of a normalisation
                weight += 1.0
    return model


def inputs(name, seed=5):
    """Token ids with padding, as the batches of this zoo have them: keys of `tflm`'s models."""
    random = np.random.default_rng(seed)
    config = case(name)["config"]

    def tokens(length, real, left=False, vocab_size=config["vocab_size"]):
        mask = np.arange(length) < np.array(real)[:, None]
        mask = mask[:, ::-1].copy() if left else mask
        ids = random.integers(4, vocab_size, (B, length))
        return np.where(mask, ids, 1).astype("int32"), mask

    kind = case(name)["kind"]
    if kind == "encoder_decoder":
        source, source_mask = tokens(S, [9, 4, 6])
        vocab_size = config.get("decoder_vocab_size", config["vocab_size"])
        target, target_mask = tokens(T, [3, 7, 5], vocab_size=vocab_size)
        return {
            "encoder_token_ids": source,
            "encoder_padding_mask": source_mask,
            "decoder_token_ids": target,
            "decoder_padding_mask": target_mask,
        }
    ids, mask = tokens(T, [7, 3, 5], left=kind == "decoder")
    found = {"token_ids": ids, "padding_mask": mask}
    if config.get("type_vocab_size", 0) > 1:
        segments = random.integers(0, config["type_vocab_size"], (B, T))
        found["segment_ids"] = segments.astype("int32")
    return found


def outputs(model, kind, arrays):
    """What a transformers model makes of such inputs."""
    import torch

    given = {key: torch.tensor(array.astype("int64")) for key, array in arrays.items()}
    with torch.no_grad():
        if kind == "encoder_decoder":
            found = model(
                input_ids=given["encoder_token_ids"],
                attention_mask=given["encoder_padding_mask"],
                decoder_input_ids=given["decoder_token_ids"],
            )
            return {"logits": found.logits.numpy()}
        mask = given["padding_mask"]
        if kind == "decoder":
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            found = model(input_ids=given["token_ids"], attention_mask=mask, position_ids=positions)
            return {"logits": found.logits.numpy()}
        types = {"token_type_ids": given["segment_ids"]} if "segment_ids" in given else {}
        found = model(input_ids=given["token_ids"], attention_mask=mask, **types)
    pooled = getattr(found, "pooler_output", None)
    return {
        "hidden": found.last_hidden_state.numpy(),
        **({} if pooled is None else {"pooled": pooled.numpy()}),
    }


def mask_of(arrays):
    """Where outputs mean something: padding is given whatever value."""
    return arrays["decoder_padding_mask" if "decoder_padding_mask" in arrays else "padding_mask"]


def save(model, directory):
    """The model's configuration and weights, and no other file."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(directory)
    for path in pathlib.Path(directory).iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()


def main(names):
    for name in names or sorted(path.stem for path in (FOLDER / "cases").glob("*.json")):
        directory = FOLDER / "fixtures" / name
        model = reference(name)
        save(model, directory)
        given = inputs(name)
        tensors = {
            **{f"inputs.{key}": array.astype("int32") for key, array in given.items()},
            **{
                f"outputs.{key}": array
                for key, array in outputs(model, case(name)["kind"], given).items()
            },
        }
        safetensors.numpy.save_file(tensors, directory / "expected.safetensors")
        size = sum(path.stat().st_size for path in directory.iterdir())
        print(f"{name}: {size / 1000:.0f} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
