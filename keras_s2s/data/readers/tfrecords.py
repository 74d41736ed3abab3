"""Pairs from TFRecord shards of `tf.train.Example`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from keras_s2s.data.files import Location, matching
from keras_s2s.data.pairs import Pair, Pairs
from keras_s2s.data.readers import READERS, Surroundings
from keras_s2s.data.readers.records import Fields, RecordsReader, pairs_of
from keras_s2s.errors import UserError


@READERS.register
class TFRecordReader(RecordsReader):
    """Shards of `tf.train.Example`, see `read_tfrecords`.

    Args:
        tfrecord: the file, or a pattern of several.
        fields: of each example.
    """

    key: ClassVar[str] = "tfrecord"
    tfrecord: str

    def read(self, around: Surroundings) -> Iterator[Pair]:
        """Reads the shards."""
        return tfrecord_pairs(around.place(self.tfrecord), self.names)

    def files(self, around: Surroundings) -> Sequence[Path]:
        """Those that match."""
        return matching(around.place(self.tfrecord))


def read_tfrecords(path: Location, fields: Fields = Fields()) -> Pairs:  # noqa: B008
    """Reads shards, in the order of their names.

    Args:
        path: a file, compressed by the suffix `.gz`, or a pattern.
        fields: features of each example: source and target hold one bytes string in UTF-8, weight one float.

    Raises:
        UserError: a file cannot be read; a record (named by file and number) is corrupt or lacks a feature; there
            are none.
    """
    return Pairs.of(tfrecord_pairs(path, fields))


def tfrecord_pairs(path: Location, fields: Fields = Fields()) -> Iterator[Pair]:  # noqa: B008
    """The pairs that `read_tfrecords` reads, one after the other."""
    for file in matching(path):
        yield from pairs_of(_examples(file), fields, str(file), "record")


def _examples(path: Path) -> Iterator[dict[str, Any]]:
    """The features of each record that hold one value."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise UserError(f"{path}: cannot be read: no such file; check the name")
    count = 0
    with tf.device("CPU"):
        compression = "GZIP" if path.suffix == ".gz" else ""
        records = iter(tf.data.TFRecordDataset([str(path)], compression))
    while True:
        count += 1
        try:
            record = next(records, None)
            if record is None:
                return
            example = tf.train.Example.FromString(record.numpy())
        except (tf.errors.DataLossError, DecodeError):
            raise UserError(
                f"{path}: record {count}: corrupt, or the file is cut short; write this file again"
            ) from None
        yield {
            name: value for name, feature in example.features.feature.items() if (value := _value(feature)) is not None
        }


def _value(feature: Any) -> Any:
    for kind in (feature.bytes_list, feature.float_list, feature.int64_list):
        if len(kind.value) == 1:
            return kind.value[0]
    return None
