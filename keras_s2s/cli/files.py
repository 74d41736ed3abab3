"""Files that a command reads and writes."""

import codecs
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from keras_s2s.errors import UserError


def open_file(path: Path, mode: Literal["rb", "wb", "ab", "a+b"]) -> BinaryIO:
    """Opens a file.

    Raises:
        UserError: it cannot be opened.
    """
    try:
        return path.open(mode)
    except OSError as error:
        deed = "read" if mode == "rb" else "written"
        raise UserError(f"{path}: cannot be {deed}: {error.strerror}; check the name") from None


@dataclass(frozen=True)
class Content:
    """What a file has: how many lines, and its SHA-256 in hexadecimal."""

    lines: int
    sha256: str


def content(path: Path) -> Content:
    """Reads a file once, as it is, in little memory.

    Raises:
        UserError: it cannot be opened.
    """
    digest, lines, last = hashlib.sha256(), 0, b"\n"
    with open_file(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            lines, last = lines + block.count(b"\n"), block[-1:]
    return Content(lines + (last != b"\n"), digest.hexdigest())


def utf8_lines(file: BinaryIO, name: str, first: int = 1) -> Iterator[str]:
    """The lines of `file`, read in the thread that asks for them, as soon as they are there.

    Args:
        file: it, or a part that begins with a line.
        name: of the whole, in messages.
        first: the number of the first line.

    Raises:
        UserError: a line is not UTF-8.
    """
    with file:
        for number, line in enumerate(file, first):
            try:
                yield (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode()
            except UnicodeDecodeError:
                raise UserError(f"{name}: line {number}: not UTF-8; convert it to UTF-8") from None
