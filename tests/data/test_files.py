"""Files are cut into pieces of lines, which are together the file."""

import io
import pickle

import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.data import files, stream_lines
from keras_s2s.data.files import Lines, cut, lines_of, pieces


def contents() -> list[bytes]:
    random = np.random.default_rng(1)
    alphabet = np.array(["a", "ä", "\n", "\n", "\r\n", "\r", "\t", "\u2028"])
    return [b"", b"\n", b"\xef\xbb\xbf", b"\xef\xbb\xbfa\n\xef\xbb\xbfb", b"a\r"] + [
        "".join(random.choice(alphabet, length)).encode() for length in range(1, 40)
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pieces_are_the_file(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_BYTES", 5)
    for content in contents():
        found = list(cut(io.BytesIO(content), size, "a"))
        whole = lines_of(content.decode().removeprefix("\ufeff"))
        assert [line for piece in found for line in piece.texts()] == whole
        assert [piece.count for piece in found] == [
            len(whole[first : first + size]) for first in range(0, len(whole), size)
        ]
        assert [piece.first for piece in found] == list(range(1, len(whole) + 1, size))


def test_a_piece_in_two() -> None:
    piece = Lines(b"a\nb\r\nc", "x", 7, 3)
    assert piece.split(1) == (Lines(b"a\n", "x", 7, 1), Lines(b"b\r\nc", "x", 8, 2))
    assert piece.split(2) == (Lines(b"a\nb\r\n", "x", 7, 2), Lines(b"c", "x", 9, 1))
    assert pickle.loads(pickle.dumps(piece)) == piece


def test_lines_come_before_the_file_ends(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LINES", 2)
    (tmp_path / "a").write_bytes(b"a\nb\nc\n\xff\n")
    lines = stream_lines(tmp_path / "a")
    assert [next(lines), next(lines)] == ["a", "b"]
    with pytest.raises(UserError, match=r"a: line 4: not UTF-8"):
        next(lines)


def test_a_piece_names_its_file_as_it_is_told(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"\n\n\xff")
    with pytest.raises(UserError, match=r"^b: line 3: not UTF-8"):
        [piece.text() for piece in pieces(tmp_path / "a", 2, "b")]
