"""Sinusoidal positions."""

import numpy as np

from keras_s2s.layers import sinusoids


def test_known_values() -> None:
    # With D = 4 the two angular frequencies are 1 and 1/10000.
    expected = [np.sin(3), np.sin(0.0003), np.cos(3), np.cos(0.0003)]
    np.testing.assert_allclose(sinusoids(np.array([[0, 3]]), 4)[0], [[0, 0, 1, 1], expected], atol=1e-6)


def test_wavelengths_are_geometric() -> None:
    angles = np.arcsin(np.asarray(sinusoids(np.array([[1]]), 12))[0, 0, 1:6])
    np.testing.assert_allclose(angles[1:] / angles[:-1], 10000 ** (-1 / 5), rtol=1e-3)


def test_each_row_has_its_own_positions() -> None:
    rows = np.asarray(sinusoids(np.array([[0, 1, 2], [7, 8, 9]]), 6))
    assert rows.shape == (2, 3, 6)
    np.testing.assert_allclose(rows[1], np.asarray(sinusoids(np.array([[7, 8, 9]]), 6))[0])


def test_there_is_no_largest_position() -> None:
    far = np.asarray(sinusoids(np.array([[100_000]]), 8))
    np.testing.assert_allclose(far[..., :4] ** 2 + far[..., 4:] ** 2, 1, atol=1e-5)
