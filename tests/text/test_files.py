"""Files of lines, and texts as lines."""

import gzip
import lzma
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from keras_s2s import UserError
from keras_s2s.data import read_lines
from keras_s2s.text.files import as_line, lines_of, unpacked

LINES = [b"abc\n", "ä\u2028b\rc\n".encode(), b"\n", b"no end"]
WHOLE = b"".join(LINES)
PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}
KINDS = {".gz": "a gzip file", ".xz": "an xz file", ".zst": "a zstd file"}


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("name", ["a.txt", "a", "a{}"])
def test_lines_of_a_compressed_file_whatever_its_name(tmp_path: Path, name: str, suffix: str) -> None:
    path, pack = tmp_path / name.format(suffix), PACK[suffix]
    path.write_bytes(pack(WHOLE[:5]) + pack(WHOLE[5:]))  # Two that were joined are one.
    assert list(lines_of(path.open("rb"), str(path))) == LINES


def test_a_zstd_file_that_begins_with_a_frame_to_skip(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x50\x2a\x4d\x18\x04\0\0\0skip" + zstd.compress(WHOLE))
    assert list(lines_of((tmp_path / "a").open("rb"), "a")) == LINES


@pytest.mark.parametrize("content", [WHOLE, b"", b"\x1f", b"\n"])
def test_lines_of_a_plain_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert b"".join(lines_of(path.open("rb"), str(path))) == content


def test_a_line_comes_as_soon_as_it_is_there() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as file:
        lines = lines_of(file, "pipe")
        for line in (b"\n", b"abc\n"):
            os.write(writing, line)
            assert next(lines) == line
        os.close(writing)
        assert list(lines) == []


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize(
    "break_",
    [
        lambda packed: b"",
        lambda packed: WHOLE,
        lambda packed: packed[:-3],
        lambda packed: packed[:12],
        lambda packed: packed + packed[:9],
    ],
    ids=["empty", "plain", "cut in its end", "cut in its text", "the next one is cut"],
)
def test_what_is_not_wholly_compressed(tmp_path: Path, break_: Callable[[bytes], bytes], suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(break_(PACK[suffix](WHOLE)))
    with pytest.raises(UserError, match=rf"a\{suffix}: not {KINDS[suffix]}, or cut short; compress it again$"):
        list(lines_of(path.open("rb"), str(path)))


def test_bytes_behind_a_gzip_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(PACK[".gz"](WHOLE) + b"more")
    with pytest.raises(UserError, match=r"^a: not a gzip file"):
        list(lines_of((tmp_path / "a").open("rb"), "a"))


def test_a_package_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(zstd.compress(WHOLE))
    monkeypatch.setitem(sys.modules, "backports", None)
    with pytest.raises(UserError, match=r"^a: reading a zstd file needs a package more; pip install backports\.zstd$"):
        list(lines_of((tmp_path / "a").open("rb"), "a"))


@pytest.mark.parametrize("suffix", PACK)
def test_a_damaged_one(tmp_path: Path, suffix: str) -> None:
    content = bytearray(PACK[suffix](os.urandom(5000)))
    content[len(content) // 2] ^= 255
    content[9] ^= 255
    (tmp_path / "a").write_bytes(content)
    message = f"^b: not {KINDS[suffix]}, or cut short"
    with pytest.raises(UserError, match=message), unpacked((tmp_path / "a").open("rb"), "a", "b") as file:
        file.read()


def test_files_are_closed(tmp_path: Path) -> None:
    for content in (WHOLE, *(pack(WHOLE) for pack in PACK.values())):
        (tmp_path / "a").write_bytes(content)
        with (tmp_path / "a").open("rb") as file:
            list(lines_of(file, "a"))
            assert file.closed


def test_every_end_of_a_line_is_escaped_and_nothing_else() -> None:
    every = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    line = as_line(every)
    assert len(line.splitlines()) == 1
    ends = [c for c in every if len(f"a{c}b".splitlines()) > 1]
    assert [as_line(end) for end in ends] == [
        r"\n", r"\x0b", r"\x0c", r"\r", r"\x1c", r"\x1d", r"\x1e", r"\x85", r"\u2028", r"\u2029",
    ]  # fmt: skip
    assert all(as_line(c) == c for c in set(every) - set(ends))
    assert as_line("a\\n\r\nb\t") == r"a\n\r\nb" + "\t"


def test_as_many_lines_are_read_as_were_written(tmp_path: Path) -> None:
    texts = ["a\nb", "", "c\r", "\r\n", "d\u2029", "\x85", "e"]
    path = tmp_path / "a"
    path.write_bytes("".join(f"{as_line(text)}\n" for text in texts).encode())
    assert read_lines(path) == [as_line(text) for text in texts]
    assert path.read_text("utf-8").splitlines() == [as_line(text) for text in texts]
