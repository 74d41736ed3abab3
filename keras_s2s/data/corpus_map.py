"""A corpus on disk, as columns that are mapped into memory.

A map is a folder with a manifest and the files of its columns. A column of rows of different lengths is two files,
`NAME.values`, all rows one behind the other, and `NAME.ends`, where each row ends (int64); a column of numbers, one for
each row, is `NAME.values` alone. Bytes are those of the machine's numpy arrays, little-endian. Any name goes, so that
what a corpus has besides sources, targets and weights is a column more.

A map is written part by part. A part is whole when its line stands in `parts.jsonl`; what a process that was killed
wrote behind the last whole part is cut off by the next one. `manifest.json` takes the place of `parts.jsonl` when the
map is complete, and has the SHA-256 of each part of each column, and of itself.
"""

import hashlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from keras_s2s.atomic import atomic_write
from keras_s2s.cores import available_cores
from keras_s2s.data.ragged import Ragged
from keras_s2s.errors import UserError

MANIFEST = "manifest.json"
_PARTS = "parts.jsonl"
_FORMAT = 1

Column = Ragged | np.ndarray


class Part(NamedTuple):
    """Some rows of a map.

    Attributes:
        columns: of each name as many rows.
        hashes: of each name the SHA-256 of its content.
        about: whatever the writer wants to know of them again.
    """

    columns: Mapping[str, Column]
    hashes: Mapping[str, str]
    about: Mapping[str, Any]

    @classmethod
    def of(cls, columns: Mapping[str, Column], **about: Any) -> Self:
        """Makes a part; plain data may be said about it."""
        return cls(columns, {name: _hash(column) for name, column in columns.items()}, about)

    def __len__(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values())))


@dataclass(frozen=True)
class _Kind:
    """What a column holds: numbers of a type, in a shape for each value, as rows of several values or one a row."""

    dtype: str
    shape: tuple[int, ...]
    is_ragged: bool

    @classmethod
    def of(cls, column: Column) -> Self:
        values = column.values if isinstance(column, Ragged) else column
        return cls(values.dtype.str, values.shape[1:], isinstance(column, Ragged))

    @property
    def size(self) -> int:
        """Bytes of a value."""
        return int(np.dtype(self.dtype).itemsize * np.prod(self.shape, dtype=np.int64))


class _Written(NamedTuple):
    """A part as the manifest has it.

    Attributes:
        rows: how many.
        values: of each column how many values.
        hashes: as in `Part`.
        about: as in `Part`.
    """

    rows: int
    values: dict[str, int]
    hashes: dict[str, str]
    about: dict[str, Any]

    def without(self, names: Sequence[str]) -> "_Written":
        """The same without some columns."""
        values = {name: count for name, count in self.values.items() if name not in names}
        hashes = {name: digest for name, digest in self.hashes.items() if name not in names}
        return self._replace(values=values, hashes=hashes)


@dataclass(frozen=True)
class CorpusMap:
    """A complete map.

    Attributes:
        folder: where it is.
        columns: by name.
        parts: of each the number of rows, and what was said about it.
        hashes: of each part the SHA-256 of its columns, by name.
    """

    folder: Path
    columns: Mapping[str, Column]
    parts: Sequence[tuple[int, Mapping[str, Any]]]
    hashes: Sequence[Mapping[str, str]]

    def __len__(self) -> int:
        """The number of rows."""
        return sum(rows for rows, _ in self.parts)


class MapWriter:
    """Writes a map, going on behind the last whole part that an earlier process wrote.

    Args:
        folder: of the map, made if need be.

    Attributes:
        parts: those that are whole.

    Raises:
        UserError: what an earlier process wrote cannot be read, or there is less of it than it noted.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._kinds, self.parts = _journal(folder / _PARTS)
        self._totals = {name: sum(part.values[name] for part in self.parts) for name in self._kinds}
        self._rows = sum(part.rows for part in self.parts)
        self._cut_off()

    def append(self, part: Part) -> None:
        """Writes a part behind the others.

        Raises:
            OSError: it cannot be written. The parts before it stay whole.
        """
        kinds = {name: _Kind.of(column) for name, column in part.columns.items()}
        if not self._kinds:
            self._kinds = kinds
            self._totals = dict.fromkeys(kinds, 0)
            self._note(_head(kinds))
        if kinds != self._kinds:
            raise ValueError(f"a part has the columns {kinds}; those before had {self._kinds}")
        for name, column in part.columns.items():
            if isinstance(column, Ragged):
                _append(_file(self._folder, name, "values"), column.values)
                _append(_file(self._folder, name, "ends"), column.ends + self._totals[name])
            else:
                _append(_file(self._folder, name, "values"), column)
        values = {name: _count(column) for name, column in part.columns.items()}
        written = _Written(len(part), values, dict(part.hashes), dict(part.about))
        self._note(written._asdict())
        self.parts.append(written)
        self._rows += written.rows
        for name, count in values.items():
            self._totals[name] += count

    def finish(self, without: Sequence[str] = ()) -> None:
        """Completes the map.

        Args:
            without: columns that are not needed.
        """
        kinds = {name: kind for name, kind in self._kinds.items() if name not in without}
        parts = [part.without(without) for part in self.parts]
        content = {**_head(kinds), "parts": [part._asdict() for part in parts]}
        manifest = json.dumps({"sha256": _hash_of_manifest(content), "content": content})
        # Whenever it is killed, another process comes to the same end.
        journal = "".join(f"{json.dumps(line)}\n" for line in (_head(kinds), *content["parts"]))
        atomic_write(self._folder / _PARTS, lambda path: path.write_text(journal, encoding="utf-8"))
        for name in without:
            for what in ("values", "ends"):
                _file(self._folder, name, what).unlink(missing_ok=True)
        atomic_write(self._folder / MANIFEST, lambda path: path.write_text(manifest, encoding="utf-8"))
        (self._folder / _PARTS).unlink()

    def _note(self, content: Mapping[str, Any]) -> None:
        _append(self._folder / _PARTS, f"{json.dumps(content)}\n".encode())

    def _cut_off(self) -> None:
        """Cuts off what stands behind the last whole part."""
        for name, kind in self._kinds.items():
            sizes = {"values": self._totals[name] * kind.size, "ends": 8 * self._rows if kind.is_ragged else 0}
            for what, size in sizes.items():
                file = _file(self._folder, name, what)
                if _size(file) < size:
                    raise _damaged(file, size)
                if file.exists():
                    os.truncate(file, size)


def is_complete(folder: Path) -> bool:
    """Whether a folder has a map that was finished."""
    return (folder / MANIFEST).exists() and not (folder / _PARTS).exists()


def open_map(folder: Path) -> CorpusMap:
    """Maps the columns of a complete map; rows are read from the files when they are asked for.

    Raises:
        UserError: the manifest cannot be read, or a file has not the size that it says.
    """
    kinds, parts = _manifest(folder / MANIFEST)
    rows = sum(part.rows for part in parts)
    columns: dict[str, Column] = {}
    for name, kind in kinds.items():
        count = sum(part.values[name] for part in parts)
        values = _mapped(_file(folder, name, "values"), kind.dtype, (count, *kind.shape))
        columns[name] = values
        if kind.is_ragged:
            columns[name] = Ragged(values, _mapped(_file(folder, name, "ends"), "<i8", (rows,)))
    return CorpusMap(folder, columns, [(part.rows, part.about) for part in parts], [part.hashes for part in parts])


def check(corpus: CorpusMap) -> None:
    """Compares all bytes of a map with the hashes of its manifest, on all cores.

    Raises:
        UserError: names the first column and rows that are not what was written.
    """
    ends = itertools.accumulate(rows for rows, _ in corpus.parts)
    spans = [(end - rows, end) for end, (rows, _) in zip(ends, corpus.parts, strict=True)]
    with ThreadPoolExecutor(available_cores()) as pool:
        found = pool.map(lambda *of: _wrong(corpus, *of), spans, corpus.hashes)
        for (begin, end), name in zip(spans, found, strict=True):
            if name is not None:
                raise UserError(
                    f"{corpus.folder}: {name}: rows {begin + 1:,} to {end:,} were changed since they were written; "
                    f"{_advice(corpus.folder)}"
                )


def _wrong(corpus: CorpusMap, span: tuple[int, int], hashes: Mapping[str, str]) -> str | None:
    """The first column that is not what it was in some rows."""
    begin, end = span
    for name, column in corpus.columns.items():
        if _hash(column[begin:end]) != hashes[name]:
            return name
    return None


def _hash(column: Column) -> str:
    digest = hashlib.sha256()
    arrays = (column.values, column.ends) if isinstance(column, Ragged) else (column,)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _count(column: Column) -> int:
    return len(column.values if isinstance(column, Ragged) else column)


def _file(folder: Path, name: str, what: str) -> Path:
    return folder / f"{name}.{what}"


def _append(path: Path, content: np.ndarray | bytes) -> None:
    try:
        with path.open("ab") as file:
            file.write(content if isinstance(content, bytes) else np.ascontiguousarray(content).data)
    except OSError as error:
        error.filename = str(path)  # Python names the files that it cannot open, and not those that it cannot write.
        raise


def _mapped(path: Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64))
    if _size(path) != size:
        raise _damaged(path, size)
    # Nothing can be mapped of an empty file.
    return np.memmap(path, dtype, "r", shape=shape) if size else np.zeros(shape, dtype)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _damaged(path: Path, size: int) -> UserError:
    there = f"{_size(path):,} bytes, but it was written with {size:,}" if path.exists() else "it is missing"
    return UserError(f"{path}: {there}; {_advice(path.parent)}")


def _advice(folder: Path) -> str:
    return f"delete {folder}, and it is made again"


def _journal(path: Path) -> tuple[dict[str, _Kind], list[_Written]]:
    """The columns and parts of a map that is not complete."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    whole = [line for line in lines if line.endswith("\n")]
    if len(whole) < len(lines):  # The last line was being written.
        atomic_write(path, lambda new: new.write_text("".join(whole), encoding="utf-8"))
    if not whole:
        return {}, []
    try:
        first, *others = map(json.loads, whole)
        return _kinds(first), [_Written(**part) for part in others]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"{path}: damaged, or of another version; {_advice(path.parent)}") from None


def _manifest(path: Path) -> tuple[dict[str, _Kind], list[_Written]]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        content = known["content"]
        if known["sha256"] == _hash_of_manifest(content):
            return _kinds(content), [_Written(**part) for part in content["parts"]]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; {_advice(path.parent)}") from None
    except (ValueError, TypeError, KeyError):
        pass
    raise UserError(f"{path}: damaged, or of another version; {_advice(path.parent)}")


def _hash_of_manifest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _head(kinds: Mapping[str, _Kind]) -> dict[str, Any]:
    return {"format": _FORMAT, "columns": {name: vars(kind) for name, kind in kinds.items()}}


def _kinds(head: Mapping[str, Any]) -> dict[str, _Kind]:
    """The columns that `_head` has; a `ValueError` if another version wrote it."""
    if head["format"] != _FORMAT:
        raise ValueError(head["format"])
    return {
        name: _Kind(kind["dtype"], tuple(kind["shape"]), kind["is_ragged"]) for name, kind in head["columns"].items()
    }
