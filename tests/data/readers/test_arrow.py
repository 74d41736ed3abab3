"""Parquet and Arrow files, in all forms in which texts stand in them."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from keras_s2s import UserError
from keras_s2s.data import Fields, Pairs, read_arrow, read_parquet
from keras_s2s.data.pairs import join
from keras_s2s.data.readers.arrow import arrow_blocks
from keras_s2s.data.readers.parquet import parquet_blocks
from keras_s2s.testing import check_reader

SOURCES, TARGETS, WEIGHTS = ["one", "", "drei ä"], ["eins", "b\nc", "three"], [2.0, 0.5, 1.0]
PAIRS = Pairs(SOURCES, TARGETS)
TABLE = pyarrow.table({"id": [1, 2, 3], "source": SOURCES, "target": TARGETS, "w": WEIGHTS})


def parquet(table: pyarrow.Table, path: Path) -> None:
    pyarrow.parquet.write_table(table, path, row_group_size=2)


def ipc_file(table: pyarrow.Table, path: Path) -> None:
    with pyarrow.ipc.new_file(str(path), table.schema) as file:
        file.write_table(table, max_chunksize=2)


def ipc_stream(table: pyarrow.Table, path: Path) -> None:
    with pyarrow.ipc.new_stream(str(path), table.schema) as file:
        file.write_table(table, max_chunksize=2)


Write = Callable[[pyarrow.Table, Path], None]
FORMS: list[tuple[str, Write]] = [("parquet", parquet), ("arrow", ipc_file), ("arrow", ipc_stream)]
READ = {"parquet": read_parquet, "arrow": read_arrow}
BLOCKS = {"parquet": parquet_blocks, "arrow": arrow_blocks}
forms = pytest.mark.parametrize(("key", "write"), FORMS)


@forms
def test_the_reader_keeps_its_contract(tmp_path: Path, key: str, write: Write) -> None:
    write(TABLE, tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    kind = {"parquet": "a Parquet file", "arrow": "an Arrow file"}[key]
    corpus = {key: "a", "fields": {"source": "source", "target": "target", "weight": "w"}}
    mistakes = {
        f"not {kind}, or damaged or cut short; write it again": whole[: len(whole) // 2],
        f"not {kind}": b"no such file, but text",
    }
    check_reader(corpus, tmp_path, Pairs(SOURCES, TARGETS, WEIGHTS), mistakes)


@forms
@pytest.mark.parametrize(
    "kind",
    [
        pyarrow.large_string(),
        pyarrow.string_view(),
        pyarrow.binary(),
        pyarrow.dictionary(pyarrow.int8(), pyarrow.string()),
    ],
    ids=str,
)
def test_texts_of_every_type(tmp_path: Path, key: str, write: Write, kind: pyarrow.DataType) -> None:
    columns = [pyarrow.array(texts, pyarrow.string()).cast(kind) for texts in (SOURCES, TARGETS)]
    write(pyarrow.table(columns, ["source", "target"]), tmp_path / "a")
    assert READ[key](tmp_path / "a") == PAIRS


@forms
def test_fields_of_records(tmp_path: Path, key: str, write: Write) -> None:
    rows = [{"translation": {"en": s, "de": t}} for s, t in zip(SOURCES, TARGETS, strict=True)]
    write(pyarrow.Table.from_pylist(rows), tmp_path / "a")
    assert READ[key](tmp_path / "a", Fields("translation.en", "translation.de")) == PAIRS


@forms
def test_blocks_are_small_wherever_they_come_from(tmp_path: Path, key: str, write: Write) -> None:
    write(pyarrow.table({"source": ["a" * 100] * 5000, "target": ["b"] * 5000}), tmp_path / "a")
    blocks = list(BLOCKS[key](tmp_path / "a", size=10))
    assert max(len(pickle.dumps(block)) for block in blocks) < 3000
    assert join([block.pairs() for block in blocks]) == Pairs(["a" * 100] * 5000, ["b"] * 5000)


@forms
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"source": ["a"], "traget": ["b"]}, r"no field 'target'; there are 'source', 'traget'$"),
        (
            {"source": ["a", "b", None], "target": ["a", "b", "c"]},
            r"record 3: field 'source': expected a text, got None",
        ),
        ({"source": [1], "target": ["b"]}, r"record 1: field 'source': expected a text, got int$"),
        ({"source": [b"a", b"\xff"], "target": ["b", "c"]}, r"record 2: field 'source' is not UTF-8$"),
        (
            {"source": pyarrow.array([], "string"), "target": pyarrow.array([], "string")},
            "no records; give at least one",
        ),
    ],
)
def test_rows_that_are_no_pairs(tmp_path: Path, key: str, write: Write, columns: dict[str, Any], message: str) -> None:
    write(pyarrow.table(columns), tmp_path / "a")
    with pytest.raises(UserError, match=rf"/a: {message}"):
        READ[key](tmp_path / "a")


@forms
def test_strings_that_are_no_utf8(tmp_path: Path, key: str, write: Write) -> None:
    data = pyarrow.py_buffer(b"ab\xffcd")
    offsets = pyarrow.array([0, 1, 2, 3, 5], pyarrow.int32()).buffers()[1]
    column = pyarrow.Array.from_buffers(pyarrow.string(), 4, [None, offsets, data])
    write(pyarrow.table({"source": column, "target": ["x"] * 4}), tmp_path / "a")
    with pytest.raises(UserError, match=r"/a: record 3: not UTF-8; write it again$"):
        READ[key](tmp_path / "a")


@forms
def test_without_the_library(tmp_path: Path, key: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(TABLE, tmp_path / "a")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"/a: .*install it with pip install 'keras_s2s\[arrow\]'$"):
        READ[key](tmp_path / "a")


def test_a_damaged_page_of_a_parquet_file(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(TABLE, tmp_path / "a", compression="gzip")
    content = bytearray((tmp_path / "a").read_bytes())
    content[4:200] = bytes(196)
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UserError, match="/a: not a Parquet file, or damaged or cut short; write it again"):
        read_parquet(tmp_path / "a")
