"""Length penalties against values worked out by hand."""

import numpy as np
import pytest

from keras_s2s.decoding import LengthPenalty

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
