"""Records with named fields, from JSON, TFRecord and the data set libraries; all made here, nothing downloaded."""

import gzip
import json
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_s2s.data import Fields, Pairs, read_dataset, read_jsonl, read_tfrecords
from keras_s2s.errors import UserError

PAIRS = Pairs(["one", "zwei ä"], ["eins", "two"])
TEXTS = ["zwei ä", "001", "1e5", "NA", "", '"a', "2020-01-01", " a\u2028b\rc\x85\x00 "]


def test_json_lines(tmp_path: Path) -> None:
    lines = [json.dumps({"source": s, "target": t}) for s, t in zip(PAIRS.sources, PAIRS.targets, strict=True)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    assert read_jsonl(tmp_path / "a.jsonl") == read_jsonl(tmp_path / "b.jsonl.gz") == PAIRS
    assert len(read_jsonl(tmp_path / "*.jsonl*")) == 4


def test_nested_fields_and_weights(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"t": {"en": "a", "de": "b"}, "w": 2}\n{"t": {"en": "c", "de": ""}, "w": 0.5}\n')
    pairs = read_jsonl(tmp_path / "a.jsonl", Fields("t.en", "t.de", "w"))
    assert pairs == Pairs(["a", "c"], ["b", ""], [2.0, 0.5])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: expected an object with the field 'source'"),
        ("[1]", "line 2: expected an object with the field 'source'"),
        ("", "line 2: expected an object"),
        ('{"source": "a", "traget": "b"}', "line 2: no field 'target'; there are 'source', 'traget'"),
        ('{"source": 1, "target": "b"}', "line 2: field 'source': expected a text, got int"),
        ('{"source": null, "target": "b"}', "line 2: field 'source': expected a text, got NoneType"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"source": "a", "target": "b"}}\n{line}\n{{}}\n')
    with pytest.raises(UserError, match=rf"a\.jsonl: {message}"):
        read_jsonl(tmp_path / "a.jsonl")


@pytest.mark.parametrize("weight", ["0", "-1", '"x"', "1e999", "null"])
def test_a_bad_weight_is_named(tmp_path: Path, weight: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"source": "a", "target": "b", "w": {weight}}}\n')
    with pytest.raises(UserError, match=r"line 1: weight .*: expected a finite number above 0"):
        read_jsonl(tmp_path / "a.jsonl", Fields(weight="w"))


def example(**features) -> bytes:
    made = {
        name: tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        if isinstance(value, float)
        else tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in features.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


def write(path: Path, records: list[bytes], compression: str = "") -> None:
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)


def shards(folder: Path) -> None:
    write(folder / "a-1.tfrecord", [example(source=b"one", target=b"eins", w=2.0)])
    write(folder / "a-2.tfrecord.gz", [example(source="zwei ä".encode(), target=b"two", w=0.5)], "GZIP")


def test_shards(tmp_path: Path) -> None:
    shards(tmp_path)
    assert read_tfrecords(tmp_path / "a-*") == PAIRS
    assert read_tfrecords(tmp_path / "a-*", Fields(weight="w")).weights == [2.0, 0.5]


def test_a_corrupt_record_is_named_by_file_and_number(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    records = [example(source=b"source %d" % i, target=b"target") for i in range(4)]
    write(path, records)
    content = bytearray(path.read_bytes())
    place = content.index(b"source 2")
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tfrecord: record 3: corrupt, or the file is cut short"):
        read_tfrecords(path)
    write(path, records)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"a\.tfrecord: record 4: corrupt, or the file is cut short"):
        read_tfrecords(path)
    path.write_text("no records at all, but text")
    with pytest.raises(UserError, match=r"a\.tfrecord: record 1: corrupt"):
        read_tfrecords(path)
    write(path, [records[0], b"\xff\xff"])
    with pytest.raises(UserError, match=r"a\.tfrecord: record 2: corrupt"):
        read_tfrecords(path)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no records; give at least one"),
        ([example(source=b"a")], "record 1: no field 'target'; there are 'source'"),
        ([example(source=b"a", target=b"\xff")], "record 1: field 'target' is not UTF-8"),
        ([example(source=1.0, target=b"b")], "record 1: field 'source': expected a text, got float"),
    ],
)
def test_records_that_are_no_pairs(tmp_path: Path, records: list[bytes], message: str) -> None:
    write(tmp_path / "a.tfrecord", records)
    with pytest.raises(UserError, match=rf"a\.tfrecord: {message}"):
        read_tfrecords(tmp_path / "a.tfrecord")
    with pytest.raises(UserError, match=r"b\.tfrecord: cannot be read: no such file"):
        read_tfrecords(tmp_path / "b.tfrecord")


def test_hugging_face_data_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    rows = {"translation": [{"en": s, "de": t} for s, t in zip(PAIRS.sources, PAIRS.targets, strict=True)]}
    made = datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows)})
    made.save_to_disk(tmp_path / "saved")
    (tmp_path / "files").mkdir()
    made["train"].to_json(tmp_path / "files" / "train.jsonl")
    fields = Fields("translation.en", "translation.de")
    for folder in ("saved", "files"):
        assert read_dataset(f"hf://{tmp_path / folder}?split=train", fields) == PAIRS
    with pytest.raises(UserError, match=r"^hf://.*\?split=test: cannot be loaded: "):
        read_dataset(f"hf://{tmp_path / 'files'}?split=test", fields)
    with pytest.raises(UserError, match=r"record 1: no field 'source'; there are 'translation'"):
        read_dataset(f"hf://{tmp_path / 'saved'}?split=train")


def test_tensorflow_datasets_of_a_builder(tmp_path: Path) -> None:
    class Toy(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = tmp_path

        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict({"source": tfds.features.Text(), "target": tfds.features.Text()})
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for number, text in enumerate(TEXTS):
                yield number, {"source": text, "target": text[::-1]}

    Toy(data_dir=tmp_path).download_and_prepare()
    pairs = read_dataset(f"tfds://toy?split=train&data_dir={tmp_path}")
    assert sorted(pairs.sources) == sorted(TEXTS)
    assert pairs.targets == [text[::-1] for text in pairs.sources]
    with pytest.raises(UserError, match=r"^tfds://toy\?split=test.*: cannot be loaded: "):
        read_dataset(f"tfds://toy?split=test&data_dir={tmp_path}")


def test_the_hub_is_not_read_through_tensorflow_datasets() -> None:
    with pytest.raises(UserError, match=r"^tfds://huggingface:a\?split=train: give hf://NAME\?split=SPLIT; "):
        read_dataset("tfds://huggingface:a?split=train")


@pytest.mark.parametrize("address", ["hf://a", "hf://?split=train", "wmt://a?split=train", "a", "tfds://a?data_dir=b"])
def test_addresses_of_another_form(address: str) -> None:
    with pytest.raises(UserError, match=r": expected hf://NAME\?split=SPLIT or tfds://NAME\?split=SPLIT$"):
        read_dataset(address)
    with pytest.raises(UserError, match="unknown option 'splt'; known are config, split"):
        read_dataset("hf://a?split=train&splt=x")


@pytest.mark.parametrize(("library", "module"), [("hf", "datasets"), ("tfds", "tensorflow_datasets")])
def test_a_library_that_is_not_there(library: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"install it with pip install 'keras_s2s\[{library}\]'$"):
        read_dataset(f"{library}://a?split=train")


def test_weights_of_pairs_are_checked() -> None:
    with pytest.raises(UserError, match="2 pairs and 1 weights; give each pair one weight"):
        Pairs(["a", "b"], ["c", "d"], [1.0])
    for weight in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(UserError, match=r"pair 2: weight .*: expected a finite number above 0"):
            Pairs(["a", "b"], ["c", "d"], [1.0, weight])
