import pytest
import tensorflow as tf

from tflm.export import encode_texts, special_ids


@pytest.fixture(scope="module")
def tokenizer(make_task):
    return make_task().source_tokenizer


def test_texts_are_encoded_with_an_end_and_cut_where_they_are_too_long(tokenizer):
    texts = ["", "one two", "three four five six"]
    lengths = tokenizer.tokenize(texts).row_lengths().numpy()
    limit = int(lengths[1]) + 1
    token_ids, padding_mask, cut = encode_texts(tokenizer, tf.constant(texts), limit)
    assert token_ids.shape == padding_mask.shape == (3, limit)
    assert cut.numpy().tolist() == [False, False, True]
    assert padding_mask.numpy().sum(axis=1).tolist() == [1, limit, limit]
    rows = token_ids.numpy()
    assert rows[0].tolist() == [tokenizer.eos_id] + [tokenizer.pad_id] * (limit - 1)
    assert (rows[1:, -1] == tokenizer.eos_id).all()
    assert rows[2, :-1].tolist() == tokenizer.tokenize(texts[2]).numpy()[0][: limit - 1].tolist()


def test_special_tokens_in_front_count_and_stay(tokenizer):
    texts = ["", "three four five six"]
    (ids,) = tokenizer.tokenize(texts[1:]).to_list()
    token_ids, padding_mask, cut = encode_texts(tokenizer, tf.constant(texts), 6, (7, 9))
    assert padding_mask.numpy().sum(axis=1).tolist() == [3, 6]
    assert token_ids.numpy()[0, :3].tolist() == [7, 9, tokenizer.eos_id]
    assert token_ids.numpy()[1].tolist() == [7, 9, *ids[:3], tokenizer.eos_id]
    assert cut.numpy().tolist() == [False, True]


def test_a_text_ends_as_it_is_told_and_keeps_its_end_where_it_is_cut(tokenizer):
    texts = ["", "three four five six"]
    (ids,) = tokenizer.tokenize(texts[1:]).to_list()
    token_ids, padding_mask, cut = encode_texts(tokenizer, tf.constant(texts), 7, (9,), (11, 12))
    assert padding_mask.numpy().sum(axis=1).tolist() == [3, 7]
    assert token_ids.numpy()[0].tolist() == [9, 11, 12] + [tokenizer.pad_id] * 4
    assert token_ids.numpy()[1].tolist() == [9, *ids[:4], 11, 12]
    assert cut.numpy().tolist() == [False, True]
    token_ids, padding_mask, _ = encode_texts(tokenizer, tf.constant(texts), 7, (9,), ())
    assert padding_mask.numpy().sum(axis=1).tolist() == [1, min(7, 1 + len(ids))]


def test_rows_are_filled_with_the_end_where_there_is_no_padding(tokenizer):
    joint = tokenizer

    class Unpadded:
        tokenize = joint.tokenize
        eos_id, pad_id = 3, None

    token_ids, _, _ = encode_texts(Unpadded(), tf.constant(["", "three four"]), 20)
    assert set(token_ids.numpy()[0].tolist()) == {3}


def test_a_special_token_is_named_or_is_an_id(tokenizer):
    assert special_ids(tokenizer, ("eos", 17, "pad")) == (tokenizer.eos_id, 17, tokenizer.pad_id)


def test_a_special_token_that_there_is_not_is_refused(tokenizer):
    with pytest.raises(ValueError, match="`tokenizer` must have the special token 'mask'"):
        special_ids(tokenizer, ("eos", "mask"))
