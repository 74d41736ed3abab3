"""Parallel text from text files. Each reader takes a file, a gzip file, or a pattern of several (`part-*.tsv.gz`)."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from pydantic import PositiveInt

from keras_s2s.config import Config
from keras_s2s.data.files import Location, matching, read_lines
from keras_s2s.data.pairs import Pairs, join
from keras_s2s.data.readers import READERS, Reader, Surroundings
from keras_s2s.errors import UserError

__all__ = ["Columns", "Location", "Pairs", "read_lines", "read_pairs", "read_tsv", "read_weights"]


@dataclass(frozen=True)
class Columns:
    """Columns of a TSV file, counted from 1.

    Attributes:
        weight: that of example weights, if there is one.
    """

    source: int = 1
    target: int = 2
    weight: int | None = None


class ColumnsConfig(Config):
    """`Columns` as a recipe says them."""

    source: PositiveInt = 1
    target: PositiveInt = 2
    weight: PositiveInt | None = None


@READERS.register
class TSVReader(Reader):
    """Lines `source TAB target`, see `read_tsv`.

    Args:
        tsv: the file, or a pattern of several.
        columns: where source and target stand, if there are more.
    """

    key: ClassVar[str] = "tsv"
    tsv: str
    columns: ColumnsConfig | None = None

    def read(self, around: Surroundings) -> Pairs:
        """Reads the lines."""
        columns = None if self.columns is None else Columns(**self.columns.model_dump())
        return read_tsv(around.place(self.tsv), columns)


@READERS.register
class LinesReader(Reader):
    """Two files of as many lines, see `read_pairs`, or the targets of a language model alone.

    Args:
        source: the file of sources, or a pattern of several; without it, all sources are empty.
        target: that of targets.
        weights: that of example weights, one a line.
    """

    key: ClassVar[str] = "target"
    together: ClassVar[tuple[str, ...]] = ("source", "target")
    source: str | None = None
    target: str
    weights: str | None = None

    @property
    def has_sources(self) -> bool:
        """Whether a file of sources is named."""
        return self.source is not None

    def read(self, around: Surroundings) -> Pairs:
        """Reads the lines."""
        if self.source is None:
            targets = read_lines(around.place(self.target))
            pairs = Pairs([""] * len(targets), targets)
        else:
            pairs = read_pairs(around.place(self.source), around.place(self.target))
        if self.weights is None:
            return pairs
        return dataclasses.replace(pairs, weights=read_weights(around.place(self.weights)))


def read_pairs(source: Location, target: Location) -> Pairs:
    """Reads two files of equally many lines; of two patterns, the files in the order of their names.

    Raises:
        UserError: as `read_lines`; the files differ in their number of lines, or have none; or as many files do not
            match one pattern as the other.
    """
    source_files, target_files = matching(source), matching(target)
    if len(source_files) != len(target_files):
        raise UserError(
            f"{source} matches {len(source_files)} files and {target} {len(target_files)}; give each its translation"
        )
    return join([_two_files(*files) for files in zip(source_files, target_files, strict=True)])


def read_tsv(path: Location, columns: Columns | None = None) -> Pairs:
    """Reads files of lines `source TAB target`.

    Args:
        path: a file or a pattern.
        columns: where source and target stand among more columns; without it, there are these two.

    Raises:
        UserError: as `read_lines`; a line (named by number) has other columns, or there are no lines.
    """
    return join([_tsv(file, columns) for file in matching(path)])


def read_weights(path: Location) -> list[float]:
    """Reads example weights, one a line.

    Raises:
        UserError: as `read_lines`; a line (named by number) is no finite number above 0.
    """
    files = matching(path)
    return [number(line, f"{file}: line {n}") for file in files for n, line in enumerate(read_lines(file), start=1)]


def number(text: str, where: str) -> float:
    """An example weight as it is written in a file.

    Raises:
        UserError: it is no finite number above 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise UserError(f"{where}: weight {text!r}: expected a finite number above 0")
    return value


def _two_files(source: Location, target: Location) -> Pairs:
    sources, targets = read_lines(source), read_lines(target)
    if len(sources) != len(targets):
        raise UserError(
            f"{source} has {len(sources)} lines and {target} has {len(targets)}; "
            "line N of one must be the translation of line N of the other"
        )
    if not sources:
        raise UserError(f"{source}: no lines; give a file with at least one")
    return Pairs(sources, targets)


def _tsv(path: Location, columns: Columns | None) -> Pairs:
    rows = [line.split("\t") for line in read_lines(path)]
    if not rows:
        raise UserError(f"{path}: no lines; give a file with at least one")
    chosen = columns or Columns()
    last = max(chosen.source, chosen.target, chosen.weight or 0)
    for line, row in enumerate(rows, start=1):
        if columns is None and len(row) != 2:
            raise UserError(f"{path}: line {line}: {len(row) - 1} TABs; expected source TAB target")
        if len(row) < last:
            raise UserError(f"{path}: line {line}: {len(row)} columns; expected {last} or more, with TABs between them")
    weights = None
    if chosen.weight is not None:
        weights = [number(row[chosen.weight - 1], f"{path}: line {line}") for line, row in enumerate(rows, start=1)]
    return Pairs([row[chosen.source - 1] for row in rows], [row[chosen.target - 1] for row in rows], weights)
