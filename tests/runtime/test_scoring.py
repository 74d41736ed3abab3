"""Log-probabilities as perplexities."""

import math

import pytest

from keras_s2s.runtime import Scored, perplexity

HALF = math.log(0.5)


def test_perplexity_of_one_target() -> None:
    assert Scored(3 * HALF, (HALF,) * 3).perplexity == pytest.approx(2)


def test_perplexity_of_a_corpus_weights_targets_by_their_tokens() -> None:
    scored = [Scored(3 * HALF, (HALF,) * 3), Scored(2 * HALF, (2 * HALF,))]
    assert perplexity(scored) == pytest.approx(2 ** (5 / 4))
