"""Pairs from zip files of the Moses format, as OPUS has them: two members of as many lines."""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from keras_s2s.data.files import LINES, Lines, Location, cut, matching
from keras_s2s.data.pairs import Block, Pairs, join
from keras_s2s.data.readers import READERS, BlocksReader, Surroundings
from keras_s2s.data.readers.text import ParallelBlock, side_by_side
from keras_s2s.errors import UserError


@READERS.register
class MosesReader(BlocksReader):
    """Zip files with a member for each language, see `read_moses`.

    Args:
        moses: the zip file, or a pattern of several.
        languages: with which the names of the members of sources and of targets end: `[de, en]`.
    """

    key: ClassVar[str] = "moses"
    together: ClassVar[tuple[str, ...]] = ("moses", "languages")
    moses: str
    languages: tuple[str, str]

    def blocks(self, around: Surroundings, size: int) -> Iterator[Block]:
        """Cuts the members into blocks of lines that belong together."""
        return moses_blocks(around.place(self.moses), self.languages, size)

    def files(self, around: Surroundings) -> Sequence[Path]:
        """Those that match."""
        return matching(around.place(self.moses))


def read_moses(path: Location, languages: tuple[str, str]) -> Pairs:
    """Reads zip files of two members, `NAME.SOURCE` and `NAME.TARGET`, whose lines N are translations of each other.

    Other members, as OPUS's `README`, `LICENSE` and `NAME.xml`, are not read. Nothing is unpacked to the disk.

    Args:
        path: a zip file, or a pattern.
        languages: `(SOURCE, TARGET)`.

    Raises:
        UserError: as `read_lines`; a file is no zip file, or damaged, encrypted or cut short; there is not one member
            for each language, or the two differ in their number of lines, or have none.
    """
    return join([block.pairs() for block in moses_blocks(path, languages)])


def moses_blocks(path: Location, languages: tuple[str, str], size: int = LINES) -> Iterator[ParallelBlock]:
    """The blocks of `size` pairs that `read_moses` reads."""
    for file in matching(path):
        try:
            with zipfile.ZipFile(file) as archive:
                source, target = (_member(archive, language, file) for language in languages)
                sources, targets = (_pieces(archive, name, file, size) for name in (source, target))
                yield from side_by_side(sources, targets, f"{file}: {source}", f"{file}: {target}")
        except (zipfile.BadZipFile, zlib.error, EOFError):
            raise UserError(f"{file}: not a zip file, or damaged or cut short; download it again") from None
        except (RuntimeError, NotImplementedError) as error:
            raise UserError(f"{file}: {error}; zip it again") from None
        except OSError as error:
            raise UserError(f"{file}: cannot be read: {error.strerror or error}; check the name") from None


def _member(archive: zipfile.ZipFile, language: str, path: Path) -> str:
    found = [name for name in archive.namelist() if name.endswith(f".{language}")]
    if len(found) != 1:
        names = ", ".join(archive.namelist()[:8])
        raise UserError(f"{path}: {len(found)} members end in .{language}; expected one, of: {names}")
    return found[0]


def _pieces(archive: zipfile.ZipFile, member: str, path: Path, size: int) -> Iterator[Lines]:
    with archive.open(member) as file:
        yield from cut(file, size, f"{path}: {member}")
