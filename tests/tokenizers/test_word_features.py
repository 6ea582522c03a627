import tensorflow as tf

from tflm.tokenizers.word_features import FEATURES, word_features
from tflm.tokenizers.word_offsets import WordFinder

QUESTIONS = ["Who invented the Steam engine in 1712?", "", "谁在北京？"]
CONTEXTS = [
    "The inventor built a STEAM Engine; THE engine, in 1712, ran.",
    "Nobody asks.",
    "他住在北京，1990年。",
]


def features(questions, contexts, most=62):
    """For each text, the words that have each feature."""
    finder = WordFinder()
    sides = [finder.find(tf.constant(texts, tf.string)) for texts in (questions, contexts)]
    found = word_features(*sides, most)
    rows = []
    for side, flags in zip(sides, found, strict=True):
        assert flags.shape == (side.words.shape[0], len(FEATURES))
        words = [word.decode() for word in side.words.numpy()]
        splits = side.row_splits.numpy()
        rows.append(
            [
                {
                    name: [words[i] for i in range(splits[row], splits[row + 1]) if flags[i, k]]
                    for k, name in enumerate(FEATURES)
                }
                for row in range(len(splits) - 1)
            ]
        )
    return rows


def test_words_that_the_question_has_are_marked_in_the_context():
    _, contexts = features(QUESTIONS, CONTEXTS)
    first, second, third = contexts
    assert first["exact"] == ["engine", "in", "1712"]
    assert first["lower"] == ["The", "STEAM", "Engine", "THE", "engine", "in", "1712"]
    assert first["stem"] == ["The", "inventor", *first["lower"][1:]]
    assert first["pair"] == ["STEAM", "Engine", "in", "1712"]
    assert not any(second[name] for name in ("exact", "lower", "stem", "pair"))
    assert third["exact"] == list("在北京")
    assert third["pair"] == list("在北京")


def test_words_that_the_context_has_are_marked_in_the_question():
    questions, _ = features(QUESTIONS, CONTEXTS)
    assert questions[0]["exact"] == ["engine", "in", "1712"]
    assert questions[0]["lower"] == ["the", "Steam", "engine", "in", "1712"]
    assert questions[0]["stem"] == ["invented", *questions[0]["lower"]]
    assert questions[1] == {name: [] for name in FEATURES}
    assert questions[2]["pair"] == list("在北京")


def test_capitals_and_digits_are_marked():
    questions, contexts = features(QUESTIONS, CONTEXTS)
    assert questions[0]["capital"] == ["Who", "Steam"]
    assert contexts[0]["capital"] == ["The", "STEAM", "Engine", "THE"]
    assert contexts[0]["digit"] == ["1712"]
    assert (contexts[2]["capital"], contexts[2]["digit"]) == ([], ["1990"])


def test_texts_are_compared_with_their_own_only():
    questions, contexts = features(["a b", "c d"], ["c d", "a b"])
    for side in (*questions, *contexts):
        assert not any(side[name] for name in ("exact", "lower", "stem", "pair"))


def test_a_pair_does_not_reach_into_the_next_text():
    questions, contexts = features(["a", "b"], ["x a", "b y"])
    assert [side["exact"] for side in contexts] == [["a"], ["b"]]
    assert [side["pair"] for side in (*questions, *contexts)] == [[]] * 4


def test_words_behind_the_first_ones_of_a_question_are_not_looked_for():
    questions, contexts = features(["a b c"], ["c b a"], most=2)
    assert contexts[0]["exact"] == ["b", "a"]
    assert questions[0]["exact"] == ["a", "b"]


def test_no_texts_have_no_features():
    assert features([], []) == [[], []]
    assert features([""], [""]) == [[{name: [] for name in FEATURES}]] * 2
