"""Data files: which ones a pattern means, and their content."""

import codecs
import glob
import os
from pathlib import Path

from keras_s2s.errors import UserError
from keras_s2s.text.files import unpacked

Location = str | os.PathLike[str]


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


def read_lines(path: Location) -> list[str]:
    r"""Reads the lines of a UTF-8 file, plain or compressed by gzip.

    Only \n and \r\n end a line: other characters that Unicode calls line ends are text.

    Raises:
        UserError: the file cannot be read, or a line (named by number) is not UTF-8.
    """
    return lines_of(read_text(path))


def lines_of(text: str) -> list[str]:
    """The lines of a text, as `read_lines` has them."""
    lines = text.replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def read_text(path: Location, where: str | None = None) -> str:
    """Reads a UTF-8 file, or a gzip file by the suffix `.gz`, without its byte order mark.

    Args:
        path: of the file.
        where: names the file in an error; its path without.

    Raises:
        UserError: the file cannot be read, or a line (named by number) is not UTF-8.
    """
    where = where or str(path)
    content = _read(Path(path), where).removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{where}: line {number}: not UTF-8; convert the file to UTF-8") from None


def _read(path: Path, where: str) -> bytes:
    try:
        with unpacked(path.open("rb"), str(path), where) as file:
            return file.read()
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}; check the name") from None
