"""Parallel text from real files, good and bad."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from keras_s2s.data import Columns, Pairs, Surroundings, read_lines, read_pairs, read_tsv, read_weights
from keras_s2s.data.pairs import join
from keras_s2s.data.readers import reader_of
from keras_s2s.data.readers.text import parallel_blocks, tsv_blocks
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


@pytest.mark.parametrize("content", [b"plain text", gzip.compress(b"cut short" * 99, mtime=0)[:-12]])
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


def test_a_pattern_is_all_its_files_in_order_of_their_names(tmp_path) -> None:
    for name, text in (("b", "2"), ("a", "1"), ("c", "3")):
        (tmp_path / f"{name}.en").write_text(f"source {text}\n")
        (tmp_path / f"{name}.de.gz").write_bytes(gzip.compress(f"target {text}\n".encode()))
        (tmp_path / f"{name}.tsv").write_text(f"source {text}\ttarget {text}\n")
    expected = Pairs([f"source {i}" for i in "123"], [f"target {i}" for i in "123"])
    assert read_pairs(tmp_path / "*.en", tmp_path / "*.de.gz") == expected
    assert read_tsv(tmp_path / "[abc].tsv") == expected
    (tmp_path / "c.de.gz").unlink()
    with pytest.raises(UserError, match=r"\*\.en matches 3 files and .*\*\.de\.gz 2; give each its translation"):
        read_pairs(tmp_path / "*.en", tmp_path / "*.de.gz")
    with pytest.raises(UserError, match=r"\*\.fr: no file matches; check the pattern"):
        read_tsv(tmp_path / "*.fr")


def test_a_file_whose_name_looks_like_a_pattern(tmp_path) -> None:
    (tmp_path / "a[1].tsv").write_text("one\teins\n")
    assert read_tsv(tmp_path / "a[1].tsv") == Pairs(["one"], ["eins"])


def test_columns(tmp_path) -> None:
    (tmp_path / "a.tsv").write_text("1\t0.5\teins\tone\n2\t2\tzwei\ttwo\n")
    assert read_tsv(tmp_path / "a.tsv", Columns(4, 3, weight=2)) == Pairs(["one", "two"], ["eins", "zwei"], [0.5, 2.0])
    with pytest.raises(UserError, match=r"a\.tsv: line 1: 4 columns; expected 5 or more, with TABs between them"):
        read_tsv(tmp_path / "a.tsv", Columns(5, 1))
    with pytest.raises(UserError, match=r"a\.tsv: line 1: weight 'eins': expected a finite number above 0"):
        read_tsv(tmp_path / "a.tsv", Columns(1, 2, weight=3))


def test_weights_beside_two_files(tmp_path) -> None:
    (tmp_path / "a.w").write_text("1\n0.25\n")
    assert read_weights(tmp_path / "a.w") == [1.0, 0.25]
    (tmp_path / "a.w").write_text("1\n0\n")
    with pytest.raises(UserError, match=r"a\.w: line 2: weight '0': expected a finite number above 0"):
        read_weights(tmp_path / "a.w")


def test_joined_corpora_without_weights_count_1() -> None:
    joined = join([Pairs(["a"], ["b"]), Pairs(["c"], ["d"], [3.0])])
    assert joined == Pairs(["a", "c"], ["b", "d"], [1.0, 3.0])
    assert joined.take([1]) == Pairs(["c"], ["d"], [3.0])
    assert join([Pairs(["a"], ["b"])] * 2).weights is None
    with pytest.raises(UserError, match="corpora of text and of speech do not go together"):
        join([Pairs(["a"], ["b"]), Pairs([np.zeros((1, 1), "float32")], ["b"])])


def write(folder: Path, **files: str) -> None:
    for name, content in files.items():
        (folder / name).write_text(content)


def test_blocks_have_so_many_lines_of_one_file(tmp_path) -> None:
    write(tmp_path, a="1\tA\n2\tB\n3\tC\n", b="4\tD\r\n5\tE")
    blocks = [block.pairs() for block in tsv_blocks(tmp_path / "[ab]", size=2)]
    assert [block.sources for block in blocks] == [["1", "2"], ["3"], ["4", "5"]]
    assert join(blocks) == read_tsv(tmp_path / "[ab]")


def test_a_block_finds_its_mistakes_itself(tmp_path) -> None:
    write(tmp_path, a="1\tA\n2\tB\n3\tC\n4\n5\tE\tF\n")
    blocks = list(tsv_blocks(tmp_path / "a", size=3))
    assert blocks[0].pairs() == Pairs(["1", "2", "3"], ["A", "B", "C"])
    with pytest.raises(UserError, match=r"a: line 4: 0 TABs"):
        blocks[1].pairs()
    (block,) = tsv_blocks(tmp_path / "a", Columns(1, 2), size=9)
    with pytest.raises(UserError, match=r"a: line 4: 1 columns; expected 2 or more"):
        block.pairs()


def test_a_bad_line_of_one_of_many_compressed_files_is_named(tmp_path) -> None:
    for number in range(10):
        bad = b"x\t\xff\n" if number == 7 else b""
        (tmp_path / f"part-{number}.tsv.gz").write_bytes(gzip.compress(b"a\tb\nc\td\n" + bad))
    with pytest.raises(UserError, match=r"part-7\.tsv\.gz: line 3: not UTF-8; convert the file to UTF-8$"):
        read_tsv(tmp_path / "part-*.tsv.gz")


def test_a_file_of_many_that_is_cut_short_is_named(tmp_path) -> None:
    for number in range(3):
        content = gzip.compress(b"a\tb\n" * 99)
        (tmp_path / f"part-{number}.tsv.gz").write_bytes(content[:-9] if number == 1 else content)
    with pytest.raises(UserError, match=r"part-1\.tsv\.gz: not a gzip file, or cut short; compress it again$"):
        read_tsv(tmp_path / "part-*.tsv.gz")


@pytest.mark.parametrize(("one", "other"), [(1, 7), (7, 1), (4, 5), (4, 0), (0, 4), (6, 5)])
def test_unequal_numbers_of_lines_are_counted_to_the_end(tmp_path, one: int, other: int) -> None:
    write(tmp_path, a="a\n" * one, b="b\n" * other)
    with pytest.raises(UserError, match=rf"a has {one} lines and .*b has {other}; line N of one must be"):
        list(parallel_blocks(tmp_path / "a", tmp_path / "b", size=2))


def test_weights_lie_in_other_files_than_their_pairs(tmp_path) -> None:
    write(tmp_path, a1="1\n2\n3\n", a2="4\n5\n", b1="A\nB\nC\n", b2="D\nE\n", w1="1\n", w2="2\n3\n4\n5")
    corpus = {"source": "a*", "target": "b*", "weights": "w*"}
    expected = Pairs([*"12345"], [*"ABCDE"], [1.0, 2.0, 3.0, 4.0, 5.0])
    around = Surroundings(lambda name: tmp_path / name, lambda samples, rate: samples)
    for size in (1, 2, 3, 9):
        assert join([block.pairs() for block in reader_of(corpus).blocks(around, size)]) == expected
    write(tmp_path, w2="2\n3\n4\n0\n")
    with pytest.raises(UserError, match=r"w2: line 4: weight '0'"):
        Pairs.of(reader_of(corpus).read(around))
    write(tmp_path, w2="2\n3\n4\n")
    with pytest.raises(UserError, match=r"w\* has 4 lines and .*b\* has 5; give each pair one weight"):
        list(reader_of(corpus).blocks(around, 1))
    write(tmp_path, w2="2\n3\n4\n5\n6\n7\n")
    with pytest.raises(UserError, match=r"w\* has 7 lines and .*b\* has 5; give each pair one weight"):
        list(reader_of(corpus).blocks(around, 2))
    assert [file.name for file in reader_of(corpus).files(around) or ()] == ["a1", "a2", "b1", "b2", "w1", "w2"]
