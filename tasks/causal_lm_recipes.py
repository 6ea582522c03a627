"""Recipes of language models: a text, the settings that suit it, and the number to expect.

tflm train --recipe tinyshakespeare --data ../shared/data/tinyshakespeare --out runs/shakespeare
"""

import dataclasses

from tflm.tasks.plain_text_recipes import PlainTextRecipe


@dataclasses.dataclass(frozen=True)
class CausalLMSettings:
    """Everything that decides how a language model is trained.

    Sizes of 0 are the preset's. `documents` says what a document is, see `tflm.data.TextFiles`; a
    `continuous` text has none. `start` is the directory of a run, a saved task or a public
    checkpoint of a decoder, whose network and tokenizer training starts from instead of fresh ones;
    of the settings of a network only `dropout` and `attention_dropout` count then. An update is of
    `accumulate` batches. The learning rate falls over all epochs; with `patience` training ends
    after so many without a lower validation loss.
    """

    preset: str = "gpt2/tiny"
    start: str = ""
    hidden_dim: int = 0
    num_layers: int = 0
    num_heads: int = 0
    dropout: float = 0.1
    attention_dropout: float = 0.0
    vocab_size: int = 8000
    algorithm: str = "bpe"
    documents: str = "line"
    continuous: bool = False
    sequence_length: int = 256
    tokens_per_batch: int = 4096
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.1
    beta_2: float = 0.99
    accumulate: int = 1
    epochs: int = 10
    patience: int = 0
    average_last: int = 1
    seed: int = 1
    dtype: str = "auto"


RECIPES = {
    recipe.name: recipe
    for recipe in (
        PlainTextRecipe(
            name="tinyshakespeare",
            files={"train": ("input.txt.gz",)},
            holdout=0.1,
            settings=CausalLMSettings(
                hidden_dim=192,
                num_layers=4,
                num_heads=4,
                vocab_size=1000,
                algorithm="char",
                documents="none",
                continuous=True,
                sequence_length=256,
                learning_rate=2e-3,
                epochs=20,
            ),
            expect="loss 1.461 on the held-out tenth, 1.63 after 7 epochs; seed 1",
        ),
        PlainTextRecipe(
            name="standard_ebooks",
            files={
                "train": tuple(f"train-0{part}.txt.gz" for part in range(4)),
                "valid": ("valid.txt.gz",),
                "test": ("test.txt.gz",),
            },
            settings=CausalLMSettings(
                hidden_dim=256,
                num_layers=4,
                num_heads=4,
                # Chapters, between which no token sees another's.
                documents="paragraph",
                learning_rate=1.5e-3,
                warmup_steps=300,
                epochs=2,
            ),
            expect="perplexity 69.3 by the token of the test books, 1.511 bits by the byte; "
            "seed 1, learned from these batches by JAX on one H100",
        ),
    )
}
