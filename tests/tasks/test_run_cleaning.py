import pytest

from tflm.tasks.run_cleaning import clean_splits

DATA = {
    "train": [("I  like tea.", "我喜欢喝茶。"), ("I like tea.", "我喜欢喝茶。"), ("茶", "tea")],
    "valid": [("I  like tea.", "我喜欢喝茶。"), ("我走了。", "He  left.")],
    "test": [("Two  men", "两个男人")],
}
STEPS = ["whitespace", "script", "duplicates"]


def test_what_is_learned_is_cleaned_and_of_what_is_measured_only_the_texts_are_changed():
    train, valid = clean_splits(DATA, STEPS, 2, "en-zh")
    assert list(train) == [("I like tea.", "我喜欢喝茶。")]
    assert list(valid) == [("I like tea.", "我喜欢喝茶。"), ("我走了。", "He left.")]
    assert [step.spec for step in train.steps] == [
        "whitespace",
        "script:languages=en-zh,min_share=0.5",
        "duplicates",
    ]
    assert clean_splits({"train": DATA["train"]}, STEPS, 2, "en-zh")[1] is None


def test_labels_are_not_texts():
    train, _ = clean_splits({"train": [(" 好 ", " pos ")]}, ["whitespace"], 1, "")
    assert list(train) == [("好", " pos ")]


def test_cleaning_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match=r"`clean` must leave .*\['length:min=90'\], .* all 3"):
        clean_splits(DATA, ["length:min=90"], 2, "en-zh")
    markup = {**DATA, "valid": [("<br>", "<p></p>")]}
    with pytest.raises(
        ValueError, match=r"`clean` must leave .* split \"valid\" .*\['markup'\], .* all 1"
    ):
        clean_splits(markup, ["markup"], 2, "en-zh")
    with pytest.raises(ValueError, match="`clean` must name one of .* Received: 'tidy'"):
        clean_splits(DATA, ["tidy"], 2, "")
