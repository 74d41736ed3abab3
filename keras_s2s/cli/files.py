"""Files that a command reads and writes."""

import codecs
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Literal

from keras_s2s.errors import UserError
from keras_s2s.text.files import SUFFIXES, lines_of, unpacked


def open_to_read(path: Path) -> BufferedReader:
    """Opens a file.

    Raises:
        UserError: it cannot be opened.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; check the name") from None


def open_to_write(path: Path, mode: Literal["wb", "ab", "a+b"]) -> BinaryIO:
    """Opens a file.

    Raises:
        UserError: it cannot be opened.
    """
    try:
        return path.open(mode)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}; check the name") from None


def check_plain(path: Path) -> None:
    """Looks at the name of an output.

    Raises:
        UserError: readers would take it for a compressed file.
    """
    if path.name.endswith(SUFFIXES):
        raise UserError(
            f"{path}: an output is plain text; choose a name without {path.suffix}, and compress it afterwards"
        )


@dataclass(frozen=True)
class Content:
    """The number of lines of a file, and its SHA-256 in hexadecimal."""

    lines: int
    sha256: str


def content(path: Path) -> Content:
    """Reads a file once, in little memory; of a compressed file, what is in it.

    Raises:
        UserError: it cannot be opened, or is a compressed file that is damaged or cut short.
    """
    digest, lines, last = hashlib.sha256(), 0, b"\n"
    with unpacked(open_to_read(path), str(path)) as file:
        while block := file.read(1 << 20):
            digest.update(block)
            lines, last = lines + block.count(b"\n"), block[-1:]
    return Content(lines + (last != b"\n"), digest.hexdigest())


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a text file, plain or compressed, one after the other.

    Raises:
        UserError: it cannot be opened, a line is not UTF-8, or a compressed file is damaged or cut short.
    """
    return utf8_lines(lines_of(open_to_read(path), str(path)), str(path))


def utf8_lines(lines: Iterable[bytes], name: str, first: int = 1) -> Iterator[str]:
    """Lines as text, read in the thread that asks for them, as soon as they are there.

    Args:
        lines: of a file, or of a part of it.
        name: of the file, in messages.
        first: the number of the first line.

    Raises:
        UserError: a line is not UTF-8.
    """
    for number, line in enumerate(lines, first):
        try:
            yield (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode()
        except UnicodeDecodeError:
            raise UserError(f"{name}: line {number}: not UTF-8; convert it to UTF-8") from None
