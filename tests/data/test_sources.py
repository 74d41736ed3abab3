"""Parallel text from real files, good and bad."""

import gzip

import pytest

from keras_s2s.data import Pairs, read_lines, read_pairs, read_tsv
from keras_s2s.errors import UserError


def test_only_newlines_end_a_line(tmp_path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("a\u2028b\x0bc\x85d\x0c\x1ce\rf\n\r\n\ng\r\n".encode())
    assert read_lines(path) == ["a\u2028b\x0bc\x85d\x0c\x1ce\rf", "", "", "g"]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\n\n", ["a", ""]),
        (b"\xef\xbb\xbfa\n", ["a"]),
    ],
)
def test_the_end_of_a_file(tmp_path, content: bytes, lines: list[str]) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert read_lines(tmp_path / "a.txt") == lines


def test_gzip_by_suffix(tmp_path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress("ä\nb\n".encode()))
    assert read_lines(str(tmp_path / "a.gz")) == ["ä", "b"]


@pytest.mark.parametrize("content", [b"plain text", gzip.compress(b"cut short" * 99)[:-12]])
def test_a_broken_gzip_file_is_the_users_mistake(tmp_path, content: bytes) -> None:
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.gz: not a gzip file"):
        read_lines(tmp_path / "a.gz")


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_line_that_is_not_utf8_is_named(tmp_path, start: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(start + "ä\u2028\nb\n".encode() + b"caf\xe9\nd\n")
    with pytest.raises(UserError, match=r"a\.txt: line 3: not UTF-8; "):
        read_lines(tmp_path / "a.txt")


def test_a_missing_file_is_the_users_mistake(tmp_path) -> None:
    with pytest.raises(UserError, match=r"none\.txt: cannot be read: No such file"):
        read_lines(tmp_path / "none.txt")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_lines(tmp_path)


def test_pairs_of_two_files(tmp_path) -> None:
    (tmp_path / "a.en").write_text("one\n\nthree\n")
    (tmp_path / "a.de").write_text("eins\nzwei\ndrei")
    pairs = read_pairs(tmp_path / "a.en", tmp_path / "a.de")
    assert pairs == Pairs(["one", "", "three"], ["eins", "zwei", "drei"])
    assert len(pairs) == 3


def test_files_of_different_lengths_are_named_with_their_counts(tmp_path) -> None:
    (tmp_path / "a.en").write_text("one\ntwo\n")
    (tmp_path / "a.de").write_text("eins\n")
    with pytest.raises(UserError, match=r"a\.en has 2 lines and .*a\.de has 1;"):
        read_pairs(tmp_path / "a.en", tmp_path / "a.de")


def test_empty_files_are_the_users_mistake(tmp_path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(UserError, match="a: no lines; "):
        read_pairs(tmp_path / "a", tmp_path / "a")
    with pytest.raises(UserError, match="a: no lines; "):
        read_tsv(tmp_path / "a")


def test_tsv(tmp_path) -> None:
    (tmp_path / "a.tsv").write_text("one\teins\n\tnull\r\n two \t zwei \n", newline="")
    assert read_tsv(tmp_path / "a.tsv") == Pairs(["one", "", " two "], ["eins", "null", " zwei "])


@pytest.mark.parametrize(("line", "tabs"), [("one", 0), ("", 0), ("one\teins\tuno", 2)])
def test_a_tsv_line_without_exactly_one_tab_is_named(tmp_path, line: str, tabs: int) -> None:
    (tmp_path / "a.tsv").write_text(f"one\teins\n{line}\ntwo\tzwei\n")
    with pytest.raises(UserError, match=rf"a\.tsv: line 2: {tabs} TABs; expected source TAB target"):
        read_tsv(tmp_path / "a.tsv")


def test_pairs_have_as_many_sources_as_targets() -> None:
    with pytest.raises(UserError, match="2 sources and 1 targets"):
        Pairs(["a", "b"], ["a"])
