"""CTranslate2 with a thread for each core and all rows in one batch, tokens in and tokens out."""

import json
import os
import sys

import ctranslate2
from sides import serve_rounds


def main() -> None:
    """Serves rounds: `batch` rows, whose new token ids are given where `answers` is true."""
    settings = json.loads(sys.argv[1])
    beams, count = settings["beams"], settings["num_written"]
    rows = [[f"w{token}" for token in row] for row in settings["rows"]]
    threads = {"inter_threads": 1, "intra_threads": os.cpu_count() or 1}
    kind = ctranslate2.Translator if settings["has_encoder"] else ctranslate2.Generator
    model = kind(settings["ctranslate2"], compute_type=settings["dtype"], **threads)

    def written(batch: int) -> list[list[str]]:
        if settings["has_encoder"]:
            found = model.translate_batch(
                rows[:batch],
                beam_size=beams,
                max_decoding_length=count,
                min_decoding_length=count,
                max_batch_size=0,
            )
            return [each.hypotheses[0] for each in found]
        found = model.generate_batch(
            rows[:batch],
            beam_size=beams,
            max_length=count,
            min_length=count,
            max_batch_size=0,
            include_prompt_in_result=False,
        )
        return [each.sequences[0] for each in found]

    def run(batch: int, answers: bool = False) -> list[list[int]] | None:
        tokens = written(batch)
        assert {len(row) for row in tokens} == {count}, {len(row) for row in tokens}
        return [[int(token[1:]) for token in row] for row in tokens] if answers else None

    serve_rounds(run, {"ctranslate2": ctranslate2.__version__})


if __name__ == "__main__":
    main()
