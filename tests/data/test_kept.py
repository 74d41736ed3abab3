"""Which pairs are kept, against their definition, in a corpus of several blocks."""

import itertools
import logging

import numpy as np
import pytest

from keras_s2s.data import Batches, Examples
from keras_s2s.data.kept import keep
from keras_s2s.data.ragged import Ragged
from keras_s2s.errors import UserError

PAIRS = 40_000


@pytest.fixture(scope="module")
def examples() -> Examples:
    draw = np.random.default_rng(4)
    sides = []
    for _ in range(2):
        ends = np.cumsum(draw.integers(1, 12, PAIRS))
        values = draw.integers(4, 7, ends[-1]).astype(np.uint16)
        values[ends - 1] = 2
        sides.append(Ragged(values, ends))
    return Examples(*sides)


def has_path(frames: int, labels: list[int]) -> bool:
    return len(labels) + sum(one == other for one, other in itertools.pairwise(labels)) <= frames


@pytest.mark.parametrize("longest", [11, 8])
@pytest.mark.parametrize("heads", [("logits",), ("logits", "ctc")], ids=len)
def test_pairs_that_are_short_enough_and_have_a_path(
    examples: Examples, longest: int, heads: tuple, caplog: pytest.LogCaptureFixture
) -> None:
    assert examples.sources is not None
    lengths = list(zip(map(len, examples.sources), map(len, examples.labels), strict=True))
    short = [row for row, pair in enumerate(lengths) if max(pair) <= longest]
    expected = [
        row
        for row in short
        if "ctc" not in heads or has_path(2 * len(examples.sources[row]), examples.labels[row][:-1].tolist())
    ]
    with caplog.at_level(logging.WARNING, "keras_s2s"):
        kept = keep(examples, maximum_length=longest, tokens=99, heads=heads, upsampling=2)
    assert kept.rows().tolist() == expected and len(kept) == len(expected)
    assert kept.of_costs.tolist() == np.bincount([max(lengths[row]) for row in expected]).tolist()
    assert (kept.numbers is None) == (len(expected) == PAIRS)
    said = []
    if len(short) < PAIRS:
        said.append(f"{PAIRS - len(short)} of {PAIRS} pairs left out: more than {longest} ids")
    if len(expected) < len(short):
        lost = len(short) - len(expected)
        said.append(f"{lost} of {len(short)} pairs left out: a longer target than a CTC head's frames can hold")
    assert caplog.messages == said


def test_more_pairs_than_can_be_numbered_are_refused() -> None:
    many = Ragged(np.zeros(0, np.uint16), np.broadcast_to(np.int64(0), 2**32))
    with pytest.raises(UserError, match=r"^batches: 4294967296 pairs; at most 4294967295 can be planned, so leave"):
        Batches(Examples(None, many))


def test_the_pair_that_a_crf_head_cannot_label_is_named_in_any_block() -> None:
    row = 30_000
    ends = np.cumsum(np.where(np.arange(PAIRS) == row, 5, 3))
    labels = Ragged(np.full(ends[-1], 4, np.uint16), ends)
    sources = Ragged(np.full(3 * PAIRS, 4, np.uint16), np.arange(1, PAIRS + 1) * 3)
    with pytest.raises(UserError, match=r"^batches: pair 30001 has 3 source ids and 5 target ids, EOS counted"):
        Batches(Examples(sources, labels), heads=["crf"])
