"""Alignments: learnt ones of a known dictionary, and files of links."""

import random
from pathlib import Path

import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.data import Pairs
from keras_s2s.data.alignments import align, learn_alignments, read_alignments


def test_shuffled_translations_are_aligned_and_words_from_nowhere_are_not() -> None:
    draw = random.Random(1)
    sources = [draw.sample(range(4, 24), k=draw.randint(1, 6)) for _ in range(400)]
    orders = [draw.sample(range(len(row)), len(row)) for row in sources]
    targets = [[*(100 - row[i] for i in order), 50] for row, order in zip(sources, orders, strict=True)]
    found = learn_alignments(sources, targets)
    assert [row.tolist() for row in found] == [
        [*order, -1, len(source)] for order, source in zip(orders, sources, strict=True)
    ]
    assert {row.dtype for row in found} == {np.dtype("int32")}


def test_words_that_occur_twice_are_aligned_along_the_diagonal() -> None:
    sources, targets = [[4, 5, 4], [5], [4], [5, 4]], [[7, 8, 7], [8], [7], [8, 7]]
    assert [row.tolist() for row in align(sources, targets)] == [[0, 1, 2], [0], [0], [0, 1]]


def test_empty_sides_have_no_links() -> None:
    found = learn_alignments([[4], [], [4]], [[7], [7], []])
    assert [row.tolist() for row in found] == [[0, 1], [-1, 0], [1]]


def test_ids_may_have_eos_behind_them() -> None:
    sources, targets = [[4, 5, 4], [5], [4], [5, 4]], [[7, 8, 7], [8], [7], [8, 7]]
    found = learn_alignments([[*row, 2] for row in sources], [[*row, 2] for row in targets])
    assert [row.tolist() for row in found] == [row.tolist() for row in learn_alignments(sources, targets)]


PAIRS = Pairs(["das rote Haus", "ja"], ["the red house", "yes indeed"])
SOURCES, TARGETS = [[4, 5, 6], [7]], [[4, 5, 6], [7, 8]]


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_links_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "links", "2-2 0-0 1-0", "0-0")
    found = read_alignments(path, PAIRS, SOURCES, TARGETS)
    assert [row.tolist() for row in found] == [[0, -1, 2, 3], [0, -1, 1]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("0-0",), r"links: 1 lines, but there are 2 pairs; "),
        (("0-0", "0:0"), r"links: line 2: '0:0' is no link; expected source-target, such as 0-2$"),
        (("0-3", ""), r"links: line 1: '0-3' leads outside the pair of 3 and 3 words; count from 0$"),
        (("", "1-0"), r"links: line 2: '1-0' leads outside the pair of 1 and 2 words; "),
    ],
)
def test_mistakes(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_alignments(write(tmp_path / "links", *lines), PAIRS, SOURCES, TARGETS)


def test_pieces_of_words_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "links", "0-0", "0-0")
    with pytest.raises(UserError, match=r"links: line 2: 'yes indeed' is 2 words but 3 ids; alignments by words need "):
        read_alignments(path, PAIRS, SOURCES, [[4, 5, 6], [7, 8, 9]])
