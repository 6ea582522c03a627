"""Recipes of masked language models: texts, the settings that suit them, and what to expect.

tflm train --recipe wikitext2 --data ../shared/data/wikitext2 --out runs/wikitext2
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

from tflm.data import SquadFiles
from tflm.tasks.plain_text_recipes import PlainTextRecipe


@dataclasses.dataclass(frozen=True)
class MaskedLMSettings:
    """Everything that decides how a masked language model is trained.

    Sizes of 0 are the preset's. `mask_rate` is the share of the tokens to be learned in training;
    evaluation masks 15 % whatever it is. `documents` says what a text is, see
    `tflm.data.TextFiles`; `algorithm` is one of `tflm.tasks.masked_lm.train_tokenizer`. An update
    is of `accumulate` batches. The learning rate falls over all epochs; with `patience` training
    ends after so many without a lower validation loss.
    """

    preset: str = "bert/mini"
    hidden_dim: int = 0
    num_layers: int = 0
    num_heads: int = 0
    dropout: float = 0.1
    attention_dropout: float = 0.1
    vocab_size: int = 8000
    algorithm: str = "wordpiece"
    documents: str = "line"
    mask_rate: float = 0.15
    sequence_length: int = 128
    tokens_per_batch: int = 4096
    learning_rate: float = 1e-3
    warmup_steps: int = 1000
    weight_decay: float = 0.01
    beta_2: float = 0.98
    accumulate: int = 1
    epochs: int = 10
    patience: int = 0
    average_last: int = 1
    seed: int = 1
    dtype: str = "auto"


@dataclasses.dataclass(frozen=True)
class MaskedLMRecipe(PlainTextRecipe):
    """A text's files, what is written otherwise in them, and the settings for them.

    Args:
        passages: files in SQuAD's form whose passages are texts to train on too.
        replace: strings to replace in every text, in this order, and by what.
    """

    passages: tuple[str, ...] = ()
    replace: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class Replaced:
    """A reader's texts with some strings replaced.

    Args:
        rows: a re-iterable source of rows of one text.
        replace: what is replaced, and by what.
    """

    rows: Iterable[Any]
    replace: tuple[tuple[str, str], ...]

    def __iter__(self) -> Iterator[tuple[str]]:
        for (text,) in self.rows:
            for old, new in self.replace:
                text = text.replace(old, new)
            yield (text,)


@dataclasses.dataclass(frozen=True)
class Passages:
    """A reader's texts, then the passages of files in SQuAD's form, each once.

    Args:
        rows: a re-iterable source of rows of one text.
        paths: the files.
    """

    rows: Iterable[Any]
    paths: tuple[pathlib.Path, ...]

    def __iter__(self) -> Iterator[tuple[str]]:
        yield from self.rows
        last = ""
        for example in SquadFiles(self.paths):  # the questions of a passage follow one another
            if example.context != last:
                last = example.context
                yield (" ".join(last.split()),)


# How the Penn Treebank spells what books and web pages print.
_TREEBANK = (
    ("’", "'"),
    ("‘", "'"),
    ("“", '"'),
    ("”", '"'),
    ("—", " -- "),
    ("n't", " n't"),
    ("n 't", " n't"),
)
_WIKITEXT = ((" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", "."), ("<unk>", "⁇"))

RECIPES = {
    recipe.name: recipe
    for recipe in (
        MaskedLMRecipe(
            name="wikitext2",
            files={split: (f"{split}.txt.gz",) for split in ("train", "valid", "test")},
            settings=MaskedLMSettings(
                # With rotary positions the plateau where only frequencies are known ends within
                # 500 updates; with added ones it had not after 3,000.
                preset="transformer_encoder/mini_rotary",
                num_layers=3,
                dropout=0.0,
                attention_dropout=0.0,
                # More to learn from each row than BERT's 15 % (Wettig et al. 2023,
                # https://arxiv.org/abs/2202.08005).
                mask_rate=0.3,
                tokens_per_batch=2048,
                learning_rate=2e-3,
                warmup_steps=300,
                epochs=4,
            ),
            # How the data set marks what its authors cut, and a word too rare for it, which is one
            # token then.
            replace=_WIKITEXT,
            expect="27.8 % of the masked tokens of the test split; 30 minutes on 2 cores "
            "with other work, seed 1",
        ),
        MaskedLMRecipe(
            # To start a classifier of reviews from: books and articles for the language, once, then
            # reviews and the sentences of SST-2's training split, again and again, for the subject.
            # They come last, so that what was learned last is the subject's.
            name="english",
            files={
                "train": (
                    *(f"standard_ebooks/train-0{part}.txt.gz" for part in range(3)),
                    "wikitext2/train.txt.gz",
                    *("sst2/train.tsv",) * 12,
                ),
                "valid": ("standard_ebooks/valid.txt.gz", "wikitext2/valid.txt.gz"),
                "test": ("standard_ebooks/test.txt.gz", "wikitext2/test.txt.gz"),
            },
            passages=("squadshifts/amazon.json.gz", "squadshifts/reddit.json.gz") * 6,
            settings=MaskedLMSettings(
                preset="transformer_encoder/mini_rotary",
                num_layers=3,
                dropout=0.0,
                attention_dropout=0.0,
                vocab_size=10000,
                mask_rate=0.3,
                tokens_per_batch=2048,
                learning_rate=2e-3,
                warmup_steps=300,
                epochs=1,
            ),
            # A column of SST-2's table is its label, which is not to be learned here.
            replace=(*_WIKITEXT, *_TREEBANK, ("\t0", ""), ("\t1", "")),
            expect="22.6 % of the masked tokens of the books' and articles' test splits; 84 "
            "minutes on 2 cores with other work, seed 1",
        ),
    )
}
