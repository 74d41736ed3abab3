"""Counts of lengths, however long rows are."""

import numpy as np
import pytest

from keras_s2s.data import Examples
from keras_s2s.data.ragged import Ragged
from keras_s2s.recipe import data_report
from keras_s2s.recipe.data_report import Lengths, _count, _too_long


def examples(lengths: np.ndarray) -> Examples:
    source, target = (Ragged(np.zeros(side.sum(), np.uint16), np.cumsum(side)) for side in lengths.T)
    return Examples(source, target)


def test_pairs_are_counted_by_both_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = np.random.default_rng(1).integers(1, 9, (20_000, 2))  # more than one block
    lengths[7] = 30, 2
    expected = np.zeros((31, 9), int)
    for source, target in lengths.tolist():
        expected[source, target] += 1
    assert np.array_equal(_count(examples(lengths)), expected)
    monkeypatch.setattr(data_report, "_LONGEST", 8)
    shorter = expected[:9].copy()
    shorter[8, 2] += 1
    assert np.array_equal(_count(examples(lengths)), shorter)


def test_what_is_too_long_is_counted_however_long_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = np.array([[3, 4], [4, 3], [3, 3], [10, 1], [1, 10], [11, 11]])
    monkeypatch.setattr(data_report, "_LONGEST", 4)
    assert [_too_long(examples(lengths), maximum) for maximum in (2, 3, 4, 9, 10, 11)] == [6, 5, 3, 3, 1, 0]


def test_a_quantile_is_the_length_that_a_share_does_not_exceed() -> None:
    lengths = Lengths("ids", np.array([0, 0, 5, 0, 4, 1]), 31)
    shares = (0, 0.1, 0.5, 0.51, 0.9, 0.91, 1)
    assert [lengths.quantile(share) for share in shares] == [2, 2, 2, 4, 4, 5, 5]
