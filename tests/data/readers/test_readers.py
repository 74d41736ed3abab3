"""Readers: those of the package keep the contract, a user's is named by a recipe, and the kit finds what is broken."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from keras_s2s import UserError
from keras_s2s.config import parse
from keras_s2s.data import READERS, Pairs, Reader, Surroundings, read_lines
from keras_s2s.recipe.data_schema import Files
from keras_s2s.testing import check_reader

PAIRS = Pairs(["ab", "c"], ["ba", "c"])
WEIGHTED = Pairs(["ab", "c"], ["ba", "c"], [2.0, 0.5])


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(READERS, "_pieces", dict(READERS._pieces))


def test_tsv(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("ab\tba\nc\tc\n")
    check_reader({"tsv": "a.tsv"}, tmp_path, PAIRS, {"line 2": b"ab\tba\nc\n", "no lines": b""})
    (tmp_path / "b.tsv").write_text("2\tba\tab\n0.5\tc\tc\n")
    columns = {"source": 3, "target": 2, "weight": 1}
    check_reader({"tsv": "b.tsv", "columns": columns}, tmp_path, WEIGHTED, {"line 1: weight": b"x\tba\tab\n"})


def test_two_files(tmp_path: Path) -> None:
    for name, text in (("source", "ab\nc\n"), ("target", "ba\nc\n"), ("weights", "2\n0.5\n")):
        (tmp_path / name).write_text(text)
    names = {name: name for name in ("source", "target")}
    check_reader(names, tmp_path, PAIRS, {"target has 1; ": b"ba\n"})
    check_reader({**names, "weights": "weights"}, tmp_path, WEIGHTED)
    check_reader({"target": "target"}, tmp_path, Pairs(["", ""], ["ba", "c"]), {"line 2": b"a\n\xff\n"})
    assert not parse(Files, {"target": "target"}, "corpus").reader.has_sources


def test_jsonl(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"s": "ab", "t": "ba", "w": 2}\n{"s": "c", "t": "c", "w": 0.5}\n')
    fields = {"source": "s", "target": "t", "weight": "w"}
    mistakes = {
        "line 2: no field 't'": b'{"s": "a", "t": "a", "w": 1}\n{"s": "a"}\n',
        "line 1: expected an object": b"[",
    }
    check_reader({"jsonl": "a.jsonl", "fields": fields}, tmp_path, WEIGHTED, mistakes)


def test_tfrecords(tmp_path: Path) -> None:
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as file:
        for texts in zip(PAIRS.sources, PAIRS.targets, strict=True):
            lists = [tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()])) for text in texts]
            features = tf.train.Features(feature=dict(zip(("source", "target"), lists, strict=True)))
            file.write(tf.train.Example(features=features).SerializeToString())
    check_reader({"tfrecord": "a.tfrecord"}, tmp_path, PAIRS, {"record 1: corrupt": b"no record at all, and no length"})


def test_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.tsv").write_text("source\ttarget\nab\tba\nc\tc\n")
    reader = parse(Files, {"dataset": f"hf://{tmp_path / 'set'}?split=train"}, "corpus").reader
    around = Surroundings(Path, lambda samples, rate: samples)
    assert Pairs.of(reader.read(around)) == PAIRS
    assert [block.pairs() for block in reader.blocks(around, 1)] == [PAIRS.take([0]), PAIRS.take([1])]


def test_speech(tmp_path: Path) -> None:
    features = [np.full((length, 3), length, np.float32) for length in (2, 1)]
    for name, array in zip("ab", features, strict=True):
        np.save(tmp_path / f"{name}.npy", array)
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(1600 * len(array)), 16000)
    (tmp_path / "features.tsv").write_text("a.npy\tba\nb.npy\tc\n")
    (tmp_path / "recordings.tsv").write_text("a.wav\tba\nb.wav\tc\n")
    check_reader({"features": "features.tsv"}, tmp_path, Pairs(features, ["ba", "c"]), {"line 1": b"a.npy\n"})
    pairs = check_reader({"recordings": "recordings.tsv"}, tmp_path, None, {"line 2": b"a.wav\tba\nb.wav\n"})
    assert len(pairs.sources[0]) > len(pairs.sources[1])


def reader_of_lines(key: str, read: Callable[[Path], Pairs], **attributes: Any) -> type[Reader]:
    """A reader with one field, its key."""

    def of_path(self: Any, around: Surroundings) -> Pairs:
        return read(around.place(getattr(self, key)))

    names = {"__annotations__": {key: str, "key": ClassVar[str]}, "key": key, "read": of_path, "__module__": __name__}
    return type(f"{key.title()}Reader", (Reader,), {**names, **attributes})


def test_a_recipe_names_a_reader_of_one_s_own(tmp_path: Path) -> None:
    READERS.register(reader_of_lines("echo", lambda path: Pairs(read_lines(path), read_lines(path))))
    (tmp_path / "a.txt").write_text("a\nb\n")
    check_reader({"echo": "a.txt", "name": "mine", "tag": "<x>"}, tmp_path, Pairs(["a", "b"], ["a", "b"]))
    with pytest.raises(
        UserError, match=r"^r: Files: expected one of .* or 'echo', or .* 'source' and 'target', or .*'tsv'$"
    ):
        parse(Files, {"name": "mine"}, "r")
    with pytest.raises(UserError, match=r"^r: ecoh: unknown key; did you mean 'echo'\?$"):
        parse(Files, {"ecoh": "a.txt"}, "r")
    with pytest.raises(UserError, match=r"^r: Files: 'columns' goes with 'tsv', not 'echo'"):
        parse(Files, {"echo": "a.txt", "columns": {}}, "r")


def test_a_key_without_a_value_is_not_given() -> None:
    assert parse(Files, {"tsv": None, "columns": None, "jsonl": "a"}, "r") == parse(Files, {"jsonl": "a"}, "r")


def test_readers_that_cannot_be_registered() -> None:
    with pytest.raises(UserError, match=r"^reader 'tsv': there is a reader of this name; choose another name$"):
        READERS.register(reader_of_lines("tsv", lambda path: PAIRS))
    with pytest.raises(UserError, match=r"^WeightReader: the field 'weight' is a key of every corpus; give it another"):
        READERS.register(reader_of_lines("weight", lambda path: PAIRS))
    with pytest.raises(UserError, match=r"^Reader: needs a key that is one of its fields"):
        READERS.register(Reader)
    with pytest.raises(UserError, match=r"^reader .*: expected a subclass of Reader$"):
        READERS.register(dict)  # type: ignore[type-var]


def numbered(path: Path) -> Pairs:
    """Reads something else each time."""
    lines = read_lines(path)
    path.write_text("a\n" * (len(lines) + 1))
    return Pairs(lines, lines)


def no_pairs(path: Path) -> Pairs:
    lines = read_lines(path)
    return Pairs(lines[:0], lines[:0])


BROKEN: dict[str, tuple[Callable[[Path], Any], dict[str, Any], str]] = {
    "no pairs": (no_pairs, {}, "no pairs, which must be a UserError"),
    "lines": (lambda path: read_lines(path), {}, r"read\(\) gave a str as pair 1, not a Pair"),
    "numbers": (lambda path: Pairs([1], ["a"]), {}, "pair 1: the source is int, not a text"),
    "texts as speech": (lambda path: PAIRS, {"is_speech": True}, r"pair 1: the source must be an array \(S, F\)"),
    "another each time": (numbered, {}, "read twice, the pairs differ"),
    "other pairs in blocks": (
        lambda path: PAIRS,
        {"blocks": lambda self, around, size: iter([PAIRS.take([0])])},
        r"in blocks of 1, the pairs are not those of read\(\)",
    ),
    "large blocks": (
        lambda path: PAIRS,
        {"blocks": lambda self, around, size: iter([PAIRS])},
        "in blocks of 1, one has more pairs, or none",
    ),
    "files that are not there": (
        lambda path: PAIRS,
        {"files": lambda self, around: [around.place("b.txt")]},
        "which is no file",
    ),
    "a file that is not there": (lambda path: PAIRS, {}, "a file that is not there: was read without an error"),
    "Python's own errors": (
        lambda path: Pairs(path.read_text().split(), path.read_text().split()),
        {},
        "a file that is not there: raised FileNotFoundError, expected a UserError",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_kit_finds_what_is_broken(tmp_path: Path, name: str) -> None:
    read, attributes, message = BROKEN[name]
    READERS.register(reader_of_lines("broken", read, **attributes))
    (tmp_path / "a.txt").write_text("a\n")
    with pytest.raises(AssertionError, match=message):
        check_reader({"broken": "a.txt"}, tmp_path)


def test_the_kit_compares_pairs_and_errors(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("ab\tba\nc\tc\n")
    with pytest.raises(AssertionError, match="expected Pairs"):
        check_reader({"tsv": "a.tsv"}, tmp_path, WEIGHTED)
    with pytest.raises(AssertionError, match="the error does not hold 'line 3'"):
        check_reader({"tsv": "a.tsv"}, tmp_path, PAIRS, {"line 3": b"ab\n"})
    with pytest.raises(AssertionError, match="was read without an error"):
        check_reader({"tsv": "a.tsv"}, tmp_path, PAIRS, {"line 3": b"a\tb\n"})
    assert (tmp_path / "a.tsv").read_text() == "ab\tba\nc\tc\n"
