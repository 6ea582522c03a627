import json

import numpy as np
import pytest
import tensorflow as tf

from tflm.export.keras_hub_tokenizer import PROBES, Frame, HubTokenizer, longest, pack
from tflm.tokenizers import BytePairTokenizer, SentencePieceTokenizer

TEXTS = [*PROBES, "<s>你好</s> 公园<pad>", "Don't   stop 12345\n\n\n 你好吗"]


@pytest.fixture(scope="module")
def hub():
    pytest.MonkeyPatch().setenv("KERAS_BACKEND", "tensorflow")
    return pytest.importorskip("keras_hub")


@pytest.fixture(scope="module")
def bart(hub):
    ours = BytePairTokenizer.train(TEXTS, 320, "llama3")
    return hub.models.BartTokenizer(json.loads(ours._vocabulary), ours._merges_text.splitlines())


@pytest.fixture(scope="module")
def ours(bart):
    return HubTokenizer(bart)


def ids(tokenizer, texts):
    return tf.function(tokenizer.tokenize, autograph=False)(tf.constant(texts)).to_list()


def test_byte_pairs_are_those_of_keras_hub_outside_of_a_graph(bart, ours):
    assert ids(ours, TEXTS) == [list(row) for row in bart(TEXTS)]
    assert (ours.cls_id, ours.pad_id, ours.sep_id) == tuple(
        bart.token_to_id(token) for token in ("<s>", "<pad>", "</s>")
    )


def test_text_is_what_is_not_masked_and_not_special(bart, ours):
    row = [bart.token_to_id("<s>"), *map(int, bart("你好 xy"))]
    mask = [True] * (len(row) - 1) + [False]
    found = ours.text(tf.constant([row]), tf.constant([mask])).numpy()[0].decode()
    assert found == bart.detokenize(row[1:-1])
    assert found.startswith("你好")


def test_a_sentencepiece_model_is_taken_as_it_is_and_another_way_to_cut_refused(hub):
    model = SentencePieceTokenizer.train(TEXTS, 400).model
    theirs = hub.models.T5Tokenizer(model)
    assert ids(HubTokenizer(theirs), TEXTS) == [list(row) for row in theirs(TEXTS)]

    class Reversed(hub.models.T5Tokenizer):
        def tokenize(self, inputs):
            return [row[::-1] for row in super().tokenize(inputs)]

    with pytest.raises(ValueError, match="`tokenizer` must cut texts as .* Received: Reversed"):
        HubTokenizer(Reversed(model))


def test_word_pieces_are_keras_hubs_own(hub):
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] don ' t stop how are you ##y".split()
    theirs = hub.models.BertTokenizer([*words, *"你好公园"], lowercase=True)
    texts = [*TEXTS, "你\u3000好"]
    assert ids(HubTokenizer(theirs), texts) == [list(row) for row in theirs(texts)]


@pytest.mark.parametrize("end", [False, True])
def test_rows_are_packed_as_keras_hub_packs_them(hub, end):
    packer = hub.layers.StartEndPacker(
        6, start_value=[91, 92], end_value=93, pad_value=9, return_padding_mask=True
    )
    rows = [[], [1], [1, 2, 3], [1, 2, 3, 4, 5]]
    expected, expected_mask = packer(rows, add_end_value=end)
    frame = Frame.of(np.asarray(expected), np.asarray(expected_mask), rows)
    assert frame == Frame((91, 92), (93,) if end else (), 9, 6)
    ids, mask, cut = pack(tf.ragged.constant(rows, tf.int32, 1), frame)
    assert ids.numpy().tolist() == expected.numpy().tolist()
    assert mask.numpy().tolist() == expected_mask.numpy().tolist()
    assert cut.numpy().tolist() == [False, False, False, True] if end else [False] * 3 + [True]
    assert longest(mask).numpy() == 6


def test_rows_without_a_frame_are_packed_too_and_strange_ones_otherwise():
    rows = np.array([[0, 0], [5, 0], [5, 6]])
    frame = Frame.of(rows, rows > 0, [[], [5], [5, 6, 7]])
    assert frame == Frame((), (), 0, 2)
    ids, mask, cut = pack(tf.ragged.constant([[], [5, 6, 7]], tf.int32, 1), frame)
    assert ids.numpy().tolist() == [[0, 0], [5, 6]]
    assert mask.numpy().tolist() == [[False, False], [True, True]]
    assert cut.numpy().tolist() == [False, True]
    assert Frame.of(rows[:, ::-1], rows > 0, [[], [5], [5, 6]]) == Frame((), (), 0, 2)
