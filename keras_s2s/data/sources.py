"""Parallel text from files."""

import codecs
import gzip
import os
import zlib
from pathlib import Path

from keras_s2s.data.pairs import Pairs
from keras_s2s.errors import UserError

Location = str | os.PathLike[str]


def read_lines(path: Location) -> list[str]:
    r"""Reads the lines of a UTF-8 file, or of a gzip file by the suffix `.gz`.

    Only \n and \r\n end a line: other characters that Unicode calls line ends are text.

    Raises:
        UserError: the file cannot be read, or a line (named by number) is not UTF-8.
    """
    content = _read(Path(path)).removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}: line {number}: not UTF-8; convert the file to UTF-8") from None
    lines = text.replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def read_pairs(source: Location, target: Location) -> Pairs:
    """Reads two files of equally many lines.

    Raises:
        UserError: as `read_lines`; the files differ in their number of lines, or have none.
    """
    sources, targets = read_lines(source), read_lines(target)
    if len(sources) != len(targets):
        raise UserError(
            f"{source} has {len(sources)} lines and {target} has {len(targets)}; "
            "line N of one must be the translation of line N of the other"
        )
    if not sources:
        raise UserError(f"{source}: no lines; give a file with at least one")
    return Pairs(sources, targets)


def read_tsv(path: Location) -> Pairs:
    """Reads a file of lines `source TAB target`.

    Raises:
        UserError: as `read_lines`; a line (named by number) has not exactly one TAB, or there are no lines.
    """
    rows = [line.split("\t") for line in read_lines(path)]
    if not rows:
        raise UserError(f"{path}: no lines; give a file with at least one")
    for number, row in enumerate(rows, start=1):
        if len(row) != 2:
            raise UserError(f"{path}: line {number}: {len(row) - 1} TABs; expected source TAB target")
    return Pairs([source for source, _ in rows], [target for _, target in rows])


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; check the name") from None
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UserError(f"{path}: not a gzip file, or cut short; compress it again") from None
