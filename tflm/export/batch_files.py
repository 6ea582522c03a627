"""Files of batch inference: rows out of lines or records, answers into them.

A record is a `tf.train.Example` of a TFRecord file.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError


def lines(file: BinaryIO) -> Iterator[str]:
    """Lines without their ends; bytes that are not UTF-8 become U+FFFD."""
    for line in iter(file.readline, b""):
        yield line.decode(errors="replace").rstrip("\r\n")


def examples(file: BinaryIO) -> Iterator[dict[str, str]]:
    """Of each record the features that are one string, by name; of what is no example, none.

    Raises:
        tf.errors.DataLossError: the file is damaged.
    """
    # TensorFlow checks the sums of the records, but opens fewer file systems than Beam.
    with tempfile.NamedTemporaryFile() as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        for record in tf.data.TFRecordDataset(copy.name).as_numpy_iterator():
            try:
                features = tf.train.Example.FromString(record).features.feature
            except DecodeError:
                features = {}
            yield {
                name: feature.bytes_list.value[0].decode(errors="replace")
                for name, feature in sorted(features.items())
                if len(feature.bytes_list.value) == 1
            }


def json_line(answer: Mapping[str, Any]) -> str:
    """An answer as a line of JSON, without its end."""
    return json.dumps(answer, ensure_ascii=False)


def example_record(answer: Mapping[str, Any]) -> bytes:
    """An answer as a record: a feature for each value or list of values, booleans as 0 and 1."""
    example = tf.train.Example()
    for name, value in answer.items():
        values = np.ravel(np.array(value, object)).tolist()
        feature = example.features.feature[name]
        if all(isinstance(each, str) for each in values):
            feature.bytes_list.value.extend(each.encode() for each in values)
        elif all(isinstance(each, float) for each in values):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(map(int, values))
    return example.SerializeToString()


READERS = {"text": lines, "tfrecord": examples}
WRITERS = {"text": json_line, "tfrecord": example_record}
