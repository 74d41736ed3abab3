"""Files of lines, plain or compressed by gzip: how they are read, and how a text is made a line of one."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from io import BufferedReader
from typing import IO

from keras_s2s.errors import UserError

GZIP = ".gz"

_MAGIC = b"\x1f\x8b"  # No text in UTF-8 begins so.
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_ESCAPES = {ord(end): end.encode("unicode_escape").decode() for end in _LINE_ENDS}


@contextlib.contextmanager
def unpacked(file: BufferedReader, name: str, where: str | None = None) -> Iterator[IO[bytes]]:
    """The content of a file, while the block lasts; the file is closed then.

    A file is compressed if it begins as gzip's do, whatever its name. One whose name ends in `.gz` must be.

    Args:
        file: opened for reading, at its beginning.
        name: of the file.
        where: names the file in messages; its name without.

    Raises:
        UserError: what should be compressed is not, or is damaged or cut short; or the file cannot be read.
    """
    try:
        with file:
            is_packed = file.peek(len(_MAGIC)).startswith(_MAGIC)
            if name.endswith(GZIP) and not is_packed:
                raise gzip.BadGzipFile
            content: IO[bytes] = gzip.GzipFile(fileobj=file) if is_packed else file  # type: ignore[assignment]
            yield content
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UserError(f"{where or name}: not a gzip file, or cut short; compress it again") from None


def lines_of(file: BufferedReader, name: str) -> Iterator[bytes]:
    r"""The lines of a file, each with its \n, as soon as they are there; see `unpacked`."""
    with unpacked(file, name) as content:
        yield from content


def as_line(text: str) -> str:
    r"""Writes each character that ends a line, to Python or to Unicode, as Python writes it: \n, \r, \x0b, \u2028.

    All others stay, the backslash too.
    """
    return text.translate(_ESCAPES)
