"""Pairs, one after the other and together."""

import pytest

from keras_s2s import UserError
from keras_s2s.data import Pair, Pairs

PAIRS = Pairs(["a", "b"], ["c", "d"])


def test_pairs_are_made_of_what_they_consist_of() -> None:
    weighted = Pairs(["a", "b"], ["c", "d"], [2.0, 1.0])
    assert list(PAIRS) == [Pair("a", "c"), Pair("b", "d")]
    assert list(weighted) == [Pair("a", "c", 2.0), Pair("b", "d", 1.0)]
    assert Pairs.of(iter(PAIRS)) == PAIRS
    assert Pairs.of(iter(weighted)) == weighted
    assert Pairs.of([]) == Pairs([], [])


def test_pairs_in_memory_are_not_copied() -> None:
    assert Pairs.of(PAIRS) is PAIRS
    assert PAIRS.pairs() is PAIRS


def test_pairs_without_a_weight_count_1_beside_others() -> None:
    assert Pairs.of([Pair("a", "c"), Pair("b", "d", 2.0)]).weights == [1.0, 2.0]
    with pytest.raises(UserError, match=r"^pair 2: weight 0\.0: expected a finite number above 0"):
        Pairs.of([Pair("a", "c"), Pair("b", "d", 0.0)])
