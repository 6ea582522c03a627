"""Writes a Hugging Face checkpoint without a tokenizer as a model of CTranslate2.

Its converter wants the tokens' names, and those of a few of them once more: token 7 is "w7".
"""

import json
import sys

from ctranslate2.converters import TransformersConverter


class Words:
    """What the converter asks a tokenizer."""

    def __init__(self, settings: dict):
        self.size = settings["vocab_size"]
        special = settings["special"]
        self.pad_id = special.get("pad")
        self.eos_token = self.bos_token = f"w{special['eos']}"
        self.unk_token = f"w{special['unk']}"

    def get_vocab(self) -> dict[str, int]:
        """Ids by name."""
        return {
            "<pad>" if number == self.pad_id else f"w{number}": number
            for number in range(self.size)
        }


class Converter(TransformersConverter):
    """The converter, with `Words` for what it would read from the checkpoint."""

    words: Words

    def load_tokenizer(self, *_: object, **__: object) -> Words:
        """The tokenizer."""
        return self.words


def main() -> None:
    """Writes the model."""
    settings = json.loads(sys.argv[1])
    converter = Converter(settings["checkpoint"])
    converter.words = Words(settings)
    converter.convert(settings["ctranslate2"], force=True)


if __name__ == "__main__":
    main()
