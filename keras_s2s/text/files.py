"""Files of lines, plain or compressed: how they are read, and how a text is made a line of one."""

import contextlib
import gzip
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader
from typing import IO, NamedTuple

from keras_s2s.errors import UserError

_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_ESCAPES = {ord(end): end.encode("unicode_escape").decode() for end in _LINE_ENDS}


class _Packing(NamedTuple):
    """A way to compress files.

    Attributes:
        kind: what such a file is.
        suffix: with which its name usually ends.
        magic: how it begins; no text in UTF-8 does.
        open: makes its content of it, and says which errors a damaged one raises.
    """

    kind: str
    suffix: str
    magic: re.Pattern[bytes]
    open: Callable[[BufferedReader], tuple[IO[bytes], tuple[type[Exception], ...]]]


def _gzip(file: BufferedReader) -> tuple[IO[bytes], tuple[type[Exception], ...]]:
    return gzip.GzipFile(fileobj=file), (EOFError, gzip.BadGzipFile, zlib.error)  # type: ignore[return-value]


def _xz(file: BufferedReader) -> tuple[IO[bytes], tuple[type[Exception], ...]]:
    return lzma.LZMAFile(file), (EOFError, lzma.LZMAError)


def _zstd(file: BufferedReader) -> tuple[IO[bytes], tuple[type[Exception], ...]]:
    from backports import zstd

    return zstd.ZstdFile(file), (EOFError, zstd.ZstdError)  # type: ignore[return-value]


_PACKINGS = (
    _Packing("a gzip file", ".gz", re.compile(rb"\x1f\x8b"), _gzip),
    _Packing("an xz file", ".xz", re.compile(rb"\xfd7zXZ"), _xz),
    # What pzstd writes begins with a frame that is skipped.
    _Packing("a zstd file", ".zst", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), _zstd),
)
_LONGEST_MAGIC = 5

SUFFIXES = tuple(packing.suffix for packing in _PACKINGS)
"""With which the names of compressed files end."""


def without_suffix(name: str) -> str:
    """The name that a file had before it was compressed."""
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


@contextlib.contextmanager
def unpacked(file: BufferedReader, name: str, where: str | None = None) -> Iterator[IO[bytes]]:
    """The content of a file, while the block lasts; the file is closed then.

    A file is compressed if it begins as those of gzip, xz or zstd do, whatever its name. One whose name ends in one of
    `SUFFIXES` must be.

    Args:
        file: opened for reading, at its beginning.
        name: of the file.
        where: names the file in messages; its name without.

    Raises:
        UserError: what should be compressed is not, or is damaged or cut short; or the package that unpacks it is not
            installed.
    """
    with file:
        packing = _packing(file, name, where or name)
        if packing is None:
            yield file
            return
        try:
            content, damages = packing.open(file)
        except ImportError:
            raise UserError(
                f"{where or name}: reading {packing.kind} needs a package more; pip install backports.zstd"
            ) from None
        try:
            yield content
        except damages:
            raise _damaged(packing, where or name) from None


def _packing(file: BufferedReader, name: str, where: str) -> _Packing | None:
    start = file.peek(_LONGEST_MAGIC)
    for packing in _PACKINGS:
        if packing.magic.match(start):
            return packing
    for packing in _PACKINGS:
        if name.endswith(packing.suffix):
            raise _damaged(packing, where)
    return None


def _damaged(packing: _Packing, where: str) -> UserError:
    return UserError(f"{where}: not {packing.kind}, or cut short; compress it again")


def lines_of(file: BufferedReader, name: str) -> Iterator[bytes]:
    r"""The lines of a file, each with its \n, as soon as they are there; see `unpacked`."""
    with unpacked(file, name) as content:
        yield from content


def as_line(text: str) -> str:
    r"""Writes each character that ends a line, to Python or to Unicode, as Python writes it: \n, \r, \x0b, \u2028.

    All others stay, the backslash too.
    """
    return text.translate(_ESCAPES)
