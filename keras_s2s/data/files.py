"""Data files: which ones a pattern means, and their lines, a piece after the other."""

import codecs
import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

import numpy as np

from keras_s2s.errors import UserError
from keras_s2s.text.files import unpacked

Location = str | os.PathLike[str]
Found = TypeVar("Found")

LINES = 10_000
"""How many lines are decoded at once where nobody asks for another number."""

_BYTES = 1 << 20
_LINE_FEED = ord("\n")


def matching(pattern: Location) -> list[Path]:
    """The file of that name, or, of a pattern with `*`, `?`, `[...]` or `**`, all that match, sorted by name.

    Raises:
        UserError: no file matches.
    """
    if Path(pattern).exists() or not glob.has_magic(os.fspath(pattern)):
        return [Path(pattern)]
    found = sorted(glob.glob(os.fspath(pattern), recursive=True))
    if not found:
        raise UserError(f"{pattern}: no file matches; check the pattern")
    return [Path(path) for path in found]


@dataclass(frozen=True)
class Lines:
    r"""Lines of a file that follow each other, not decoded yet.

    Attributes:
        content: their bytes; each line ends with \n, but for the last one of a file.
        where: names the file in errors.
        first: the number of the first one, from 1.
        count: how many there are.
    """

    content: bytes
    where: str
    first: int
    count: int

    def text(self) -> str:
        """Decodes the lines.

        Raises:
            UserError: a line (named by number) is not UTF-8.
        """
        try:
            return self.content.decode("utf-8")
        except UnicodeDecodeError as error:
            number = self.first + self.content.count(b"\n", 0, error.start)
            raise UserError(f"{self.where}: line {number}: not UTF-8; convert the file to UTF-8") from None

    def texts(self) -> list[str]:
        """The lines, as `read_lines` has them; errors as those of `text`."""
        return lines_of(self.text())

    def place(self, row: int) -> str:
        """Names one of the lines in an error; `row` counts them from 0."""
        return f"{self.where}: line {self.first + row}"

    def split(self, count: int) -> tuple["Lines", "Lines"]:
        """The first `count` lines, and the others; there are more than `count`."""
        ends = np.flatnonzero(np.frombuffer(self.content, np.uint8) == _LINE_FEED)
        cut = int(ends[count - 1]) + 1
        return (
            Lines(self.content[:cut], self.where, self.first, count),
            Lines(self.content[cut:], self.where, self.first + count, self.count - count),
        )


def pieces(path: Location, size: int, where: str | None = None) -> Iterator[Lines]:
    """Reads a file, plain or compressed (see `text.files.unpacked`), without its byte order mark.

    Args:
        path: of the file.
        size: lines of each piece; the last one may have less.
        where: names the file in an error; its path without.

    Raises:
        UserError: the file cannot be read, or is damaged or cut short.
    """
    where = where or str(path)
    try:
        with unpacked(Path(path).open("rb"), str(path), where) as file:
            yield from cut(file, size, where)
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror or error}; check the name") from None


def cut(file: IO[bytes], size: int, where: str) -> Iterator[Lines]:
    """Cuts an open file into pieces, see `pieces`.

    Lines are not looked at one by one: of many bytes at once it is found where they end.
    """
    held: list[bytes] = []
    first, count = 1, 0  # The number of the first line that is held, and how many are there with their ends.
    chunk = file.read(_BYTES).removeprefix(codecs.BOM_UTF8)
    while chunk:
        ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == _LINE_FEED)
        start = 0
        for end in (ends[size - count - 1 :: size] + 1).tolist():
            yield Lines(b"".join((*held, chunk[start:end])), where, first, size)
            held, start, first = [], end, first + size
        count = (count + len(ends)) % size
        held.append(chunk[start:])
        chunk = file.read(_BYTES)
    content = b"".join(held)
    if content:
        yield Lines(content, where, first, count + (not content.endswith(b"\n")))


def at_least_one(found: Iterable[Found], where: str, what: str = "line") -> Iterator[Found]:
    """What was found.

    Raises:
        UserError: nothing was found; names the file, and what one is called.
    """
    count = 0
    for count, one in enumerate(found, start=1):  # noqa: B007
        yield one
    if not count:
        raise UserError(f"{where}: no {what}s; give at least one")


def stream_lines(path: Location, where: str | None = None) -> Iterator[str]:
    r"""Reads the lines of a UTF-8 file, plain or compressed by gzip, xz or zstd, in little memory.

    Only \n and \r\n end a line: other characters that Unicode calls line ends are text.

    Args:
        path: of the file.
        where: names the file in an error; its path without.

    Raises:
        UserError: the file cannot be read, or a line (named by number) is not UTF-8.
    """
    for piece in pieces(path, LINES, where):
        yield from piece.texts()


def read_lines(path: Location) -> list[str]:
    """Reads the lines of a file, see `stream_lines`."""
    return list(stream_lines(path))


def lines_of(text: str) -> list[str]:
    """The lines of a text, as `read_lines` has them."""
    lines = text.replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]
