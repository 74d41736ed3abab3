"""Whether an audio file is whole: what its header announces, and what there is.

libsndfile reads as many samples as there are, and says nothing where the header announces more. Its log does, in words
that differ from format to format, and not for all of them; so the headers are read here.
"""

import io
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from keras_s2s.errors import UserError

_UNKNOWN_FRAMES = (1 << 63) - 1
"""The length that libsndfile gives for a FLAC file without one."""


def whole(path: Path) -> Path | io.BytesIO:
    """An audio file that can be read: itself or, if its header has no size of the samples, a copy that has it.

    Looks at the headers of WAV (RIFF, RIFX, RF64 and W64), AIFF, AIFC, 8SVX, AU, CAF and SPHERE; every other file is
    taken as it is.

    Raises:
        OSError: the file cannot be read.
        UserError: fewer bytes of samples are there than its header announces, or its header stands in it twice.
    """
    with path.open("rb") as file:
        magic = file.read(4)
        reader = _READERS.get(magic)
        try:
            samples = reader(file) if reader else None
        except (struct.error, ValueError, OverflowError):
            samples = None  # libsndfile says what is wrong with the header.
        if samples is None:
            return path
        file.seek(samples.start)
        if file.read(4) == magic:
            raise UserError(f"{path}: its header stands in it twice, as SoX writes it to a pipe; write it to a file")
    if samples.size is None:
        return _with_size(path, samples)
    if samples.present < samples.size:
        raise _cut_short(path, f"{samples.present} of {samples.size} bytes of samples")
    return path


def check_frames(path: Path, kind: str, announced: int, count: int) -> None:
    """Compares what libsndfile knows of a file's length with what it has read.

    Args:
        path: of the file.
        kind: the name of its format, as soundfile has it.
        announced: how many frames libsndfile announces. It guesses for MP3 without a tag that counts frames, and gives
            its largest number for FLAC without a length.
        count: how many it has read.

    Raises:
        UserError: there are fewer, or an Ogg file does not end with the last page of a stream.
    """
    guessed = announced == _UNKNOWN_FRAMES or (kind == "MP3" and not _counts_mp3_frames(path))
    if count < announced and not guessed:
        raise _cut_short(path, f"{count} of {announced} samples")
    if kind == "OGG" and not _ends_ogg(path):
        raise _cut_short(path, "its last page is missing")


def _cut_short(path: Path, what: str) -> UserError:
    return UserError(f"{path}: cut short: {what}; copy this file again")


@dataclass(frozen=True)
class _Samples:
    """The samples of a file, as its header has them.

    Attributes:
        start: the byte at which they begin.
        size: of them, in bytes; None if the program that wrote the header did not know it yet.
        present: how many bytes there are from `start` on.
        field: where the size stands: the byte, the form of the number (as in `struct`), and how many bytes more than
            the samples it counts.
    """

    start: int
    size: int | None
    present: int
    field: tuple[int, str, int]


def _with_size(path: Path, samples: _Samples) -> io.BytesIO:
    offset, form, more = samples.field
    content = bytearray(path.read_bytes())
    largest = (1 << 8 * struct.calcsize(form)) - 1
    struct.pack_into(form, content, offset, min(samples.present + more, largest))
    return io.BytesIO(content)


def _riff(file: BinaryIO) -> _Samples | None:
    """WAV, of 32-bit sizes or, as RF64, with 64-bit sizes in the chunk `ds64`."""
    file.seek(0)
    order = ">" if file.read(4) == b"RIFX" else "<"
    (length,) = _unpack(file, 4, f"{order}I")
    large: tuple[int, int, int] | None = None
    for name, start, size in _chunks(file, 12, f"{order}4sI", align=2):
        if name == b"ds64":
            large = (*_unpack(file, start, "<QQ"), start)
        if name == b"data" and large is not None and size == 0xFFFFFFFF:
            length, size, place = large
            return _samples(file, start, size, (place + 8, "<Q", 0), 8 + length)
        if name == b"data":
            return _samples(file, start, size, (start - 4, f"{order}I", 0), 8 + length)
    return None


def _wave64(file: BinaryIO) -> _Samples | None:
    """Sony's WAVE64: names of 16 bytes, whose first four are those of RIFF, and sizes that count their own header."""
    (length,) = _unpack(file, 16, "<Q")
    for name, start, size in _chunks(file, 40, "<16sQ", align=8, counted=24):
        if name[:4] == b"data":
            return _samples(file, start, size, (start - 8, "<Q", 24), length)
    return None


def _iff(file: BinaryIO) -> _Samples | None:
    """AIFF and AIFC, whose samples follow an offset and a size of blocks; and Amiga's 8SVX."""
    (length,) = _unpack(file, 4, ">I")
    for name, start, size in _chunks(file, 12, ">4sI", align=2):
        if name == b"SSND":
            return _samples(file, start + 8, max(0, size - 8), (start - 4, ">I", 8), 8 + length)
        if name == b"BODY":
            return _samples(file, start, size, (start - 4, ">I", 0), 8 + length)
    return None


def _caf(file: BinaryIO) -> _Samples | None:
    """Apple's CAF, whose samples follow a count of edits; a size of -1 says that they go on to the end."""
    for name, start, size in _chunks(file, 8, ">4sQ", align=1):
        if name == b"data":
            return _samples(file, start + 4, max(0, size - 4), (start - 8, ">Q", 4))
    return None


def _au(file: BinaryIO) -> _Samples | None:
    """Sun's AU, whose size may be said to be unknown; with another first word its numbers begin with the low byte."""
    file.seek(0)
    order = "<" if file.read(4) == b"dns." else ">"
    start, size = _unpack(file, 4, f"{order}II")
    return _samples(file, start, size, (8, f"{order}I", 0), 0)


def _sphere(file: BinaryIO) -> _Samples | None:
    """SPHERE: lines of `name -TYPE value`, with the length of the header in the second line."""
    file.seek(8)
    start = int(file.read(8))
    file.seek(0)
    lines = [line.split() for line in file.read(start).split(b"\n")]
    values = {line[0]: line[2] for line in lines if len(line) == 3}
    if not {b"sample_count", b"sample_n_bytes"} <= values.keys():
        return None
    size = int(values[b"sample_count"]) * int(values[b"sample_n_bytes"]) * int(values.get(b"channel_count", 1))
    return _Samples(start, size, _length(file) - start, (0, "", 0))


_READERS: dict[bytes, Callable[[BinaryIO], _Samples | None]] = {
    b"RIFF": _riff,
    b"RIFX": _riff,
    b"RF64": _riff,
    b"riff": _wave64,
    b"FORM": _iff,
    b"caff": _caf,
    b".snd": _au,
    b"dns.": _au,
    b"NIST": _sphere,
}


def _ends_ogg(path: Path) -> bool:
    """Says whether the last page of an Ogg file is whole, and marked as the last one of a stream."""
    with path.open("rb") as file:
        file.seek(max(0, _length(file) - (1 << 17)))  # A page has at most 65,307 bytes.
        content = file.read()
    page = content.rfind(b"OggS")
    if page < 0 or len(content) < page + 27:
        return False
    lengths = content[page + 27 : page + 27 + content[page + 26]]
    there = len(content) - page - 27 - content[page + 26]
    return sum(lengths) <= there and bool(content[page + 5] & 4)


def _counts_mp3_frames(path: Path) -> bool:
    """Says whether an MP3 file begins with a tag (Xing, Info or VBRI) that has the number of its frames in it."""
    with path.open("rb") as file:
        head = file.read(10)
        # An ID3 tag comes before; its size has 7 bits in a byte.
        size = sum((byte & 0x7F) << 21 - 7 * n for n, byte in enumerate(head[6:10]))
        file.seek(10 + size if head[:3] == b"ID3" else 0)
        frame = file.read(64)
    place = max(frame.find(b"Xing"), frame.find(b"Info"))
    return frame[36:40] == b"VBRI" or (place >= 0 and bool(int.from_bytes(frame[place + 4 : place + 8], "big") & 1))


def _chunks(file: BinaryIO, place: int, form: str, align: int, counted: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """The chunks from a byte on: name, first byte of the content, and its size.

    A chunk's header is a name and a size, in the form `form`. The size counts `counted` bytes of the header, too, and
    chunks begin at multiples of `align`.
    """
    header = struct.calcsize(form)
    while True:
        name, size = _unpack(file, place, form)
        size = max(0, size - counted)
        yield name, place + header, size
        place += header + size
        place += -place % align


def _samples(file: BinaryIO, start: int, size: int, field: tuple[int, str, int], end: int = -1) -> _Samples:
    """The samples at a place, whose size may be missing. `end` is that of the whole file, by its header, or -1."""
    present = _length(file) - start
    bits = 8 * struct.calcsize(field[1])
    # A size of 0 is none, too, where samples follow behind what the header calls the end of the file.
    streamed = size == 0 and (0 <= end <= start or _is_none(end, bits)) and present > 0
    return _Samples(start, None if streamed or _is_none(size + field[2], bits) else size, present, field)


def _is_none(size: int, bits: int) -> bool:
    """Says whether a program that writes into a pipe gives this size, since it does not know the right one.

    It is the largest number, signed or not, or the next one below that makes whole blocks; SoX stays 16 MiB below.
    """
    return size >= (1 << bits) - (1 << 16) or -(1 << 24) <= size - (1 << bits - 1) <= 1 << 16


def _unpack(file: BinaryIO, place: int, form: str) -> tuple:
    file.seek(place)
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _length(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size
