import io

import pytest
import tensorflow as tf

from tflm.export.batch_files import example_record, examples, json_line, lines


def test_lines_lose_their_ends_and_keep_their_number():
    file = io.BytesIO("ab\r\n\n 你好 \n".encode() + b"\xffz")
    assert list(lines(file)) == ["ab", "", " 你好 ", "\ufffdz"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Records: two with texts, one that is no example."""
    path = tmp_path_factory.mktemp("records") / "rows"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in ({"text": ["你好"], "tags": ["a", "b"]}, {"id": ["7"], "text": [""]}):
            example = tf.train.Example()
            for name, texts in row.items():
                example.features.feature[name].bytes_list.value.extend(map(str.encode, texts))
            example.features.feature["weight"].float_list.value.append(0.5)
            writer.write(example.SerializeToString())
        writer.write(b"no example")
    return path.read_bytes()


def test_a_record_is_its_features_of_one_string(written):
    assert list(examples(io.BytesIO(written))) == [{"text": "你好"}, {"id": "7", "text": ""}, {}]


def test_a_damaged_file_is_an_error(written):
    with pytest.raises(tf.errors.DataLossError):
        list(examples(io.BytesIO(written[:-3])))


ANSWER = {
    "file": "行.txt",
    "line": 3,
    "score": 0.75,
    "truncated": True,
    "labels": ["好", ""],
    "probabilities": [0.5, 0.25, 0.25],
}


def test_an_answer_is_a_line_of_json():
    assert json_line({"text": "你\n好", "line": 3}) == '{"text": "你\\n好", "line": 3}'


def test_an_answer_is_a_record():
    found = tf.train.Example.FromString(example_record(ANSWER)).features.feature
    assert found.keys() == ANSWER.keys()
    assert [text.decode() for text in found["labels"].bytes_list.value] == ["好", ""]
    assert list(found["line"].int64_list.value) == [3]
    assert list(found["truncated"].int64_list.value) == [1]
    assert list(found["probabilities"].float_list.value) == [0.5, 0.25, 0.25]
    assert list(found["score"].float_list.value) == [0.75]
