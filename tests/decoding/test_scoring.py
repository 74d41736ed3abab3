"""Length penalties against values worked out by hand."""

import numpy as np
import pytest

from keras_s2s.decoding import LengthPenalty, Scorer

# -6 and n tokens with EOS.
BY_HAND = [
    pytest.param(LengthPenalty(exponent=0.0), 3, -6.0, id="none"),
    pytest.param(LengthPenalty(exponent=0.0, base=5.0), 3, -6.0, id="none, GNMT's base"),
    pytest.param(LengthPenalty(), 1, -6.0, id="average of one"),
    pytest.param(LengthPenalty(), 3, -2.0, id="average of three"),
    pytest.param(LengthPenalty(exponent=1.0, base=5.0), 1, -6.0, id="GNMT of one"),
    pytest.param(LengthPenalty(exponent=1.0, base=5.0), 4, -4.0, id="GNMT, 9/6"),
    pytest.param(LengthPenalty(exponent=2.0, base=5.0), 4, -2.6666667, id="GNMT, 9/6 squared"),
    pytest.param(LengthPenalty(exponent=0.6, base=5.0), 3, -5.0487981, id="GNMT, (8/6)^0.6"),
]


@pytest.mark.parametrize(("penalty", "length", "expected"), BY_HAND)
def test_known_values(penalty: LengthPenalty, length: int, expected: float) -> None:
    assert float(penalty(np.float32(-6), length)) == pytest.approx(expected, rel=1e-6)


def test_shapes_are_broadcast() -> None:
    scores = np.array([[-6.0, -3.0], [-2.0, -np.inf]], "float32")
    got = np.asarray(LengthPenalty()(scores, np.array([[3], [1]])))
    np.testing.assert_allclose(got, np.array([[-2, -1], [-2, -np.inf]]), rtol=1e-6)


def test_a_score_is_the_sum_of_its_parts() -> None:
    covered = np.array([[0.5, 2.0, 1.0], [0.25, 0.5, 1.0]], "float32")
    scorer = Scorer(LengthPenalty(1.0, 0.0), reward=0.25, coverage=0.2)
    found = np.asarray(scorer(np.array([-6.0, -4.0], "float32"), np.array([3, 2]), covered))
    expected = [-2 + 0.75 + 0.2 * np.log(0.5), -2 + 0.5 + 0.2 * np.log(0.125)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(scorer(np.float32(-6), 3), -1.25, rtol=1e-6)


@pytest.mark.parametrize("reward", [0.0, 0.5, -0.5])
@pytest.mark.parametrize("exponent", [0.0, 1.0, 0.6, -0.5])
def test_no_continuation_is_above_the_bound(exponent: float, reward: float) -> None:
    rng = np.random.default_rng(1)
    scorer = Scorer(LengthPenalty(exponent, 2.0), reward, coverage=0.3)
    for _ in range(50):
        length, limit, log_p = rng.integers(0, 5), rng.integers(5, 9), -rng.exponential(3)
        bound = float(scorer.bound(np.float32(log_p), length, limit))
        for final in range(length + 1, limit + 2):
            worse = np.float32(log_p - rng.exponential(0.1))
            assert float(scorer(worse, final, rng.uniform(0, 2, size=4).astype("float32"))) <= bound + 1e-5
