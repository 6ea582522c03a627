"""A side of `benchmarks/training.py`: updates of a Hugging Face network of the sizes on PyTorch."""

import json
import sys
from typing import Any

import torch
import transformers
from sides import serve_rounds
from training_work import Batch, Work, batches


def network(work: Work) -> Any:
    """The network with fresh weights; its defaults where the sizes say nothing."""
    if work.kind == "translation":
        sides = ("encoder", "decoder")
        sizes = {f"{side}_layers": work.layers for side in sides}
        sizes |= {f"{side}_ffn_dim": work.ffn_dim for side in sides}
        sizes |= {f"{side}_attention_heads": work.num_heads for side in sides}
        config = transformers.MarianConfig(
            vocab_size=work.vocab_size,
            d_model=work.hidden_dim,
            activation_function="relu",
            scale_embedding=True,
            pad_token_id=0,
            decoder_start_token_id=2,
            eos_token_id=3,
            forced_eos_token_id=3,
            **sizes,
        )
        return transformers.MarianMTModel(config)
    if work.kind == "classification":
        config = transformers.BertConfig(
            vocab_size=work.vocab_size,
            num_hidden_layers=work.layers,
            hidden_size=work.hidden_dim,
            intermediate_size=work.ffn_dim,
            num_attention_heads=work.num_heads,
            num_labels=2,
        )
        return transformers.BertForSequenceClassification(config)
    config = transformers.GPT2Config(
        vocab_size=work.vocab_size,
        n_layer=work.layers,
        n_embd=work.hidden_dim,
        n_inner=work.ffn_dim,
        n_head=work.num_heads,
        bos_token_id=2,
        eos_token_id=3,
    )
    return transformers.GPT2LMHeadModel(config)


def inputs(work: Work, batch: Batch) -> dict[str, torch.Tensor]:
    """A batch as the network takes it."""
    x, y, _ = batch
    found = {name: torch.from_numpy(array).long() for name, array in {**x, "y": y}.items()}
    if work.kind == "translation":
        return {
            "input_ids": found["encoder_token_ids"],
            "attention_mask": found["encoder_padding_mask"],
            "decoder_input_ids": found["decoder_token_ids"],
            "labels": found["y"],
        }
    if work.kind == "classification":
        labels = found["y"]
    else:
        labels = found["token_ids"]  # moved by one inside
    return {
        "input_ids": found["token_ids"],
        "attention_mask": found["padding_mask"],
        "labels": labels,
    }


def main() -> None:
    """Serves rounds of some updates each."""
    settings = json.loads(sys.argv[1])
    work, dtype = Work(**settings["work"]), settings["dtype"]
    torch.manual_seed(0)
    model = network(work).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    data = [inputs(work, batch) for batch in batches(work, settings["steps"])]

    def run() -> float:
        loss = torch.zeros(())
        for batch in data:
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
                loss = model(**batch).loss
            loss.backward()
            optimizer.step()
        return loss.item()

    info = {
        "name": f"Hugging Face {dtype}{' autocast' if dtype == 'bfloat16' else ''}",
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "parameters": sum(each.numel() for each in model.parameters() if each.requires_grad),
        "threads": torch.get_num_threads(),
    }
    serve_rounds(run, info)


if __name__ == "__main__":
    main()
