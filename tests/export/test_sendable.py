import tensorflow as tf

from tflm.export.sendable import Ends


def decoded(texts):
    return [text.decode() for text in texts.numpy()]


def test_what_may_be_the_beginning_of_something_else_is_held_back():
    ends = Ends(("\n\n", "用户："))
    texts = tf.constant(["a\n", "a\n\nb", "很大用户", "a\ufffd\ufffd", "\ufffda", "a"])
    assert decoded(ends.settled(texts)) == ["a", "a", "很大", "a", "\ufffda", "a"]
    text, over = ends.cut(texts)
    assert decoded(text)[:3] == ["a\n", "a", "很大用户"]
    assert over.numpy().tolist() == [False, True, *[False] * 4]
    assert not Ends(()).cut(texts)[1].numpy().any()
