"""Parallel text from text files.

Each reader takes a file, one compressed by gzip, xz or zstd, or a pattern of several (`part-*.tsv.gz`).
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import ClassVar

from pydantic import PositiveInt

from keras_s2s.config import Config
from keras_s2s.data.files import LINES, Lines, Location, at_least_one, matching, pieces, read_lines
from keras_s2s.data.pairs import Block, Pairs, join
from keras_s2s.data.readers import READERS, BlocksReader, Surroundings
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
class TSVReader(BlocksReader):
    """Lines `source TAB target`, see `read_tsv`.

    Args:
        tsv: the file, or a pattern of several.
        columns: where source and target stand, if there are more.
    """

    key: ClassVar[str] = "tsv"
    tsv: str
    columns: ColumnsConfig | None = None

    def blocks(self, around: Surroundings, size: int) -> Iterator[Block]:
        """Cuts the files into blocks of lines."""
        columns = None if self.columns is None else Columns(**self.columns.model_dump())
        return tsv_blocks(around.place(self.tsv), columns, size)

    def files(self, around: Surroundings) -> Sequence[Path]:
        """Those that match."""
        return matching(around.place(self.tsv))


@READERS.register
class LinesReader(BlocksReader):
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

    def blocks(self, around: Surroundings, size: int) -> Iterator[Block]:
        """Cuts the files into blocks of lines that belong together."""
        source, target, weights = (
            None if name is None else around.place(name) for name in (self.source, self.target, self.weights)
        )
        assert target is not None
        blocks = target_blocks(target, size) if source is None else parallel_blocks(source, target, size)
        return blocks if weights is None else _with_weights(blocks, weights, target, size)

    def files(self, around: Surroundings) -> Sequence[Path]:
        """Those that match, sources first, then targets, then weights."""
        names = [name for name in (self.source, self.target, self.weights) if name is not None]
        return [file for name in names for file in matching(around.place(name))]


@dataclass(frozen=True)
class TSVBlock:
    """Lines of a TSV file, not decoded yet; `columns` as for `read_tsv`."""

    lines: Lines
    columns: Columns | None

    def pairs(self) -> Pairs:
        """Decodes and splits the lines; errors as those of `read_tsv`."""
        return self._of_two_columns() if self.columns is None else self._of_columns(self.columns)

    def _of_two_columns(self) -> Pairs:
        # To split one long text takes half the time of many short ones, so the TABs of each line are checked apart.
        text = self.lines.text().replace("\r\n", "\n").removesuffix("\n")
        marks = self.lines.content.translate(None, _NO_MARKS).removesuffix(b"\n")
        if marks != b"\n".join([b"\t"] * self.lines.count):
            row, tabs = next((row, len(tabs)) for row, tabs in enumerate(marks.split(b"\n")) if tabs != b"\t")
            raise UserError(f"{self.lines.place(row)}: {tabs} TABs; expected source TAB target")
        fields = text.replace("\n", "\t").split("\t")
        return Pairs(fields[0::2], fields[1::2])

    def _of_columns(self, columns: Columns) -> Pairs:
        rows = [line.split("\t") for line in self.lines.texts()]
        last = max(columns.source, columns.target, columns.weight or 0)
        for row, fields in enumerate(rows):
            if len(fields) < last:
                place = self.lines.place(row)
                raise UserError(f"{place}: {len(fields)} columns; expected {last} or more, with TABs between them")
        weights = None
        if columns.weight is not None:
            weights = [number(fields[columns.weight - 1], self.lines.place(row)) for row, fields in enumerate(rows)]
        return Pairs([row[columns.source - 1] for row in rows], [row[columns.target - 1] for row in rows], weights)


@dataclass(frozen=True)
class ParallelBlock:
    """As many lines of a file of sources as of one of targets, not decoded yet; without `sources`, these are empty."""

    sources: Lines | None
    targets: Lines

    def pairs(self) -> Pairs:
        """Decodes the lines; errors as those of `read_pairs`."""
        sources = [""] * self.targets.count if self.sources is None else self.sources.texts()
        return Pairs(sources, self.targets.texts())


@dataclass(frozen=True)
class WeightedBlock:
    """A block, and the lines with the weights of its pairs."""

    block: ParallelBlock
    weights: Sequence[Lines]

    def pairs(self) -> Pairs:
        """Decodes both; errors as those of `read_pairs` and `read_weights`."""
        weights = [weight for lines in self.weights for weight in _weights(lines)]
        return dataclasses.replace(self.block.pairs(), weights=weights)


def read_pairs(source: Location, target: Location) -> Pairs:
    """Reads two files of equally many lines; of two patterns, the files in the order of their names.

    Raises:
        UserError: as `read_lines`; the files differ in their number of lines, or have none; or as many files do not
            match one pattern as the other.
    """
    return join([block.pairs() for block in parallel_blocks(source, target)])


def parallel_blocks(source: Location, target: Location, size: int = LINES) -> Iterator[ParallelBlock]:
    """The blocks of `size` pairs that `read_pairs` reads."""
    source_files, target_files = matching(source), matching(target)
    if len(source_files) != len(target_files):
        raise UserError(
            f"{source} matches {len(source_files)} files and {target} {len(target_files)}; give each its translation"
        )
    for one, other in zip(source_files, target_files, strict=True):
        yield from side_by_side(pieces(one, size), pieces(other, size), str(one), str(other))


def side_by_side(
    sources: Iterator[Lines], targets: Iterator[Lines], source: str, target: str
) -> Iterator[ParallelBlock]:
    """Puts pieces of two files together.

    Args:
        sources: of one file, each of as many lines as the piece of the other.
        targets: of the other.
        source: names one in errors.
        target: names the other.

    Raises:
        UserError: one file has more lines than the other, or both have none.
    """
    lines = 0
    for one, other in zip_longest(sources, targets):
        counts = [0 if piece is None else piece.count for piece in (one, other)]
        if one is None or other is None or one.count != other.count:
            of_source, of_target = (
                lines + count + sum(piece.count for piece in rest)
                for count, rest in zip(counts, (sources, targets), strict=True)
            )
            raise UserError(
                f"{source} has {of_source} lines and {target} has {of_target}; "
                "line N of one must be the translation of line N of the other"
            )
        lines += one.count
        yield ParallelBlock(one, other)
    if not lines:
        raise UserError(f"{source}: no lines; give at least one")


def target_blocks(target: Location, size: int = LINES) -> Iterator[ParallelBlock]:
    """Blocks of `size` targets without sources."""
    for file in matching(target):
        for lines in at_least_one(pieces(file, size), str(file)):
            yield ParallelBlock(None, lines)


def read_tsv(path: Location, columns: Columns | None = None) -> Pairs:
    """Reads files of lines `source TAB target`.

    Args:
        path: a file or a pattern.
        columns: where source and target stand among more columns; without it, there are these two.

    Raises:
        UserError: as `read_lines`; a line (named by number) has other columns, or there are no lines.
    """
    return join([block.pairs() for block in tsv_blocks(path, columns)])


def tsv_blocks(path: Location, columns: Columns | None = None, size: int = LINES) -> Iterator[TSVBlock]:
    """The blocks of `size` pairs that `read_tsv` reads."""
    for file in matching(path):
        for lines in at_least_one(pieces(file, size), str(file)):
            yield TSVBlock(lines, columns)


def read_weights(path: Location) -> list[float]:
    """Reads example weights, one a line.

    Raises:
        UserError: as `read_lines`; a line (named by number) is no finite number above 0.
    """
    return [weight for file in matching(path) for lines in pieces(file, LINES) for weight in _weights(lines)]


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


def _weights(lines: Lines) -> list[float]:
    return [number(text, lines.place(row)) for row, text in enumerate(lines.texts())]


def _with_weights(
    blocks: Iterator[ParallelBlock], weights: Location, target: Location, size: int
) -> Iterator[WeightedBlock]:
    """Blocks with their weights, which may be in other files, or in more or fewer."""
    queue = _Queue(lines for file in matching(weights) for lines in pieces(file, size))
    pairs = 0
    for block in blocks:
        taken = queue.take(block.targets.count)
        pairs += block.targets.count
        if (missing := block.targets.count - sum(lines.count for lines in taken)) > 0:
            pairs_in_all = pairs + sum(later.targets.count for later in blocks)
            raise _unequal(weights, pairs - missing, target, pairs_in_all)
        yield WeightedBlock(block, taken)
    if more := queue.left():
        raise _unequal(weights, pairs + more, target, pairs)


def _unequal(weights: Location, lines: int, target: Location, pairs: int) -> UserError:
    return UserError(f"{weights} has {lines} lines and {target} has {pairs}; give each pair one weight")


class _Queue:
    """Pieces of lines, from which as many lines are taken as are needed."""

    def __init__(self, waiting: Iterator[Lines]) -> None:
        self._waiting = waiting
        self._first: Lines | None = None

    def take(self, count: int) -> list[Lines]:
        """The next lines; fewer where they end."""
        taken: list[Lines] = []
        while count and (piece := self._first or next(self._waiting, None)):
            self._first = None
            if piece.count > count:
                piece, self._first = piece.split(count)
            taken.append(piece)
            count -= piece.count
        return taken

    def left(self) -> int:
        """Takes all that are left, and counts them."""
        first = 0 if self._first is None else self._first.count
        return first + sum(piece.count for piece in self._waiting)


_NO_MARKS = bytes(set(range(256)) - set(b"\t\n"))
