"""Recurrent layers: state in and out, both directions, padding."""

import numpy as np

from keras_s2s.layers import LSTM, BidirectionalLSTM

X = np.random.default_rng(1).normal(size=(2, 5, 4)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], bool)


def test_without_a_state_it_starts_from_zeros() -> None:
    layer = LSTM(3)
    y, (h, c) = layer(X)
    zeros = np.zeros((2, 3), "float32")
    again, (again_h, again_c) = layer(X, (zeros, zeros))
    assert y.shape == (2, 5, 3)
    for one, other in ((y, again), (h, again_h), (c, again_c)):
        np.testing.assert_allclose(one, other)
    np.testing.assert_allclose(h, y[:, -1])


def test_a_sequence_in_two_parts_with_the_state_between() -> None:
    layer = LSTM(3)
    whole, (h, c) = layer(X)
    first, state = layer(X[:, :2])
    second, (last_h, last_c) = layer(X[:, 2:], state)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, atol=1e-6)
    np.testing.assert_allclose(last_h, h, atol=1e-6)
    np.testing.assert_allclose(last_c, c, atol=1e-6)


def test_backwards_equals_forwards_on_the_reversed_sequence() -> None:
    forwards, backwards = LSTM(3), LSTM(3, backwards=True)
    forwards(X), backwards(X)
    backwards.set_weights(forwards.get_weights())
    y, (h, c) = backwards(X)
    expected, (expected_h, expected_c) = forwards(X[:, ::-1])
    np.testing.assert_allclose(y, np.asarray(expected)[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(h, expected_h, atol=1e-6)
    np.testing.assert_allclose(c, expected_c, atol=1e-6)


def test_both_directions_stand_side_by_side() -> None:
    layer = BidirectionalLSTM(6)
    y = np.asarray(layer(X, MASK))
    assert y.shape == (2, 5, 6)
    np.testing.assert_allclose(y[:, :, :3], layer.forwards(X, mask=MASK)[0], atol=1e-6)
    np.testing.assert_allclose(y[:, :, 3:], layer.backwards(X, mask=MASK)[0], atol=1e-6)


def test_padding_is_zero_and_is_not_seen() -> None:
    layer = BidirectionalLSTM(6)
    y = np.asarray(layer(X, MASK))
    alone = np.asarray(layer(X[1:, :2], MASK[1:, :2]))
    np.testing.assert_allclose(y[1, :2], alone[0], atol=1e-6)
    assert not y[1, 2:].any()
