"""Pairs from a TSV, CSV or JSONL file of which nobody has said what its columns are."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from keras_s2s import data
from keras_s2s.data import Pairs
from keras_s2s.data.files import LINES, matching, pieces
from keras_s2s.data.pairs import join
from keras_s2s.data.readers.tables import table_rows
from keras_s2s.errors import UserError
from keras_s2s.text.files import SUFFIXES, unpacked, without_suffix

SEPARATORS = {".tsv": "\t", ".csv": ","}
JSONL = ".jsonl"
# Names by which a column is known for what it is.
SOURCES = frozenset(("source", "src", "input", "from", "text", "sentence", "question", "word", "x"))
TARGETS = frozenset(("target", "tgt", "trg", "output", "to", "translation", "answer", "pronunciation", "label", "y"))
_HOW = "say which two with --source and --target"


class Read(NamedTuple):
    """The pairs of a file, and how its columns were taken.

    Attributes:
        pairs: all of them.
        columns: in words, which ones they are.
    """

    pairs: Pairs
    columns: str


class _Columns(NamedTuple):
    """Places of source and target in a row, from 0, and whether the first row names the columns."""

    source: int
    target: int
    has_header: bool


def read(path: Path, source: str | None = None, target: str | None = None) -> Read:
    """Reads files of pairs; each may be compressed by gzip, xz or zstd.

    With neither `source` nor `target`, they are the columns with well-known names (`SOURCES`, `TARGETS`), or, without
    such names, the only two columns.

    Args:
        path: a file, or a pattern of several: `.tsv`, `.csv` or `.jsonl`, maybe compressed.
        source: the column of the sources: a name of the first line, or a number from 1; of JSONL a field.
        target: that of the targets.

    Raises:
        UserError: as the readers of `data`; or it cannot be known which columns are meant.
    """
    if (source is None) != (target is None):
        raise UserError(f"{path}: only one column was named; {_HOW}")
    if source is not None and source == target:
        raise UserError(f"{path}: --source and --target are the same, {source!r}; {_HOW}")
    found = [_read(file, source, target) for file in matching(path)]
    return Read(join([one.pairs for one in found]), found[0].columns)


def _read(path: Path, source: str | None, target: str | None) -> Read:
    kind = Path(without_suffix(path.name)).suffix
    if kind == JSONL:
        fields = _fields(path, source, target)
        return Read(data.read_jsonl(path, fields), f"fields {fields.source!r} and {fields.target!r}")
    if kind not in SEPARATORS:
        raise UserError(f"{path}: expected a file .tsv, .csv or .jsonl, or one of these with {', '.join(SUFFIXES)}")
    return _table(path, SEPARATORS[kind], source, target)


def _table(path: Path, separator: str, source: str | None, target: str | None) -> Read:
    rows = table_rows((lines.text() for lines in pieces(path, LINES)), str(path), separator)
    number, first = next(rows, (0, []))
    if not first:
        raise UserError(f"{path}: no lines; give at least one")
    columns = _columns(first, source, target, path)
    sources, targets = [], []
    if not columns.has_header:
        rows = itertools.chain([(number, first)], rows)
    for line, row in rows:
        if len(row) != len(first):
            raise UserError(f"{path}: line {line}: {_count(row)}; line {number} has {len(first)}")
        sources.append(row[columns.source])
        targets.append(row[columns.target])
    if not sources:
        raise UserError(f"{path}: no lines but the first, which names the columns; give at least one pair")
    names = (first[columns.source], first[columns.target])
    told = f"columns {names[0]!r} and {names[1]!r}" if columns.has_header else _numbered(columns)
    return Read(Pairs(sources, targets), told)


def _numbered(columns: _Columns) -> str:
    return f"columns {columns.source + 1} and {columns.target + 1}, no line of names"


def _columns(first: Sequence[str], source: str | None, target: str | None, path: Path) -> _Columns:
    """Which columns are meant, by the first row."""
    if source is not None and target is not None:
        one, other = _number(source, first), _number(target, first)
        if one is not None and other is not None:
            return _Columns(one, other, _are_names(first, one, other))
        for name in (source, target):
            if first.count(name) != 1:
                raise UserError(f"{path}: line 1: no column {name!r}; there are {_listed(first)}")
        return _Columns(first.index(source), first.index(target), has_header=True)
    known = [[at for at, cell in enumerate(first) if _plain(cell) in names] for names in (SOURCES, TARGETS)]
    if [len(places) for places in known] == [1, 1]:
        return _Columns(known[0][0], known[1][0], has_header=True)
    if len(first) != 2:
        raise UserError(f"{path}: line 1: {_count(first)} ({_listed(first)}); {_HOW}, by name or number")
    return _Columns(0, 1, has_header=False)


def _number(name: str, first: Sequence[str]) -> int | None:
    """A place from 0 of a number from 1; None of what is a name, or no column."""
    if name in first or not name.isdecimal():
        return None
    return int(name) - 1 if 1 <= int(name) <= len(first) else None


def _are_names(first: Sequence[str], source: int, target: int) -> bool:
    return _plain(first[source]) in SOURCES and _plain(first[target]) in TARGETS


def _plain(cell: str) -> str:
    return cell.strip().lower()


def _count(row: Sequence[str]) -> str:
    return f"{len(row)} column{'' if len(row) == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    shown = [repr(name if len(name) <= 30 else f"{name[:30]}…") for name in names[:8]]
    return ", ".join(shown) + (" …" if len(names) > 8 else "")


def _fields(path: Path, source: str | None, target: str | None) -> data.Fields:
    """Which fields are meant, by the first line."""
    if source is not None and target is not None:
        return data.Fields(source, target)
    record = _first_record(path)
    texts = [name for name, value in record.items() if isinstance(value, str)]
    known = [[name for name in texts if _plain(name) in names] for names in (SOURCES, TARGETS)]
    if [len(names) for names in known] == [1, 1]:
        return data.Fields(known[0][0], known[1][0])
    if len(texts) != 2:
        told = "1 field is a text" if len(texts) == 1 else f"{len(texts)} fields are texts"
        raise UserError(f"{path}: line 1: {told} ({_listed(texts) or 'none'}); {_HOW}")
    return data.Fields(*texts)


def _first_record(path: Path) -> dict:
    try:
        with unpacked(path.open("rb"), str(path)) as file:
            record = json.loads(file.readline().decode("utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; check the name") from None
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise UserError(f'{path}: line 1: expected a JSON object, such as {{"source": "…", "target": "…"}}')
    return record
