import gzip
import io

import pytest
from rich.console import Console

from tflm.tasks.causal_lm_recipes import RECIPES, CausalLMSettings
from tflm.tasks.causal_lm_run import CausalLMRun
from tflm.tasks.plain_text_run import PlainTextRun

TEXT = "one two\n\n公园\n"


def test_a_directory_holds_files_or_folders_of_files(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "b.txt").write_text("three\n")
    (tmp_path / "train" / "a.txt").write_text(TEXT)
    (tmp_path / "valid.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    data = PlainTextRun.directory_data(tmp_path, CausalLMSettings(), "raise", None)
    assert {split: list(rows) for split, rows in data.items()} == {
        "train": [("one two",), ("公园",), ("three",)],
        "valid": [("one two",), ("公园",)],
    }
    whole = PlainTextRun.directory_data(tmp_path, CausalLMSettings(documents="file"), "raise", None)
    assert list(whole["valid"]) == [(TEXT,)]


def test_a_directory_without_a_training_text_is_refused(tmp_path):
    (tmp_path / "valid.txt").write_text(TEXT)
    with pytest.raises(FileNotFoundError, match="`data` must hold train.txt, .* Received: .*"):
        PlainTextRun.directory_data(tmp_path, CausalLMSettings(), "raise", None)


def test_a_recipe_reads_its_files(tmp_path):
    (tmp_path / "input.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    data = PlainTextRun.recipe_data(RECIPES["tinyshakespeare"], tmp_path, "raise", None)
    assert "".join(text for rows in (data["train"], data["valid"]) for text in rows) == TEXT


def test_a_tokenizer_is_learned_once(tmp_path):
    settings = CausalLMSettings(vocab_size=300, algorithm="char")
    text = TEXT * 9
    run = CausalLMRun(tmp_path, {"train": [text]}, settings, Console(file=io.StringIO()))
    assert run.texts("train") == [text]
    first = run.tokenizer()
    model = (tmp_path / "tokenizer" / "sentencepiece.model").read_bytes()
    assert run.tokenizer().tokenize(["公园"]).to_list() == first.tokenize(["公园"]).to_list()
    assert (tmp_path / "tokenizer" / "sentencepiece.model").read_bytes() == model


def test_documents_are_cleaned_and_pieces_of_one_text_are_not(tmp_path):
    def run(documents):
        settings = CausalLMSettings(documents=documents)
        console = Console(file=io.StringIO())
        return CausalLMRun(tmp_path / documents, {"train": [TEXT]}, settings, console, ["control"])

    assert list(run("line").data["train"]) == [(TEXT,)]
    with pytest.raises(ValueError, match="`clean` must be left out .* task='causal_lm'"):
        run("none")
