"""Files of lines, and texts as lines."""

import gzip
import os
from pathlib import Path

import pytest

from keras_s2s import UserError
from keras_s2s.data import read_lines
from keras_s2s.text.files import as_line, lines_of, unpacked

LINES = [b"abc\n", "ä\u2028b\rc\n".encode(), b"\n", b"no end"]
WHOLE = b"".join(LINES)


@pytest.mark.parametrize("name", ["a.txt", "a.gz", "a"])
def test_lines_of_a_gzip_file_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(WHOLE[:5]) + gzip.compress(WHOLE[5:]))  # Two that were joined are one.
    assert list(lines_of(path.open("rb"), str(path))) == LINES


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


@pytest.mark.parametrize(
    "content",
    [
        b"",
        WHOLE,
        gzip.compress(WHOLE, mtime=0)[:-3],
        gzip.compress(WHOLE, mtime=0)[:12],
        gzip.compress(WHOLE, mtime=0) + b"more",
    ],
    ids=["empty", "plain", "cut in its end", "cut in its text", "more behind"],
)
def test_what_is_no_whole_gzip_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    message = r"a\.gz: not a gzip file, or cut short; compress it again$"
    with pytest.raises(UserError, match=message):
        list(lines_of(path.open("rb"), str(path)))


def test_a_damaged_one(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(bytes(range(256)) * 20))
    content[40] ^= 255
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UserError, match="not a gzip file"), unpacked((tmp_path / "a").open("rb"), "a") as file:
        file.read()


def test_files_are_closed(tmp_path: Path) -> None:
    for content in (WHOLE, gzip.compress(WHOLE)):
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
