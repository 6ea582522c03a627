import gzip

import pytest

from tflm.tasks.causal_lm_recipes import RECIPES, CausalLMSettings
from tflm.tasks.plain_text_recipes import PlainTextRecipe, recipe_texts


def test_the_end_of_the_text_is_held_out(tmp_path):
    text = "".join(f"line {i} 公园\n" for i in range(100))
    (tmp_path / "input.txt.gz").write_bytes(gzip.compress(text.encode()))
    texts = recipe_texts(RECIPES["tinyshakespeare"], tmp_path)
    (train,), (valid,) = texts["train"], texts["valid"]
    assert train + valid == text
    assert len(valid) == len(text) - round(0.9 * len(text))


def test_a_split_may_have_several_files(tmp_path):
    for name, text in (("a.txt", "one\ntwo\n"), ("b.txt", "三\n"), ("v.txt", "four\n")):
        (tmp_path / name).write_text(text)
    files = {"train": ("a.txt", "b.txt"), "valid": ("v.txt",)}
    texts = recipe_texts(PlainTextRecipe("toy", files, CausalLMSettings()), tmp_path)
    assert list(texts["train"]) == [("one",), ("two",), ("三",)]
    assert list(texts["valid"]) == [("four",)]


def test_the_real_text_is_read_whole(shared_data):
    texts = recipe_texts(RECIPES["tinyshakespeare"], shared_data / "tinyshakespeare")
    assert [len(texts[split][0]) for split in ("train", "valid")] == [1_003_855, 111_539]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="`data` must be .* recipe tinyshakespeare. .*gz"):
        recipe_texts(RECIPES["tinyshakespeare"], tmp_path)
