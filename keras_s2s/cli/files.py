"""Files that a command reads and writes."""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from keras_s2s.errors import UserError


def open_file(path: Path, mode: Literal["rb", "wb", "ab"]) -> BinaryIO:
    """Opens a file.

    Raises:
        UserError: it cannot be opened.
    """
    try:
        return path.open(mode)
    except OSError as error:
        deed = "read" if mode == "rb" else "written"
        raise UserError(f"{path}: cannot be {deed}: {error.strerror}; check the name") from None


def utf8_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """The lines of `file`, read in the thread that asks for them, as soon as they are there.

    Raises:
        UserError: a line is not UTF-8.
    """
    with file:
        for number, line in enumerate(file, start=1):
            try:
                yield (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode()
            except UnicodeDecodeError:
                raise UserError(f"{name}: line {number}: not UTF-8; convert it to UTF-8") from None
