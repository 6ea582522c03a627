"""`generate` of Hugging Face's transformers on PyTorch, token ids in and token ids out."""

import json
import os
import sys

import torch
import transformers
from sides import serve_rounds


def main() -> None:
    """Serves rounds: `batch` rows, whose new token ids are given where `answers` is true."""
    settings = json.loads(sys.argv[1])
    torch.set_num_threads(os.cpu_count() or 1)
    kind = "AutoModelForSeq2SeqLM" if settings["has_encoder"] else "AutoModelForCausalLM"
    model = getattr(transformers, kind).from_pretrained(
        settings["checkpoint"], dtype=getattr(torch, settings["dtype"])
    )
    model.eval()
    model.generation_config = transformers.GenerationConfig()  # nothing of its own
    count, special = settings["num_written"], settings["special"]
    generation = transformers.GenerationConfig(
        do_sample=False,
        num_beams=settings["beams"],
        min_new_tokens=count,
        max_new_tokens=count,
        eos_token_id=special["eos"],
        pad_token_id=special.get("pad", special["eos"]),
        decoder_start_token_id=special.get("pad"),
    )
    ids = torch.tensor(settings["rows"])
    mask = torch.ones_like(ids)

    def run(batch: int, answers: bool = False) -> list[list[int]] | None:
        with torch.inference_mode():
            found = model.generate(
                ids[:batch], attention_mask=mask[:batch], generation_config=generation
            )
        read = 1 if settings["has_encoder"] else ids.shape[1]
        assert found.shape == (batch, read + count), found.shape
        return found[:, read:].tolist() if answers else None

    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    serve_rounds(run, versions)


if __name__ == "__main__":
    main()
