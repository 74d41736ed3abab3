"""Held-out pairs that are in the training data."""

import numpy as np
import pytest

from keras_s2s.data import Pairs
from keras_s2s.data.overlap import HeldOut, Overlap


def overlap(train: Pairs, held_out: Pairs) -> Overlap | None:
    looked_for = HeldOut(held_out)
    return looked_for.overlap(looked_for.seen_in(train))


TRAIN = Pairs(["a", "b ", "b", "c"], ["1", "2", "3", "4"])


@pytest.mark.parametrize(
    ("sources", "targets", "expected"),
    [
        (["d", "e"], ["1", "2"], None),
        (["d", "a"], ["1", "9"], (1, 0, 2)),
        (["b", " b", "c"], ["2", "3 ", "5"], (3, 2, 1)),
        (["a", "a"], ["1", "1"], (2, 2, 1)),
        ([], [], None),
    ],
)
def test_texts(sources: list[str], targets: list[str], expected: tuple | None) -> None:
    assert overlap(TRAIN, Pairs(sources, targets)) == expected


def test_features() -> None:
    one, other = np.ones((2, 3), "float32"), np.zeros((2, 3), "float32")
    assert overlap(Pairs([one], ["a"]), Pairs([other, one.copy()], ["a", "a"])) == (1, 1, 2)


def test_a_language_model_has_targets_alone() -> None:
    train = Pairs(["", ""], ["a text", "another"])
    assert overlap(train, Pairs(["", ""], ["a new one", "another"])) == (1, 1, 2)
